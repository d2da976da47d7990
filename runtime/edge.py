"""The edge half at work: compute, add noise, send, read the answer. No torch here.

Nothing clean crosses: the only way from the half's tensors to the wire is through `EdgeHalf.prepare`, which adds
noise to every one that takes noise; where the noise is not for just these, no `EdgeHalf` is made. A retry sends the
identical bytes again, since two draws for one input would average out.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noise import grid
from noise.keyed import DrawKey
from noise.mechanism import Mechanism
from noise.randomness import Randomness
from profiles import codec
from profiles.codec import Quantisation
from profiles.engine import Engine
from profiles.errors import NoiseError, PeerError
from runtime.client import CloudClient, Exchange
from runtime.contract import TensorContract
from runtime.identity import HALF
from runtime.protocol import InferReply, Message
from runtime.sampler import Sampler

Array = NDArray[Any]
Fits = Callable[[Any], Sequence[Array]]
Joined = Callable[[Sequence[Array], Sequence[Array]], list[Array]]


@dataclass(frozen=True)
class Prepared:
    """An inference ready to be sent: its noise is added, and its bytes are the only ones that ever cross for it.

    tensors: what the edge half returned, without noise, crossing ones first; they stay here.
    """

    message: Message
    request_id: str
    rows: int
    tensors: list[Array] = field(repr=False)
    start_ns: int
    computed_ns: int
    prepared_ns: int


@dataclass(frozen=True)
class Inference:
    """Outputs of the whole network, and when each part began and ended on this side's clock.

    together: how many inferences share the message, and with it all times, bytes and the request's id.
    queued_ns: how long the input waited for the edge half before start_ns.
    """

    outputs: list[Array]
    request_id: str
    start_ns: int
    computed_ns: int
    prepared_ns: int
    end_ns: int
    exchange: Exchange
    together: int = 1
    queued_ns: int = 0

    def apart(self, rows: Sequence[int], taken_ns: Sequence[int]) -> "list[Inference]":
        """The inferences of this one's message, each with its own rows of the outputs. rows: how many each has, in
        order. taken_ns: since when each waited."""
        if len(rows) == 1:  # whose outputs may have no rows
            return [replace(self, queued_ns=self.start_ns - taken_ns[0])]
        ends = np.cumsum(rows)[:-1]
        columns = [np.split(output, ends) for output in self.outputs]
        return [
            replace(self, outputs=list(own), together=len(rows), queued_ns=self.start_ns - since_ns)
            for own, since_ns in zip(zip(*columns, strict=True), taken_ns, strict=True)
        ]

    @property
    def edge_ms(self) -> float:
        return (self.computed_ns - self.start_ns) / 1e6

    @property
    def noise_ms(self) -> float:
        """Waiting for noise, adding and packing: all between the edge's own work and a message ready to be sent."""
        return (self.prepared_ns - self.computed_ns) / 1e6

    @property
    def away_ms(self) -> float:
        """From a message ready to be sent to its answer."""
        return (self.end_ns - self.prepared_ns) / 1e6

    @property
    def total_ms(self) -> float:
        return (self.end_ns - self.start_ns) / 1e6


