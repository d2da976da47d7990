"""Tasks through the door: here, in processes, on a cluster; lost workers cost their task alone."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import work_tasks
from dask_cluster import cluster
from joblib import cpu_count

from noise import work
from profiles.errors import InfeasibleError, PeerError, PlanError


def test_every_task_comes_back_with_its_result_and_the_watch_sees_each() -> None:
    seen: list[Any] = []

    @contextmanager
    def watch(task: int) -> Iterator[Callable[[int, int], None]]:
        yield lambda done, of: seen.append((task, done, of))

    assert list(work.each([3, 1, 2], work_tasks.square, jobs=1, watch=watch)) == [(3, 9), (1, 1), (2, 4)]
    assert seen == [(3, 1, 1), (1, 1, 1), (2, 1, 1)]


def test_processes_share_the_cores_out_and_are_not_this_one() -> None:
    found = dict(work.each([1, 2, 3], work_tasks.where, jobs=2))
    assert set(found) == {1, 2, 3}
    assert all(one["pid"] != os.getpid() for one in found.values())
    assert {one["threads"] for one in found.values()} == {str(max(1, cpu_count() // 2))}


def test_a_process_that_is_killed_costs_its_task_alone_which_runs_again(tmp_path: Path) -> None:
    tasks = [(str(tmp_path), number, number == 1) for number in range(4)]
    found = {task[1]: result for task, result in work.each(tasks, work_tasks.dies_once, jobs=2)}
    assert found == {0: 0, 1: 1, 2: 4, 3: 9}
    assert len((tmp_path / "begun-1").read_text().split()) == 2


def test_what_a_task_raises_is_raised_here_and_ends_the_others() -> None:
    with pytest.raises(InfeasibleError, match="no noise keeps 2"):
        list(work.each([1, 2, 3, 4], work_tasks.refuses_two, jobs=2))


def test_closing_stops_the_processes(tmp_path: Path) -> None:
    tasks = [(str(tmp_path), number) for number in range(3)]
    results = work.each(tasks, work_tasks.slow_but_the_first, jobs=2)
    assert next(results)[1] == 0
    _await_begun(tmp_path)
    results.close()  # type: ignore[attr-defined]
    pids = [int(one.read_text()) for one in tmp_path.glob("pid-*")]
    assert pids
    until = time.monotonic() + 10
    while any(map(_alive, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(_alive, pids))


def _await_begun(folder: Path) -> None:
    until = time.monotonic() + 30
    while not any(one.read_text() for one in folder.glob("pid-*")) and time.monotonic() < until:
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_what_is_no_address_or_does_not_answer_is_said_in_one_line() -> None:
    with pytest.raises(PlanError, match="such as tcp://scheduler:8786"):
        next(iter(work.each([1], work_tasks.square, on="scheduler")))
    with pytest.raises(PlanError, match="leave one out"):
        work.each([1], work_tasks.square, on="tcp://127.0.0.1:1", jobs=2)


@pytest.mark.long
def test_nobody_at_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("noise.cluster.CONNECT_S", 1.0)
    with pytest.raises(PeerError, match="no Dask scheduler answers"):
        next(iter(work.each([1], work_tasks.square, on="tcp://127.0.0.1:9")))


@pytest.mark.long
def test_a_worker_of_a_cluster_that_is_killed_costs_its_task_alone(tmp_path: Path) -> None:
    """Two workers on loopback; one is killed in the middle of a task."""
    with cluster(2) as (address, workers):
        tasks = [(str(tmp_path), number) for number in range(6)]
        killed = None
        found = {}
        for task, result in work.each(tasks, work_tasks.takes_a_second, on=address):
            found[task[1]] = result
            if killed is None and len({one.read_text() for one in tmp_path.glob("pid-*")}) == 2:
                killed = workers[0].pid
                os.kill(killed, signal.SIGKILL)
        assert found == {number: number**2 for number in range(6)}
        assert killed is not None
        begun = [(tmp_path / f"begun-{number}").read_text().split() for number in range(6)]
        again = [pids for pids in begun if len(pids) > 1]
        assert again
        assert all(pids[0] == str(killed) and pids[1:] == [str(workers[1].pid)] for pids in again)

        results = work.each(tasks, work_tasks.refuses_all, on=address)
        with pytest.raises(InfeasibleError):
            list(results)


@pytest.mark.long
def test_closing_stops_the_workers_of_a_cluster(tmp_path: Path) -> None:
    with cluster(1) as (address, _):
        tasks = [(str(tmp_path), number) for number in range(3)]
        results = work.each(tasks, work_tasks.slow_but_the_first, on=address)
        assert next(results)[1] == 0
        _await_begun(tmp_path)
        results.close()  # type: ignore[attr-defined]
        time.sleep(6)
        before = {one.name: one.stat().st_mtime_ns for one in tmp_path.glob("alive-*")}
        time.sleep(2)
        assert {one.name: one.stat().st_mtime_ns for one in tmp_path.glob("alive-*")} == before
