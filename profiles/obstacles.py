"""Why a model cannot be traced: what failed, where in the user's own code, and what to do."""

import logging
import sysconfig
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import torch

from profiles.models import Model


def explain(model: Model, error: Exception) -> str:
    """One line: what failed, the last frame of it in the user's own code, and what to do."""
    try:
        with torch.no_grad():
            model.module(*model.args, **model.kwargs)
        cause, advice = error, "rewrite that with tensor operators that do not depend on values"
        start = f"{model.source} cannot be exported"
    except Exception as eager:  # it does not even run
        cause, advice, start = (
            eager,
            "check their shapes and types",
            f"{model.source} fails on its own example inputs",
        )
    message = next((line for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
    return f"{start}: {message.strip().rstrip('.')[:200]}{_place(cause)}; {advice}"


def _place(error: BaseException) -> str:
    """The innermost frame that is neither ours nor of an installed package."""
    foreign = tuple(
        str(Path(path).resolve()) for path in (__file__.rpartition("/")[0], *sysconfig.get_paths().values())
    )
    place = ""
    for frame in _frames(error):
        if frame.line and not frame.filename.startswith((*foreign, "<")):
            place = f" at {frame.filename}:{frame.lineno}: `{frame.line}`"
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
