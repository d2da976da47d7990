"""Tasks for the door of independent work: importable, as other processes need them."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from profiles.errors import InfeasibleError


def square(task: int, progress: Any) -> int:
    progress(1, 1)
    return task**2


def where(task: int, progress: Any) -> dict[str, Any]:
    return {"pid": os.getpid(), "threads": os.environ.get("OMP_NUM_THREADS")}


def _begin(folder: str, number: int) -> int:
    """Notes that it begins, in the task's own files; how often it did so."""
    file = Path(folder) / f"begun-{number}"
    with file.open("a") as stream:
        stream.write(f"{os.getpid()}\n")
    (Path(folder) / f"pid-{number}").write_text(str(os.getpid()))
    return len(file.read_text().split())


def dies_once(task: tuple[str, int, bool], progress: Any) -> int:
    folder, number, dies = task
    if _begin(folder, number) == 1 and dies:
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2


def refuses_two(task: int, progress: Any) -> int:
    if task == 2:
        raise InfeasibleError("no noise keeps 2")
    return task


def refuses_all(task: Any, progress: Any) -> int:
    raise InfeasibleError("no noise keeps it")


def slow_but_the_first(task: tuple[str, int], progress: Any) -> int:
    folder, number = task
    if number == 0:
        return 0
    _begin(folder, number)
    for turn in range(600):
        (Path(folder) / f"alive-{number}").write_text(str(turn))
        progress(turn, 600)
        time.sleep(0.1)
    return number


def takes_a_second(task: tuple[str, int], progress: Any) -> int:
    folder, number = task
    _begin(folder, number)
    for turn in range(10):
        progress(turn, 10)
        time.sleep(0.1)
    return number**2
