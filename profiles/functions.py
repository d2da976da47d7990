"""The user's own functions, by `package.module:function`. No torch, unless they bring it."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from profiles.errors import ModelError, PlanError


def import_function(source: str, *, wrong: type[PlanError] = ModelError) -> Callable[[], Any]:
    """The function of `package.module:function`; the current folder is searched after ours."""
    place, _, name = source.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    try:
        function = getattr(importlib.import_module(place), name)
    except ModuleNotFoundError as error:
        raise wrong(f"{source}: no module {error.name!r}, searched from {here}") from error
    except AttributeError as error:
        raise wrong(f"{source}: module {place!r} has no {name!r}") from error
    except (Exception, SystemExit) as error:
        raise wrong(f"{source}: importing it failed with {type(error).__name__}: {one_line(error)}") from error
    if not callable(function):
        raise wrong(f"{source} is {type(function).__name__}, expected a function without arguments")
    return _translated(function, source, wrong)


def _translated(function: Callable[[], Any], source: str, wrong: type[PlanError]) -> Callable[[], Any]:
    def call() -> Any:
        try:
            return function()
        except (Exception, SystemExit) as error:
            raise wrong(f"{source} failed with {type(error).__name__}: {one_line(error)}") from error

    return call


def one_line(error: BaseException) -> str:
    """The first line of what an exception of a library or the user says."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "no message"
