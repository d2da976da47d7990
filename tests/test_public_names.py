"""What a user calls says what it takes, returns and raises."""

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from profiles import errors

ROOT = Path(__file__).parents[1]
PACKAGES = ("profiles", "planner", "noise", "noise.auditing", "runtime")
#: Figures and dictionaries that are no functions or classes.
DATA = {"FULL", "QUICK"}
RAISED = {name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, errors.PlanError)}


def public() -> list[tuple[str, str]]:
    return [
        (package, name) for package in PACKAGES for name in importlib.import_module(package).__all__
        if name not in DATA
    ]  # fmt: skip


def own_callables(thing: Any) -> dict[str, Callable[..., Any]]:
    """A function, or a class's public methods and properties that it defines itself."""
    if inspect.isfunction(thing):
        return {thing.__name__: thing}
    found = {}
    for name, member in vars(thing).items():
        function = getattr(member, "fget", None) or getattr(member, "func", None) or member
        function = getattr(function, "__func__", function)
        written = inspect.isfunction(function) and not function.__code__.co_filename.startswith("<")
        if written and (not name.startswith("_") or name == "__init__"):
            found[f"{thing.__name__}.{name}"] = function
    return found


def raised_by(function: Callable[..., Any]) -> set[str]:
    """Names of our errors that a function's own body raises."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    calls = (node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call))
    return {call.func.id for call in calls if isinstance(call.func, ast.Name)} & RAISED


def said(function: Callable[..., Any], thing: Any) -> str:
    own = inspect.unwrap(function).__doc__ or ""
    return own if inspect.isfunction(thing) else own + (thing.__doc__ or "")


@pytest.mark.parametrize(("package", "name"), public())
def test_a_public_name_says_what_it_is_and_what_it_raises(package: str, name: str) -> None:
    thing = getattr(importlib.import_module(package), name)
    generated = inspect.isclass(thing) and (thing.__doc__ or "").startswith(f"{name}(")  # a dataclass's own
    assert inspect.cleandoc(thing.__doc__ or ""), f"{package}.{name} says nothing"
    assert not generated, f"{package}.{name} says nothing of its own"
    for where, function in own_callables(thing).items():
        assert function.__doc__ or where.endswith("__init__"), f"{where} says nothing"
        unnamed = {one for one in raised_by(function) if not re.search(rf"\b{one}\b", said(function, thing))}
        assert not unnamed, f"{where} raises {unnamed} and does not say so"


@pytest.mark.parametrize(("package", "name"), public())
def test_the_reference_has_it(package: str, name: str) -> None:
    assert f"::: {package}.{name}\n" in (ROOT / "docs" / "api.md").read_text()
