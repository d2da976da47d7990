"""Independent tasks on a Dask cluster of the user's own.

The scheduler gives the task of a worker that is lost to another. Tasks and results are pickled on their way, which is
between machines that trust each other alone: whoever reaches a scheduler can run what it likes on its workers. Every
worker needs this tool, the data in its cache, and the folder of results at the same path (a shared file system).
"""

import logging
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from noise.work import Progress
from profiles.errors import PeerError, PlanError
from profiles.installing import extra

if TYPE_CHECKING:
    from distributed import Client, Future

Task = TypeVar("Task")
Result = TypeVar("Result")

#: Until a scheduler answers, and until a worker is there, at first or again, seconds.
CONNECT_S, WORKERLESS_S = 10.0, 60.0
#: How often a worker asks whether to stop, and the client whether there are workers, seconds.
ASK_S = 2.0
#: A worker runs one task at a time, whatever threads it has: these are the task's.
_ONE = threading.Lock()


class StoppedError(Exception):
    """Whoever asked for the work is gone."""


def each_on_cluster(
    tasks: Sequence[Task], work: Callable[[Task, Progress], Result], address: str
) -> Iterator[tuple[Task, Result]]:
    """Every task with its result, as they come. Raises PeerError (no scheduler, no worker, workers lost again and
    again), PlanError (no address)."""
    client = _client(address)
    name = f"plan-{uuid.uuid4().hex}"
    try:
        _await_workers(client, address)
        futures = {
            client.submit(_one, work, task, name, key=f"{name}-{index}", pure=False): task
            for index, task in enumerate(tasks)
        }
        for done in _finished(client, list(futures), address):
            # Brought here before any is handed on: a result goes with the worker that made it.
            results = [(futures[future], _result(future, address)) for future in done]
            yield from results
    finally:
        _stop(client, name)


def _client(address: str) -> "Client":
    if re.fullmatch(r"(tcp|tls|ucx|wss?)://\S+:\d+", address) is None:
        raise PlanError(f"--on {address}: expected a Dask scheduler's address, such as tcp://scheduler:8786")
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise PlanError(f"--on needs Dask, which is not installed; {extra('cluster')}") from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        return Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError, RuntimeError) as error:
        raise PeerError(
            f"--on {address}: no Dask scheduler answers there ({type(error).__name__}); start one with `dask "
            "scheduler`, or leave --on out"
        ) from error


def _await_workers(client: "Client", address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=CONNECT_S)
    except TimeoutError:
        raise PeerError(f"--on {address}: no worker there; start one with `dask worker {address}`") from None


def _finished(client: "Client", waiting: "list[Future]", address: str) -> "Iterator[list[Future]]":
    """Futures as they finish. Raises PeerError where there is no worker for a while, or no scheduler."""
    from concurrent.futures import CancelledError

    from distributed import wait

    seen = time.monotonic()
    while waiting:
        try:
            with client.as_current():
                done, waiting = map(list, wait(waiting, timeout=ASK_S, return_when="FIRST_COMPLETED"))
        except TimeoutError:
            if client.status == "running" and client.scheduler_info()["workers"]:
                seen = time.monotonic()
            elif time.monotonic() - seen > WORKERLESS_S:
                raise PeerError(
                    f"--on {address}: no worker for {WORKERLESS_S:.0f} s; start one, and the same command goes on"
                ) from None
            continue
        except CancelledError:
            raise PeerError(f"--on {address}: the scheduler is gone; the same command goes on with another") from None
        yield done


def _result(future: "Future", address: str) -> Any:
    from concurrent.futures import CancelledError

    from distributed import KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        raise PeerError(
            f"--on {address}: one task lost a worker after the other ({error.last_worker.address} last), which "
            "happens where memory runs out; give workers more"
        ) from None
    except CancelledError:
        raise PeerError(f"--on {address}: the scheduler is gone; the same command goes on with another") from None
    except ModuleNotFoundError as error:
        raise PeerError(
            f"--on {address}: a worker lacks {error.name}; install there what is installed here, in the same version"
        ) from error


def _stop(client: "Client", name: str) -> None:
    """Tells tasks that still run to stop, and leaves."""
    from distributed import Event

    try:
        if client.status == "running":
            Event(name, client=client).set()
    except (OSError, TimeoutError, RuntimeError):
        pass  # without a scheduler there is nobody to tell
    client.close(timeout=CONNECT_S)


def _one(work: Callable[[Task, Progress], Result], task: Task, name: str) -> Result:
    """On a worker."""
    import torch
    from distributed import get_worker

    asking = _Asking(name)
    while not _ONE.acquire(timeout=ASK_S):
        asking(0, 0)
    try:
        torch.set_num_threads(max(1, get_worker().state.nthreads))
        return work(task, asking)
    finally:
        _ONE.release()


class _Asking:
    """Progress that asks now and then whether anybody waits for the result. Raises StoppedError where nobody does."""

    def __init__(self, name: str) -> None:
        from distributed import Event, get_client

        self._event = Event(name, client=get_client())
        self._asked = time.monotonic()

    def __call__(self, done: int, of: int) -> None:
        if time.monotonic() - self._asked > ASK_S:
            self._asked = time.monotonic()
            if self._event.is_set():
                raise StoppedError
