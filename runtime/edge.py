"""The edge half at work: compute, add fresh noise, send, read the answer. No torch here.

Nothing clean crosses: the only way from the half's tensors to the wire is through `EdgeHalf.infer`, which adds noise
to every one of them. A retry sends the identical bytes again, since two draws for one input would average out.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import httpcore
import numpy as np
from numpy.typing import NDArray

from noise.mechanism import Mechanism
from noise.randomness import Randomness, SystemRandom
from profiles import codec
from profiles.engine import Engine
from profiles.errors import NoiseError, PeerError, UrlError
from runtime import protocol
from runtime.contract import TensorContract
from runtime.protocol import InferReply, InferRequest, ModelMetadata, ProtocolError

Array = NDArray[Any]
Joined = Callable[[Sequence[Array], Sequence[Array]], list[Array]]
MOST_REPLY_BYTES = 256 * 2**20
#: For a whole body; a peer that drips bytes would otherwise be waited for without end.
MOST_REPLY_S = 120.0


@dataclass(frozen=True)
class Inference:
    """Outputs of the whole network, and when each part began and ended on this side's clock."""

    outputs: list[Array]
    start_ns: int
    computed_ns: int
    end_ns: int
    exchange: Exchange

    @property
    def edge_ms(self) -> float:
        return (self.computed_ns - self.start_ns) / 1e6

    @property
    def noise_ms(self) -> float:
        """Drawing, adding and packing: all between the edge's own work and the first byte sent."""
        return (self.exchange.start_ns - self.computed_ns) / 1e6

    @property
    def total_ms(self) -> float:
        return (self.end_ns - self.start_ns) / 1e6


class EdgeHalf:
    """Edge half, noise and connection: an inference from input to answer."""

    def __init__(
        self,
        engine: Engine,
        noise: Mechanism,
        client: CloudClient,
        *,
        crossing: Sequence[str],
        replies: Sequence[TensorContract],
        wire: str = "float32",
        joined: Joined = lambda own, theirs: list(theirs),
        random: Randomness | None = None,
        timing: bool = False,
    ) -> None:
        """crossing: names in the order in which the half returns them. wire: how floats are sent. replies: what the
        cloud half answers with.
        joined: (what the edge half returned, what the cloud answered) → the network's outputs in order. random: the
        system's unless a test gives another. timing: ask the server for its clock readings."""
        self._engine, self._noise, self._client, self._joined = engine, noise, client, joined
        self._crossing, self._replies, self._wire = tuple(crossing), tuple(replies), wire
        self._random = random or SystemRandom()
        self._parameters: dict[str, Any] = {"plan_timing": True} if timing else {}

    def infer(self, inputs: Sequence[Array]) -> Inference:
        """A batch [rows, ...] of each input → outputs of the network; fresh noise for every row.

        Raises PeerError where the reply is not what the plan expects.
        """
        start_ns = time.monotonic_ns()
        tensors = self._engine.run(inputs)
        computed_ns = time.monotonic_ns()
        rows = len(inputs[0])
        sent, parameters = self._noisy(tensors, rows)
        exchange = self._client.infer(sent, parameters=parameters)
        outputs = self._joined(tensors, [self._expected(exchange.reply, one, rows) for one in self._replies])
        return Inference(outputs, start_ns, computed_ns, time.monotonic_ns(), exchange)

    def _expected(self, reply: InferReply, one: TensorContract, rows: int) -> Array:
        if one.name not in reply.tensors:
            raise PeerError(
                f"the reply has outputs {list(reply.tensors)}, the plan expects {one.name!r}; serve this plan there"
            )
        if (objection := one.objection(reply.tensors[one.name], rows=rows)) is not None:
            raise PeerError(f"the reply's output {objection}; serve this plan there")
        return reply.tensors[one.name]

    def _noisy(self, tensors: Sequence[Array], rows: int) -> tuple[dict[str, Array], dict[str, Any]]:
        """What is sent, noise added, in the bits of the wire; and the request's parameters."""
        drawn = self._noise.draw(rows, self._random)
        sent, parameters = dict[str, Array](), dict(self._parameters)
        for name, tensor, more in zip(self._crossing, tensors[: len(self._crossing)], drawn, strict=True):
            noisy = (tensor + more.reshape(tensor.shape)).astype(tensor.dtype, copy=False)
            _require_hidden(name, tensor, noisy)
            sent[name], scaling = codec.to_wire(noisy, name=name, wire=self._wire)
            parameters |= scaling
        return sent, parameters


def _require_hidden(name: str, tensor: Array, noisy: Array) -> None:
    """Noise far below or beyond a tensor's own numbers leaves it clean, or leaves nothing of it."""
    # Zeros apart: after a ReLU they are the most, and any noise changes them.
    if 2 * np.count_nonzero((noisy == tensor) & (tensor != 0)) > np.count_nonzero(tensor):
        raise NoiseError(
            f"{name}: the noise is too weak to change it, nothing was sent; learn noise for this network"
        )
    if not np.isfinite(noisy).all():
        raise NoiseError(f"{name}: with its noise it is no finite number, nothing was sent; check inputs and noise")
