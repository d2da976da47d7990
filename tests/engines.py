"""Engines and models for tests of the server: a known linear layer behind a gate."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from runtime import protocol
from runtime.batching import MOST_INLINE_NS
from runtime.contract import TensorContract
from runtime.protocol import InferRequest
from runtime.served import ServedModel

WIDTH = 24
WEIGHTS = np.random.default_rng(5).normal(size=(WIDTH, 7)).astype(np.float32)


class Linear:
    """Inputs times WEIGHTS, at once."""

    name = "linear"

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        return [inputs[0] @ WEIGHTS]


class Gated:
    """A linear layer that computes once it is let, and too slowly for the event loop. odd: no batch with it works."""

    name = "gated"

    def __init__(self, *, odd: float | None = None) -> None:
        self.gate, self.began = threading.Event(), threading.Event()
        self.gate.set()
        self.rows: list[int] = []
        self._odd = odd

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        self.began.set()
        assert self.gate.wait(20)
        time.sleep(1.5e-9 * MOST_INLINE_NS)
        (given,) = inputs
        self.rows.append(len(given))
        if self._odd is not None and (given == self._odd).any():
            raise ValueError("a value of the tensor: 12345.678")
        return [given @ WEIGHTS]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nothing is computed meanwhile."""
        self.gate.clear()
        self.began.clear()
        self.rows.clear()
        try:
            yield
        finally:
            self.gate.set()


def model(engine: Any, *, rows: int = -1, dtype: str = "float32", name: str = "m") -> ServedModel:
    inputs, outputs = (TensorContract("x", dtype, (rows, WIDTH)),), (TensorContract("y", "float32", (rows, 7)),)
    return ServedModel(name, engine, inputs, outputs, ("float32",))


def ask(
    url: str, tensor: Any, *, id: str = "", timeout_s: float = 30, headers: Any = None, **parameters: Any
) -> httpx.Response:
    """One inference of model m, on a connection of its own."""
    message = protocol.encode_request(InferRequest({"x": tensor}, id=id, parameters=parameters))
    own = {**message.headers, **(headers or {})}
    return httpx.post(f"{url}/v2/models/m/infer", content=message.body, headers=own, timeout=timeout_s)


def answer(reply: httpx.Response) -> Any:
    assert reply.status_code == 200, reply.text
    return protocol.decode_reply(reply.content, reply.headers.get(protocol.HEADER_LENGTH)).tensors["y"]


def counted(url: str, name: str, **labels: str) -> float:
    """The sum of a server's samples of that name with those labels."""
    families = text_string_to_metric_families(httpx.get(f"{url}/metrics").text)
    samples = [one for family in families for one in family.samples]
    return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())


def until(true: Any) -> None:
    for _ in range(2000):
        if true():
            return
        threading.Event().wait(0.005)
    raise AssertionError("it did not come to that")