class EdgeHalf:
    """Edge half, noise and connection: an inference from input to answer. To be closed: it holds a thread.

    One caller at a time, but for `finish`.
    """

    def __init__(
        self,
        engine: Engine,
        noise: Mechanism,
        client: CloudClient,
        *,
        crossing: Sequence[str],
        replies: Sequence[TensorContract],
        beside: Sequence[str] = (),
        wire: str = "float32",
        quantisation: Mapping[str, Quantisation] | None = None,
        joined: Joined = lambda own, theirs: list(theirs),
        key: DrawKey | None = None,
        random: Randomness | None = None,
        timing: bool = False,
        expected: str | None = None,
        fits: Fits | None = None,
    ) -> None:
        """crossing: names in the order in which the half returns them. beside: those of them that are left alone
        (integers, what public inputs alone decide); every other one gets noise. wire: how floats are sent;
        quantisation: with int8 the levels of each, as they were fixed with the noise. replies: what the cloud half
        answers with.
        joined: (what the edge half returned, what the cloud answered) → the network's outputs in order. key: the same
        input gets the same noise, else it is fresh. random: the system's unless a test gives another. timing: ask the
        server for its clock readings. expected: identity of the cloud's half, which a server of this project is told.
        fits: inputs as they were given → as the engine takes them, or it raises; None: they are.

        Raises NoiseError where the noise is not for the crossing tensors that take noise, or lacks their levels.
        """
        noised = [name for name in crossing if name not in beside]
        if sorted(noise.nodes) != sorted(noised):
            raise NoiseError(
                f"the noise is for {', '.join(noise.nodes)}; what crosses and takes noise is {', '.join(noised)}; "
                "learn noise for this plan with `plan learn`"
            )
        self._quantisation = dict(quantisation or {})
        if wire == "int8" and (lacking := [name for name in noised if name not in self._quantisation]):
            raise NoiseError(f"{lacking[0]} is to cross as int8 and the noise has no scale for it; learn it anew")
        self._engine, self._noise, self._client, self._joined = engine, noise, client, joined
        self._crossing, self._beside, self._replies = tuple(crossing), frozenset(beside), tuple(replies)
        self._wire, self._gaps, self._fits = wire, grid.gaps(noise), fits
        self._sampler = Sampler(noise, key=key, random=random)
        self._ours: dict[str, Any] = {"plan_timing": True} if timing else {}
        if expected is not None:
            self._ours[HALF] = expected

    def infer(self, inputs: Sequence[Array]) -> Inference:
        """A batch [rows, ...] of each input → outputs of the network; every row has noise of its own.

        Raises PeerError where the reply is not what the plan expects.
        """
        prepared = self.prepare(inputs if self._fits is None else self._fits(inputs))
        exchange = self._client.send(
            prepared.message,
            request_id=prepared.request_id,
            awaiting=lambda: self._sampler.ahead(prepared.rows),
        )
        return self.finish(prepared, exchange)

    def prepare(self, inputs: Sequence[Array]) -> Prepared:
        """Compute, add noise, encode: the half of `infer` before anything is sent."""
        start_ns = time.monotonic_ns()
        rows = len(inputs[0])
        drawing = self._sampler.begin(inputs)
        tensors = self._engine.run(inputs)
        computed_ns = time.monotonic_ns()
        sent, parameters = self._noisy(tensors, drawing.take(), rows)
        request = self._client.request(sent, parameters=parameters, ours=self._ours)
        message = self._client.encoded(request)
        return Prepared(message, request.id, rows, tensors, start_ns, computed_ns, time.monotonic_ns())

    def finish(self, prepared: Prepared, exchange: Exchange) -> Inference:
        """The outputs, once the answer is there; from any thread. Raises PeerError as `infer`."""
        answered = [self._expected(exchange.reply, one, prepared.rows) for one in self._replies]
        outputs = self._joined(prepared.tensors, answered)
        return Inference(
            outputs,
            prepared.request_id,
            prepared.start_ns,
            prepared.computed_ns,
            prepared.prepared_ns,
            time.monotonic_ns(),
            exchange,
        )

    def close(self) -> None:
        """End the thread that draws. The connection is the caller's."""
        self._sampler.close()

    def __enter__(self) -> "EdgeHalf":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _expected(self, reply: InferReply, one: TensorContract, rows: int) -> Array:
        if one.name not in reply.tensors:
            raise PeerError(
                f"the reply has outputs {list(reply.tensors)}, the plan expects {one.name!r}; serve this plan there"
            )
        if (objection := one.objection(reply.tensors[one.name], rows=rows)) is not None:
            raise PeerError(f"the reply's output {objection}; serve this plan there")
        return reply.tensors[one.name]

    def _noisy(
        self, tensors: Sequence[Array], drawn: Sequence[Array], rows: int
    ) -> tuple[dict[str, Array], dict[str, Any]]:
        """What is sent, in the bits of the wire; and the request's parameters."""
        crossing = dict(zip(self._crossing, tensors, strict=False))
        hidden = self._hidden(crossing, drawn, rows)
        sent, parameters = dict[str, Array](), dict[str, Any]()
        for name in self._crossing:
            tensor = crossing[name] if name in self._beside else hidden[name]
            levels = self._quantisation.get(name)
            sent[name], scaling = codec.to_wire(tensor, name=name, wire=self._wire, quantisation=levels)
            parameters |= scaling
        return sent, parameters

    def _hidden(self, crossing: Mapping[str, Array], drawn: Sequence[Array], rows: int) -> dict[str, Array]:
        """Every crossing tensor that takes noise, with it: carried(a) + drawn, its low bits rounded off."""
        nodes = self._noise.nodes
        carried = self._noise.carried([crossing[name].reshape(rows, -1) for name in nodes])
        hidden = {}
        for name, known, random, gap in zip(nodes, carried, drawn, self._gaps, strict=True):
            if known.shape != random.shape:  # else one row's noise could be spread over all
                raise NoiseError(
                    f"{name}: noise of shape {list(random.shape)} for a tensor of {list(known.shape)}; "
                    "learn noise for this plan"
                )
            tensor = crossing[name]
            noisy = grid.rounded(known + random, gap).astype(tensor.dtype, copy=False)
            _require_hidden(name, known.astype(tensor.dtype, copy=False), noisy)
            hidden[name] = noisy.reshape(tensor.shape)
        return hidden


def _require_hidden(name: str, known: Array, noisy: Array) -> None:
    """Noise far below or beyond a tensor's own numbers leaves it as an adversary can tell it, or nothing of it.

    known: [rows, n], what is sent but for the noise, the tensor itself where noise is added.
    """
    same = noisy == known
    # Hardly ever is there one: only then the counts are made, a row at a time, since others must not make up for one.
    # Zeros apart: after a ReLU they are the most, and any noise changes them.
    if same.any() and (
        (2 * np.count_nonzero(same, axis=1) > same.shape[1]).any()
        or (2 * np.count_nonzero(same & (known != 0), axis=1) > np.count_nonzero(known, axis=1)).any()
    ):
        raise NoiseError(
            f"{name}: the noise is too weak to change it, nothing was sent; learn noise for this network"
        )
    # One pass that writes nothing; squares may overflow where the numbers do not.
    if not (math.isfinite(np.vdot(noisy, noisy)) or np.isfinite(noisy).all()):
        raise NoiseError(f"{name}: with its noise it is no finite number, nothing was sent; check inputs and noise")
