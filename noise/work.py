"""The door for work that falls into independent tasks: processes here (joblib), or a Dask cluster.

A task is a small description that can be pickled; what it makes lies in files of its own, so that a task that is run
again goes on where it was. A worker that is lost on a cluster costs its task alone, which runs again; processes here
end together, and what was running goes on from its files.
"""

import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

from profiles.errors import PlanError

Task = TypeVar("Task")
Result = TypeVar("Result")
Progress = Callable[[int, int], None]
#: What is done for a task; it tells how far it is.
Work = Callable[[Task, Progress], Result]
#: What is told how far a task is, where it runs in this very process.
Watch = Callable[[Any], AbstractContextManager[Progress]]

#: Processes that may be lost here before it is the work's own fault.
MOST_LOST = 3


def unwatched(task: object) -> AbstractContextManager[Progress]:
    return nullcontext(lambda done, of: None)


def each(
    tasks: Sequence[Task],
    work: Work[Task, Result],
    *,
    on: str | None = None,
    jobs: int | None = None,
    watch: Watch = unwatched,
) -> Iterator[tuple[Task, Result]]:
    """Every task with its result, as they come.

    on: address of a Dask scheduler, `tcp://host:8786`; None: processes on this machine. jobs: of these, None: one a
    task up to the number of cores; 1: in this process, one after the other, and `watch` is told how far each is. The
    cores are shared out: each process has its part of the threads. Closing the iterator stops the work.
    Raises what a task raises, after which no other goes on; PeerError where the cluster fails.
    """
    if on is not None:
        if jobs is not None:
            raise PlanError("--jobs is of processes here, a cluster has as many as it has workers; leave one out")
        from noise.cluster import each_on_cluster

        return each_on_cluster(tasks, work, on)
    count = jobs_for(len(tasks), jobs)
    return _here(tasks, work, watch) if count == 1 else _in_processes(tasks, work, count)


def jobs_for(tasks: int, jobs: int | None = None) -> int:
    """How many processes so many tasks are given here."""
    if jobs is not None:
        return max(1, min(jobs, tasks))
    from joblib import cpu_count

    return max(1, min(tasks, int(cpu_count())))


def _here(tasks: Sequence[Task], work: Work[Task, Result], watch: Watch) -> Iterator[tuple[Task, Result]]:
    for task in tasks:
        with watch(task) as progress:
            result = work(task, progress)
        yield task, result


def _in_processes(tasks: Sequence[Task], work: Work[Task, Result], jobs: int) -> Iterator[tuple[Task, Result]]:
    from joblib.externals.loky.process_executor import BrokenProcessPool

    left = dict(enumerate(tasks))
    for _ in range(MOST_LOST + 1):
        try:
            with _closing(_pool(left, work, jobs)) as results:
                for index, result in results:
                    yield left.pop(index), result
            return
        except BrokenProcessPool:
            # All processes of a pool end with the one that was lost; what they wrote stands.
            continue
    raise PlanError(
        f"{MOST_LOST + 1} times a process of this work was killed, which happens where memory runs out; take fewer "
        "--jobs, or --jobs 1 to see why"
    )


@contextmanager
def _closing(results: Generator[Any, None, None]) -> Iterator[Generator[Any, None, None]]:
    """Ends the pool where it has not finished; joblib would warn of it."""
    try:
        yield results
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            results.close()


def _pool(left: dict[int, Task], work: Work[Task, Result], jobs: int) -> Generator[tuple[int, Result], None, None]:
    from joblib import Parallel, cpu_count, delayed, parallel_config

    threads = max(1, cpu_count() // jobs)
    # Two at least: a single job would run in this process, and take it along.
    with parallel_config(backend="loky", n_jobs=jobs, inner_max_num_threads=threads):
        pool = Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch="all")
        made: Generator[tuple[int, Result], None, None] = pool(
            delayed(_one)(work, index, task) for index, task in list(left.items())
        )
    return made


def _one(work: Work[Task, Result], index: int, task: Task) -> tuple[int, Result]:
    """In a process of the pool."""
    _end_with_parent()
    return index, work(task, lambda done, of: None)


def _end_with_parent() -> None:
    """Whoever started this process stops it, not the keyboard; if it was killed itself, this one ends too."""
    if getattr(_end_with_parent, "begun", None) == os.getpid():
        return
    _end_with_parent.begun = os.getpid()  # type: ignore[attr-defined]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()

    def watching() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watching, daemon=True).start()
