import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from servers import serving
from tap import Tap, requests

from noise import grid
from noise.cut_network import CutNetwork
from noise.datasets.records import Dataset
from noise.learned import Learned
from planner.plan import Plan
from profiles.errors import PeerError, UrlError
from runtime.client import CloudClient
from runtime.edge import EdgeHalf
from runtime.serving import agreement_of, served_models


@pytest.fixture(scope="module")
def url(lenet_plan: Plan) -> Iterator[str]:
    with serving(*served_models(lenet_plan, with_reference=False).values()) as found:
        yield found


@contextmanager
def edge_half(url: str, plan: Plan, learned: Learned, **options: Any) -> Iterator[EdgeHalf]:
    cut = CutNetwork.of(plan)
    with CloudClient(url, plan.model.name, timeout_s=5) as client:
        client.binary = True  # not asked for, so that what is captured are inferences alone
        options |= {"crossing": cut.halves.crossing, "replies": agreement_of(plan, cut).replies}
        with EdgeHalf(cut.edge, learned.noise, client, **options) as edge:
            yield edge


def sent_tensors(captured: bytes) -> list[Any]:
    """The tensor of every request in a captured stream."""
    return [tensors["flatten"] for tensors in requests(captured)]


def test_nothing_clean_crosses_and_no_noise_is_sent_twice(
    url: str, lenet_plan: Plan, lenet_learned: Learned, mnist: Dataset
) -> None:
    tap = Tap(url)
    inputs = mnist.test.inputs[:1]
    with edge_half(tap.url, lenet_plan, lenet_learned) as edge:
        for _ in range(5):
            edge.infer([inputs])
        edge.infer([np.repeat(inputs, 4, axis=0)])
    tap.close()
    (captured,) = tap.up
    (clean,) = CutNetwork.of(lenet_plan).edge.run([inputs])
    assert clean.tobytes() not in bytes(captured)
    rows = np.concatenate(sent_tensors(captured))
    assert rows.shape == (9, 120)
    # One and the same input, nine times: nine draws, of which no two share more than a few elements, by chance.
    assert (rows == clean).mean() < 0.02  # zero is on the grid
    assert max((one == other).mean() for one, other in combinations(rows, 2)) < 0.1


def test_what_crosses_is_learned_noise_in_its_saved_order(
    url: str, lenet_plan: Plan, lenet_learned: Learned, mnist: Dataset
) -> None:
    tap = Tap(url)
    with edge_half(tap.url, lenet_plan, lenet_learned) as edge:
        edge.infer([mnist.test.inputs[:20]])
    tap.close()
    (clean,) = CutNetwork.of(lenet_plan).edge.run([mnist.test.inputs[:20]])
    kept = lenet_learned.noise.tensors["flatten"]
    # What is sent lies on a grid: neighbours in the order may change places by as much.
    (gap,) = grid.gaps(lenet_learned.noise)
    for row in sent_tensors(tap.up[0])[0] - clean:
        assert any((np.diff(row[order]) <= gap.max() + 1e-4).all() for order in kept.order)


def test_answers_come_from_the_rest_of_the_network(
    url: str, lenet_plan: Plan, lenet_learned: Learned, mnist: Dataset
) -> None:
    with edge_half(url, lenet_plan, lenet_learned) as edge:
        done = edge.infer([mnist.test.inputs[:500]])
    right = (done.outputs[0].argmax(1) == mnist.test.labels[:500]).mean()
    assert right > 0.93
    assert 0 < done.edge_ms < done.total_ms
    assert done.exchange.bytes_up > 500 * 480


def test_a_retry_sends_the_identical_bytes(
    url: str, lenet_plan: Plan, lenet_learned: Learned, mnist: Dataset
) -> None:
    tap = Tap(url)
    tap.drop_next = 1
    with edge_half(tap.url, lenet_plan, lenet_learned) as edge:
        edge.infer([mnist.test.inputs[:1]])
    tap.close()
    dropped, answered = tap.up
    assert len(dropped) > 480
    assert dropped == answered


def test_every_byte_is_counted(url: str, lenet_plan: Plan, lenet_learned: Learned, mnist: Dataset) -> None:
    tap = Tap(url)
    with edge_half(tap.url, lenet_plan, lenet_learned) as edge:
        counted = [edge.infer([mnist.test.inputs[:1]]).exchange.bytes_up for _ in range(3)]
    tap.close()
    assert sum(counted) == len(tap.up[0])


def test_a_peer_that_is_not_there_or_not_ours_is_named(url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with CloudClient(f"http://127.0.0.1:{port}", "lenet", timeout_s=0.2) as client:
            with pytest.raises(PeerError, match=f"127.0.0.1:{port} did not answer in time"):
                client.metadata()
    with CloudClient(f"http://127.0.0.1:{port}", "lenet") as client:
        with pytest.raises(PeerError, match=f"127.0.0.1:{port} cannot be reached"):
            client.metadata()
    with CloudClient(url, "vgg") as client, pytest.raises(PeerError, match="serves no model 'vgg'"):
        client.metadata()
    with CloudClient(url, "lenet") as client, pytest.raises(PeerError, match="refused the inference"):
        client.infer({"flatten": np.zeros((1, 7), np.float32)})
    for wrong in (
        "cloud:8400",
        "ftp://cloud",
        "http://",
        "http://cloud:port",
        "http://cloud:99999",
        "",
        "http://é:1",
        "http://a:1\n",
    ):
        with pytest.raises(UrlError, match="expected http://host:port"):
            CloudClient(wrong, "lenet")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nnot json!",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\ncut short",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nInference-Header-Content-Length: 77\r\n\r\n{}",
        b"SSH-2.0-server\r\n",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_a_reply_that_is_none_is_a_peer_that_failed(answer: bytes) -> None:
    def reply(listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            near.settimeout(0.2)
            try:
                while near.recv(65536):
                    pass
            except TimeoutError:
                near.sendall(answer)
            near.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=reply, args=(listener,), daemon=True).start()
        with CloudClient(f"http://127.0.0.1:{listener.getsockname()[1]}", "lenet", timeout_s=2) as client:
            with pytest.raises(PeerError):
                client.infer({"flatten": np.zeros((1, 120), np.float32)})
            with pytest.raises(PeerError):
                client.metadata()


@pytest.mark.parametrize(
    ("array", "word"),
    [
        (np.zeros((3, 10), np.float32), "expected FP32 [2, 10]"),
        (np.zeros((2, 9), np.float32), "expected FP32 [2, 10]"),
        (np.zeros((2, 10), np.int64), "got INT64"),
    ],
)
def test_a_reply_of_other_rows_shape_or_type_is_refused(
    lenet_plan: Plan, lenet_learned: Learned, mnist: Dataset, array: Any, word: str
) -> None:
    class Wrong:
        name = "wrong"

        def run(self, _: Any) -> list[Any]:
            return [array]

    (model,) = served_models(lenet_plan, with_reference=False).values()
    with serving(replace(model, engine=Wrong())) as url, edge_half(url, lenet_plan, lenet_learned) as edge:
        with pytest.raises(PeerError) as refused:
            edge.infer([mnist.test.inputs[:2]])
    assert word in str(refused.value)
