"""Many inferences at once, against a real server that answers with what it was sent, or one that a test makes."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import combinations, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from servers import serving
from tap import Tap, requests

from noise.keyed import DrawKey
from noise.laplace import LaplaceNoise, OrderedLaplace
from planner.plan import Predicted
from profiles.errors import NoiseError, PeerError
from profiles.link import presets
from runtime.client import CloudClient
from runtime.cloud import ServedModel
from runtime.contract import TensorContract
from runtime.edge import EdgeHalf
from runtime.pace import MESSAGE_MS, MOST_IN_FLIGHT, MOST_ROWS, Pace
from runtime.stream import AHEAD, Stream

CONTRACTS = (TensorContract("a", "float32", (-1, 50)),)
KEY = DrawKey(b"s" * 32, "sha256:noise")
INPUTS = np.random.default_rng(0).normal(size=(60, 50)).astype(np.float32)


class Half:
    name = "arrays"

    def __init__(self, compute: Callable[[Sequence[Any]], list[Any]] = list) -> None:
        self.run = compute


def noise(scale: float = 1.0) -> LaplaceNoise:
    order = np.stack([np.random.default_rng(seed).permutation(50) for seed in range(3)])
    return LaplaceNoise({"a": OrderedLaplace(np.zeros(3), np.full(3, scale), order)})


@contextmanager
def edge_half(url: str, engine: Any = None, **options: Any) -> Iterator[tuple[EdgeHalf, CloudClient]]:
    with CloudClient(url, "echo", timeout_s=10) as client:
        client.binary = True
        given = {"crossing": ["a"], "replies": CONTRACTS} | options
        with EdgeHalf(engine or Half(), given.pop("noise", noise()), client, **given) as edge:
            yield edge, client


def singly(inputs: Any = INPUTS) -> Iterator[list[Any]]:
    return ([row[None]] for row in inputs)


def threads() -> set[str]:
    return {one.name for one in threading.enumerate() if one.name.startswith(("stream", "exchange", "sampler"))}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(ServedModel("echo", Half(), CONTRACTS, CONTRACTS)) as found:
        yield found


@pytest.mark.parametrize("pack", [1, 4])
@pytest.mark.parametrize("in_flight", [1, 4])
def test_answers_are_those_of_one_at_a_time_in_order(url: str, in_flight: int, pack: int) -> None:
    with edge_half(url, key=KEY) as (edge, client):
        alone = [edge.infer(one).outputs[0] for one in singly()]
        with Stream(edge, client, in_flight=in_flight, pack=pack) as stream:
            together = [done.outputs[0] for done in stream.infer(singly())]
    assert len(together) == len(alone) == 60
    assert all((one == other).all() for one, other in zip(alone, together, strict=True))
    assert not threads()


def test_answers_keep_their_order_where_the_first_takes_longest() -> None:
    def slow_first(inputs: Sequence[Any]) -> list[Any]:
        if inputs[0].max() > 500:
            time.sleep(0.2)
        return list(inputs)

    marked = INPUTS.copy()
    marked[0] += 1000
    marked[7] += 1000
    with serving(ServedModel("echo", Half(slow_first), CONTRACTS, CONTRACTS)) as url:
        with edge_half(url) as (edge, client), Stream(edge, client, in_flight=4) as stream:
            ids = [done.request_id for done in stream.infer(singly(marked))]
    numbers = [int(one.rpartition("-")[2]) for one in ids]
    assert numbers == sorted(numbers)
    assert len(set(ids)) == 60


@pytest.mark.parametrize("pack", [1, 4])
def test_every_inference_has_noise_of_its_own_and_nothing_clean_crosses(url: str, pack: int) -> None:
    tap = Tap(url)
    with edge_half(tap.url) as (edge, client), Stream(edge, client, in_flight=4, pack=pack) as stream:
        answers = [done.outputs[0] for done in stream.infer(repeat([INPUTS[:1]], 40))]
    tap.close()
    assert 1 <= len(tap.up) <= 4
    assert not any(INPUTS[:1].tobytes() in bytes(captured) for captured in tap.up)
    rows = np.concatenate([one["a"] for captured in tap.up for one in requests(captured)])
    assert rows.shape == (40, 50)
    assert (rows == INPUTS[0]).mean() < 0.02
    assert max((one == other).mean() for one, other in combinations(rows, 2)) < 0.2
    # What came back is what was sent: each request's own reply.
    assert {one.tobytes() for one in rows} == {one.tobytes() for one in np.concatenate(answers)}


def test_inputs_that_wait_share_a_message(url: str) -> None:
    with edge_half(url) as (edge, client), Stream(edge, client, in_flight=1, pack=8) as stream:
        crowded = [done.together for done in stream.infer(singly())]
    assert max(crowded) > 1
    assert max(crowded) <= 8
    assert len(crowded) == 60


def test_answers_of_rows_that_are_computed_together_are_those_of_each_alone() -> None:
    weights = np.random.default_rng(4).normal(size=(50, 50)).astype(np.float32)
    layer = Half(lambda inputs: [np.maximum(inputs[0] @ weights, 0)])  # of one row by another routine than of many
    with serving(ServedModel("echo", layer, CONTRACTS, CONTRACTS)) as url:
        with edge_half(url, key=KEY) as (edge, client):
            alone = np.concatenate([edge.infer(one).outputs[0] for one in singly()])
            with Stream(edge, client, in_flight=2, pack=8) as stream:
                together = list(stream.infer(singly()))
    assert max(one.together for one in together) > 1
    assert all(one.outputs[0].shape == (1, 50) for one in together)
    assert np.concatenate([one.outputs[0] for one in together]) == pytest.approx(
        alone, abs=1e-5 * float(np.abs(alone).max())
    )
    numbers = [int(one.request_id.rpartition("-")[2]) for one in together]
    assert numbers == sorted(numbers)


def test_inferences_of_several_rows_get_their_own_back(url: str) -> None:
    parts = [[INPUTS[:3]], [INPUTS[3:4]], [INPUTS[4:9]], [INPUTS[9:10]]] * 6
    with edge_half(url, key=KEY) as (edge, client):
        alone = [edge.infer(one).outputs[0] for one in parts]
        with Stream(edge, client, in_flight=1, pack=5) as stream:
            together = [done.outputs[0] for done in stream.infer(parts)]
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


def test_a_retry_of_a_shared_message_draws_for_none_of_its_rows_again(url: str) -> None:
    tap = Tap(url)
    tap.drop_next = 1
    with edge_half(tap.url) as (edge, client), Stream(edge, client, in_flight=2, pack=8) as stream:
        answers = list(stream.infer(repeat([INPUTS[:1]], 40)))
        retries = stream.retries
    tap.close()
    messages = [one["a"] for captured in tap.up for one in requests(captured)]
    distinct = {one.tobytes(): one for one in messages}
    assert len(distinct) < 40
    assert retries >= 1
    assert len(messages) == len(distinct) + retries
    rows = np.concatenate(list(distinct.values()))
    assert rows.shape == (40, 50)
    assert max((one == other).mean() for one, other in combinations(rows, 2)) < 0.2
    assert {one.tobytes() for one in rows} == {one.outputs[0].tobytes() for one in answers}


def test_one_row_that_noise_does_not_hide_is_not_made_up_for_by_others(url: str) -> None:
    strong = INPUTS[:8].copy()
    strong[5] *= 1e12  # float32 has no room for the noise beside it
    tap = Tap(url)
    with edge_half(tap.url) as (edge, _), pytest.raises(NoiseError, match="too weak"):
        edge.infer([strong])
    tap.close()
    assert not any(tap.up)


def test_a_message_that_fails_is_the_failure_of_the_first_in_it(url: str) -> None:
    given = INPUTS[:20].copy()
    given[13] = np.inf
    answered: list[Any] = []
    with edge_half(url) as (edge, client), Stream(edge, client, in_flight=2, pack=4) as stream:
        with pytest.raises(NoiseError, match="nothing was sent"):
            answered.extend(stream.infer(singly(given)))
    assert 10 <= len(answered) <= 13
    assert not threads()


class Counting:
    """A server that answers when it is let go, and counts the requests that wait."""

    def __init__(self, reply: bytes) -> None:
        self._listener, self._reply = socket.create_server(("127.0.0.1", 0)), reply
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.open = self.most = self.answered = 0
        self.may_go = threading.Semaphore(0)
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(near,), daemon=True).start()

    def _answer(self, near: socket.socket) -> None:
        try:
            while near.recv(65536):
                with self._lock:
                    self.open += 1
                    self.most = max(self.most, self.open)
                self.may_go.acquire()
                with self._lock:
                    self.open -= 1
                    self.answered += 1
                near.sendall(self._reply)
        except OSError:
            pass

    def close(self) -> None:
        self.may_go.release(1000)
        self._listener.close()


@pytest.fixture
def counting() -> Iterator[Counting]:
    from runtime import protocol
    from runtime.protocol import InferReply

    message = protocol.encode_reply(InferReply({"a": INPUTS[:1]}, "echo"), binary=["a"])
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {message.size}\r\n"
    head += "".join(f"{key}: {value}\r\n" for key, value in message.headers.items())
    found = Counting(f"{head}\r\n".encode() + message.body)
    yield found
    found.close()


def first_of(answers: Iterator[Any]) -> None:
    """Wait for it, until the stream is closed."""
    with suppress(PeerError, RuntimeError):
        next(answers, None)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    assert condition()


def test_what_is_in_flight_and_in_memory_is_bounded(counting: Counting) -> None:
    taken = 0

    def endless() -> Iterator[list[Any]]:
        nonlocal taken
        while True:
            taken += 1
            yield [INPUTS[:1]]

    with edge_half(counting.url) as (edge, client), Stream(edge, client, in_flight=3) as stream:
        answers = stream.infer(endless())
        first = threading.Thread(target=next, args=(answers,), daemon=True)
        first.start()
        wait_for(lambda: counting.open == 3 and taken > 3 + AHEAD)
        time.sleep(0.1)
        assert taken == 3 + AHEAD + 1  # the last one is in the caller's hands and not computed yet
        counting.may_go.release(1000)
        first.join()
        for _ in range(50):
            next(answers)
        assert counting.most == 3
        assert taken <= 51 + 3 + AHEAD + 1
        answers.close()  # type: ignore[attr-defined]
    assert not threads()


def test_whoever_loses_interest_waits_for_nobody(counting: Counting) -> None:
    def given() -> Iterator[list[Any]]:
        yield from repeat([INPUTS[:1]], 4)
        counting.may_go.release()
        wait_for(lambda: counting.answered == 1 and counting.open == 1)
        yield [INPUTS[:1]]

    with edge_half(counting.url) as (edge, client), Stream(edge, client, in_flight=1) as stream:
        for _ in stream.infer(given()):
            break
        stream.close()
        assert threads() == {"sampler"}
    assert counting.answered == 1


def test_an_input_that_finds_nobody_before_it_goes_alone_and_at_once(counting: Counting) -> None:
    def slow() -> Iterator[list[Any]]:
        for index in range(5):
            wait_for(lambda index=index: counting.open == index)  # the one before has left, unanswered
            yield [INPUTS[:1]]
        wait_for(lambda: counting.open == 5)
        counting.may_go.release(1000)

    with edge_half(counting.url) as (edge, client), Stream(edge, client, in_flight=5, pack=16) as stream:
        assert [done.together for done in stream.infer(slow())] == [1] * 5


def test_what_only_queues_for_a_connection_waits_for_more_of_its_kind(counting: Counting) -> None:
    rows: list[int] = []

    def noted(inputs: Sequence[Any]) -> list[Any]:
        rows.append(len(inputs[0]))
        return list(inputs)

    def given() -> Iterator[list[Any]]:
        yield [INPUTS[:1]]
        wait_for(lambda: counting.open == 1)
        yield [INPUTS[:1]]  # is prepared: the next message for the one connection
        wait_for(lambda: len(rows) == 2)
        yield from repeat([INPUTS[:1]], 3)  # would only queue behind it, and fewer than 4
        time.sleep(0.1)
        assert rows == [1, 1]
        yield [INPUTS[:1]]
        wait_for(lambda: len(rows) == 3)

    with edge_half(counting.url, Half(noted)) as (edge, client):
        stream = Stream(edge, client, in_flight=1, pack=4)
        answers = stream.infer(given())
        taking = threading.Thread(target=first_of, args=(answers,), daemon=True)
        taking.start()
        wait_for(lambda: len(rows) == 3)
        assert rows == [1, 1, 4]
        stream.close()
        taking.join(timeout=5)
        assert not taking.is_alive()


def test_what_is_in_memory_is_bounded_by_whole_messages(counting: Counting) -> None:
    taken = 0

    def endless() -> Iterator[list[Any]]:
        nonlocal taken
        while True:
            taken += 1
            yield [INPUTS[:1]]

    with edge_half(counting.url) as (edge, client), Stream(edge, client, in_flight=2, pack=3) as stream:
        answers = stream.infer(endless())
        taking = threading.Thread(target=first_of, args=(answers,), daemon=True)
        taking.start()
        most = (2 + AHEAD) * 3 + 1  # the last one is in the caller's hands
        wait_for(lambda: taken == most and counting.open == 2)
        time.sleep(0.1)
        assert taken == most
        stream.close()
        taking.join(timeout=5)
        assert not taking.is_alive()


def test_an_attempt_to_connect_can_be_given_up() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for one in fillers:
            one.setblocking(False)
            one.connect_ex(address)
        client = CloudClient(f"http://127.0.0.1:{address[1]}", "echo", timeout_s=20)
        failed: list[BaseException] = []

        def ask() -> None:
            try:
                client.ping_ms()
            except PeerError as error:
                failed.append(error)

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        time.sleep(0.2)
        client.abort()
        asking.join(timeout=5)
        assert not asking.is_alive()
        assert "given up" in str(failed[0])
        for one in fillers:
            one.close()


def test_a_failed_one_is_raised_in_its_place_and_no_thread_is_left() -> None:
    def failing(inputs: Sequence[Any]) -> list[Any]:
        if inputs[0].max() > 500:
            raise ValueError("not this one")
        return list(inputs)

    marked = INPUTS.copy()
    marked[20] += 1000
    before = []
    with serving(ServedModel("echo", Half(failing), CONTRACTS, CONTRACTS)) as url:
        with edge_half(url) as (edge, client), Stream(edge, client, in_flight=4) as stream:
            with pytest.raises(PeerError, match="refused the inference"):
                before.extend(done.request_id for done in stream.infer(singly(marked)))
    assert len(before) == 20
    assert not threads()


def test_what_noise_does_not_hide_is_raised_in_its_place_and_not_sent(url: str) -> None:
    marked = INPUTS.copy()
    marked[20] = np.nan
    tap = Tap(url)
    with edge_half(tap.url) as (edge, client), Stream(edge, client, in_flight=4) as stream:
        found = []
        with pytest.raises(NoiseError, match="no finite number"):
            found.extend(stream.infer(singly(marked)))
    tap.close()
    assert len(found) == 20
    sent = np.concatenate([one["a"] for captured in tap.up for one in requests(captured)])
    assert np.isfinite(sent).all()


def test_a_retry_sends_the_identical_bytes_while_others_go_on(url: str) -> None:
    tap = Tap(url)
    tap.drop_next = 2
    with edge_half(tap.url) as (edge, client), Stream(edge, client, in_flight=3) as stream:
        answers = list(stream.infer(singly()))
        assert stream.retries == sum(one.exchange.retries for one in answers) >= 1
    tap.close()
    rows = [one["a"].tobytes() for captured in tap.up for one in requests(captured)]
    assert len(set(rows)) == 60
    assert len(rows) == 60 + stream.retries


def test_a_message_takes_no_more_of_the_slowest_part_than_it_may() -> None:
    small, large = Pace(0.2, 0.3, 0.1, 0.05, 5.5), Pace(20.0, 2.0, 1.0, 0.1, 8.0)
    assert small.pack(batch=1) == min(MOST_ROWS, int(MESSAGE_MS / 0.3))
    assert small.pack(batch=5) == MOST_ROWS // 5
    assert small.pack(batch=100) == large.pack(batch=1) == 1
    assert Pace(0, 0, 0, 0, 1).pack(batch=1) == MOST_ROWS
    four = small.packed(4)
    assert (four.edge, four.uplink, four.away_ms) == pytest.approx((0.8, 1.2, 5.5 + 3 * 0.45))
    assert four.in_flight < small.in_flight
    assert small.packed(1) == small


def test_in_flight_fills_the_round_trip() -> None:
    wifi = presets()["wifi"]
    # Half a round trip of 2.5 ms each way; 1 ms of bytes up, 0.1 down.
    parts = Predicted(
        edge_ms=0.3, noise_ms=0.1, uplink_ms=3.5, cloud_ms=0.5, downlink_ms=2.6, total_ms=7, upload_bytes=2000
    )
    pace = Pace.predicted(parts, wifi)
    assert (pace.edge, pace.uplink, pace.cloud) == pytest.approx((0.4, 1.0, 0.5))
    assert pace.slowest == ("uplink", pytest.approx(1.0))
    assert pace.per_s == pytest.approx(1000)
    assert pace.in_flight == 9 + 1  # 6.6 ms away and a quarter more, in steps of 1 ms
    assert Pace(1.0, 0.0, 0.0, 0.0, 5.0).in_flight == MOST_IN_FLIGHT
    assert Pace(1.0, 0.001, 0.0, 0.0, 500.0).in_flight == MOST_IN_FLIGHT


def test_the_interrupt_key_ends_a_stream_at_once(counting: Counting, tmp_path: Path) -> None:
    script = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_stream as t
from runtime.stream import Stream
with t.edge_half({counting.url!r}) as (edge, client), Stream(edge, client, in_flight=3) as stream:
    for done in stream.infer(t.singly()): pass
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True, env=environment)
    wait_for(lambda: counting.open == 3)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=9)  # the deadline of an exchange is 10 s
    assert said.rstrip().endswith("KeyboardInterrupt")


def test_plan_run_streams_and_draws_a_timeline(
    lenet_plan: Any,
    lenet_learned: Any,
    mnist: Any,
    tmp_path: Path,
    plan_command: Callable[..., Any],
    monkeypatch: Any,
) -> None:
    from noise import collection
    from noise.datasets import catalog
    from noise.datasets.records import Dataset
    from profiles import artifact
    from runtime.serving import served_models

    few = Dataset("mnist", mnist.train, mnist.test[:150])
    monkeypatch.setattr(catalog, "load_dataset", lambda name: few)
    artifact.write(tmp_path / "plan.json", lenet_plan)
    collection.write(tmp_path / "noise", lenet_learned.noise, lenet_learned.facts)
    given = ("run", tmp_path / "plan.json", "--noise", tmp_path / "noise")
    timeline = ("--timeline", tmp_path / "t.json")
    done = plan_command(*given, "--stream", "--in-flight", "5", "--samples", "10", *timeline, "--json")
    assert done.code == 0, done.err
    record = json.loads(done.out)
    assert record["stream"]["n"] == record["accuracy"]["n"] == 150
    assert record["stream"]["in_flight"] == 5
    assert record["stream"]["slowest_part"] in ("edge", "uplink", "cloud", "downlink")
    assert record["accuracy"]["noisy"] > 85
    assert "at most 5 messages on their way" in " ".join(done.err.split())
    assert 1 <= record["stream"]["per_message"] <= MOST_ROWS
    drawn = json.loads((tmp_path / "t.json").read_text())
    whole = [one for one in drawn if one["name"] == "inference"]
    assert len(whole) == len({one["args"]["request_id"] for one in whole})
    assert sum(one["args"]["inferences"] for one in whole) == 160
    # One at a time, then many; both sides read one clock.
    assert {one["args"]["placed"] for one in drawn if one["name"] == "uplink"} == {
        "measured: both sides read one clock"
    }
    np.save(tmp_path / "x.npy", few.test.inputs[:70])
    files = ("--input", tmp_path / "x.npy", "--output", tmp_path / "y.npy")
    with serving(*served_models(lenet_plan, with_reference=False).values()) as url:
        done = plan_command(*given, "--server", url, "--stream", *files)
    assert done.code == 0, done.err
    assert (np.load(tmp_path / "y.npy").argmax(1) == few.test.labels[:70]).mean() > 0.85


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--in-flight", "4"), "give --stream too"),
        (("--stream", "--in-flight", "0"), "--in-flight"),
        (("--timeline", "t.json", "--input", "x.npy", "--output", "y.npy"), "leave it out with --input"),
        (("--timeline", "."), "is a folder"),
    ],
)
def test_bad_options_are_one_line(
    lenet_plan: Any, lenet_learned: Any, tmp_path: Path, plan_command: Callable[..., Any], arguments: Any, word: str
) -> None:
    from noise import collection
    from profiles import artifact

    artifact.write(tmp_path / "plan.json", lenet_plan)
    collection.write(tmp_path / "noise", lenet_learned.noise, lenet_learned.facts)
    done = plan_command("run", tmp_path / "plan.json", "--noise", tmp_path / "noise", *arguments)
    assert done.code == 2
    assert word in done.err
    assert len(done.err.splitlines()) == 1
