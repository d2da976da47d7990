"""Why a model cannot be traced: all that stands in the way, where in the user's own code, and what to do."""

import logging
import sysconfig
import traceback
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from profiles.models import Model

_BRANCH = "a branch on a tensor's value; compute both sides and choose by torch.where"
_NUMBER = "a number read from a tensor; keep it a tensor"
_LEAVES = "leaves torch; do it with tensor operators"
_SHAPE = "a shape that depends on values; keep the shape and mask by torch.where"

#: Tensor function → why an export stops there, and what to do.
_SUSPECTS = {
    "__bool__": _BRANCH,
    **dict.fromkeys(("item", "__int__", "__float__", "__index__"), _NUMBER),
    **dict.fromkeys(("tolist", "numpy", "__array__"), _LEAVES),
    **dict.fromkeys(("nonzero", "masked_select", "unique"), _SHAPE),
}


@dataclass(frozen=True)
class Obstacle:
    """place: `file:line: code` in the user's own code. what: why, and what to do."""

    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}"


def explain(model: Model, error: Exception) -> str:
    """One line: every obstacle to an export, each with its place in the user's own code and what to do.

    torch.export stops at the first. The others are found by running the example with an eye on the functions that
    read a tensor's values; what that example does not reach stays unseen.
    """
    watch = _Watch()
    try:
        with torch.no_grad(), quiet(), watch:
            model.module(*model.args, **model.kwargs)
    except Exception as eager:  # it does not even run
        place = f" at {found}" if (found := _place(_frames(eager))) else ""
        start = f"{model.source} fails on its own example inputs"
        return f"{start}: {_message(eager)}{place}; check their shapes and types"
    obstacles = list(dict.fromkeys(watch.found))
    place = _place(_frames(error))
    if not any(one.place == place for one in obstacles):
        advice = "rewrite that with tensor operators that do not depend on values"
        obstacles.append(Obstacle(place or "torch.export", f"{_message(error)}; {advice}"))
    count = f"{len(obstacles)} obstacle{'s' if len(obstacles) > 1 else ''}"
    listed = "; ".join(f"({number}) {one}" for number, one in enumerate(obstacles, start=1))
    return f"{model.source} cannot be exported, {count}: {listed}"


class _Watch(TorchFunctionMode):
    """Notes where a tensor's values are read, or make a shape."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Obstacle] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        what = _SUSPECTS.get(name)
        if name == "__getitem__" and _picks_by_value(args[1]):
            what = _SHAPE
        if what is not None and (place := _place(traceback.extract_stack())):
            self.found.append(Obstacle(place, what))
        return func(*args, **(kwargs or {}))


def _picks_by_value(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(one, torch.Tensor) and one.dtype == torch.bool for one in parts)


def _message(error: BaseException) -> str:
    message = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return message.strip().rstrip(".")[:200]


def _place(frames: Iterable[traceback.FrameSummary]) -> str:
    """The innermost frame that is neither ours nor of an installed package; empty where there is none."""
    foreign = tuple(
        str(Path(path).resolve()) for path in (__file__.rpartition("/")[0], *sysconfig.get_paths().values())
    )
    place = ""
    for frame in frames:
        if frame.line and not frame.filename.startswith((*foreign, "<")):
            place = f"{frame.filename}:{frame.lineno}: `{frame.line}`"
    return place


def _frames(error: BaseException) -> Iterator[traceback.FrameSummary]:
    chain: list[BaseException] = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None and inner not in chain:
        chain.append(inner)
    for link in chain:
        yield from traceback.extract_tb(link.__traceback__)


@contextmanager
def quiet() -> Iterator[None]:
    """torch.export writes graphs and warnings to the terminal before it raises; the error line says it."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
