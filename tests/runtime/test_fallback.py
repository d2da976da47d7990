"""The edge that stands by for a cloud that fails."""

import socket
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from servers import serving

from noise.laplace import LaplaceNoise, OrderedLaplace
from profiles.errors import PeerError, UnansweredError
from runtime.client import CloudClient
from runtime.cloud import ServedModel
from runtime.contract import TensorContract
from runtime.edge import EdgeHalf, Inference
from runtime.fallback import FIRST_PAUSE_S, LONGEST_PAUSE_S, Breaker, LocalAnswer, StandbyEdge

CONTRACT = TensorContract("x", "float32", (-1, 4))
NOISE = LaplaceNoise({"x": OrderedLaplace(np.zeros(1), np.ones(1), np.arange(4)[None])})
INPUT = np.arange(4, dtype=np.float32)[None]


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Arrays:
    """An engine of arrays; counts its calls."""

    name = "arrays"

    def __init__(self, factor: float) -> None:
        self.factor, self.calls = np.float32(factor), 0

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        self.calls += 1
        return [self.factor * inputs[0]]


def test_pauses_double_up_to_the_longest_and_one_success_ends_them() -> None:
    clock = Clock()
    breaker = Breaker(clock=clock)
    for _ in range(2):
        assert not breaker.open
        assert not breaker.doubtful
        for index in range(9):
            breaker.failed()
            pause_s = min(FIRST_PAUSE_S * 2**index, LONGEST_PAUSE_S)
            clock.now_s += pause_s - 1e-6
            assert breaker.open
            clock.now_s += 2e-6
            assert not breaker.open
            assert breaker.doubtful
        breaker.succeeded()


def standing_by(client: CloudClient, **options: Any) -> StandbyEdge:
    half = EdgeHalf(Arrays(1), NOISE, client, crossing=["x"], replies=[CONTRACT])
    return StandbyEdge(half, client, Arrays(3), **options)


def test_while_the_cloud_is_left_alone_nothing_is_sent_and_then_it_is_asked_first() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    clock, told = Clock(), list[str]()
    with CloudClient(f"http://127.0.0.1:{port}", "m") as client:
        edge = standing_by(client, breaker=Breaker(clock=clock), tell=told.append)
        for _ in range(5):
            answer = edge.infer([INPUT])
            assert isinstance(answer, LocalAnswer)
            np.testing.assert_array_equal(answer.outputs[0], 3 * INPUT)
        assert (edge.fallbacks, edge.errors) == (5, 1)
        clock.now_s += FIRST_PAUSE_S
        edge.infer([INPUT])  # asked whether it is there: it is not, and no inference was risked
        assert (edge.fallbacks, edge.errors) == (6, 1)
        assert client.bytes_sent == 0
    assert len(told) == 1
    assert f"http://127.0.0.1:{port} cannot be reached" in told[0]


def test_it_goes_back_to_the_cloud_when_that_answers() -> None:
    clock, told = Clock(), list[str]()
    with serving(ServedModel("m", Arrays(1), (CONTRACT,), (CONTRACT,))) as url, CloudClient(url, "m") as client:
        absent = [PeerError("was not there")]
        edge = standing_by(client, breaker=Breaker(clock=clock), tell=told.append, absent=absent)
        assert isinstance(edge.infer([INPUT]), LocalAnswer)
        clock.now_s += FIRST_PAUSE_S
        for _ in range(3):
            assert isinstance(edge.infer([INPUT]), Inference)
        assert (edge.fallbacks, edge.errors) == (1, 0)
    assert told == ["was not there (answering on the edge meanwhile)", f"{url} answers again"]


def test_a_reply_that_the_plan_does_not_expect_is_a_failed_exchange() -> None:
    wrong = TensorContract("x", "float32", (-1, 2))

    class Half(Arrays):
        def run(self, inputs: Sequence[Any]) -> list[Any]:
            return [inputs[0][:, :2]]

    with serving(ServedModel("m", Half(1), (CONTRACT,), (wrong,))) as url, CloudClient(url, "m") as client:
        edge = standing_by(client)
        assert isinstance(edge.infer([INPUT]), LocalAnswer)
        assert edge.errors == 1


def test_an_error_of_the_edges_own_is_no_failure_of_the_cloud() -> None:
    class Broken(Arrays):
        def run(self, inputs: Sequence[Any]) -> list[Any]:
            raise MemoryError

    with serving(ServedModel("m", Arrays(1), (CONTRACT,), (CONTRACT,))) as url, CloudClient(url, "m") as client:
        half = EdgeHalf(Broken(1), NOISE, client, crossing=["x"], replies=[CONTRACT])
        whole = Arrays(3)
        with pytest.raises(MemoryError):
            StandbyEdge(half, client, whole).infer([INPUT])
        assert whole.calls == 0


def test_a_reply_to_another_request_is_refused() -> None:
    body = b'{"id": "other-1", "model_name": "m", "outputs": []}'

    def answer(listener: socket.socket) -> None:
        near, _ = listener.accept()
        near.recv(65536)
        near.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer, args=(listener,), daemon=True).start()
        with CloudClient(f"http://127.0.0.1:{listener.getsockname()[1]}", "m", timeout_s=3) as client:
            client.binary = True
            with pytest.raises(PeerError, match="answered another request"):
                client.infer({"x": INPUT})


def test_what_may_pass_is_told_from_what_is_wrong() -> None:
    assert issubclass(UnansweredError, PeerError)
    with serving(ServedModel("m", Arrays(1), (CONTRACT,), (CONTRACT,))) as url:
        with CloudClient(url, "n") as client, pytest.raises(PeerError) as wrong:
            client.metadata()
    with CloudClient(url, "m") as client, pytest.raises(UnansweredError):
        client.metadata()
    assert not isinstance(wrong.value, UnansweredError)
