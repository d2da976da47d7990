"""A plan's network, cut and loaded: both halves in this process, their tensors, and what the network answers."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx
from torch.nn import functional

from noise import quantisation
from noise.accuracy import compare
from noise.activations import CHUNK_ELEMENTS, MOST_BYTES, Activations, empty, rows_kept
from noise.collection import Accuracy
from noise.crossing_checks import require_legal, require_noisy, takes_noise
from noise.datasets.records import Split
from noise.mechanism import Mechanism
from noise.network_inputs import NetworkInput, fitted, inputs_of
from noise.randomness import Randomness
from noise.side_by_side import side_by_side
from planner.plan import Plan
from profiles import codec
from profiles.codec import Quantisation
from profiles.engine import TorchEngine, batches
from profiles.errors import DataError, NoiseError
from profiles.halves import Halves, split
from profiles.models import load_model
from profiles.trace import TracedNetwork, trace

#: A covariance of larger numbers overflows float32.
LARGEST = 1e15

Array = NDArray[Any]

#: Several draws of few rows are judged in one call of so many rows at most.
MERGED_ROWS = 1000


def _at_once(rows: int, elements: int, draws: int) -> list[int]:
    """How many draws of so few rows go through the cloud half together, call by call."""
    most = max(1, min(MERGED_ROWS, CHUNK_ELEMENTS // max(1, elements)) // rows)
    return [min(most, draws - start) for start in range(0, draws, most)]


def _repeated(rows: Array, times: int) -> Array:
    return rows if times == 1 else np.tile(rows, (times, *[1] * (rows.ndim - 1)))


@dataclass(frozen=True)
class CutNetwork:
    """A plan's network, cut: both halves ready to run in this process.

    shapes: of one inference's share of each crossing tensor that takes noise. beside: ids of the crossing tensors
    that are left alone. wire: how floats cross.
    """

    network: TracedNetwork
    halves: Halves
    edge: TorchEngine
    cloud: fx.GraphModule
    shapes: dict[str, tuple[int, ...]]
    beside: tuple[str, ...] = ()
    wire: str = "float32"

    @classmethod
    def of(cls, plan: Plan, *, device: str = "cpu", network: TracedNetwork | None = None) -> "CutNetwork":
        """Load the plan's model and cut it. device: where the edge half runs. network: loaded before.

        Raises NoiseError where it is not the model that was planned, or nothing crosses that can take noise.
        """
        if not plan.cut.crossing or plan.cut.name == "cloud-only":
            raise NoiseError(
                f"the plan is {plan.cut.name}: no tensor crosses that noise could be learned for; cut it"
            )
        if plan.model.source is None:
            raise NoiseError(
                "the plan does not say where its model is (model.source); profile it with `plan profile`"
            )
        if network is None:
            network = trace(load_model(plan.model.source), batch=plan.settings.batch)
        if network.architecture != plan.model.architecture:
            raise NoiseError(f"{plan.model.source} is not the network that was planned; profile and cut it again")
        if plan.model.weights not in (None, network.model.weights):
            raise NoiseError(f"{plan.model.source} has other weights than were planned; profile and cut it again")
        require_legal(plan, network)
        require_noisy(plan, network)
        made = split(network, plan.cut.edge_nodes)
        noised = [one for one in plan.cut.crossing if takes_noise(one, plan, network)]
        shapes = {one.node: one.row_shape(network.batch) for one in noised}
        beside = tuple(one.node for one in plan.cut.crossing if one.node not in shapes)
        edge, cloud = TorchEngine(made.edge, device=device), made.cloud.requires_grad_(False)
        return cls(network, made, edge, cloud, shapes, beside, plan.settings.wire)

    @cached_property
    def _across(self) -> Callable[..., Any]:
        return side_by_side(self.cloud)

    @property
    def rows(self) -> int | None:
        """The number of rows that one call of a half takes; None: any."""
        return None if self.halves.any_rows else self.network.batch

    @cached_property
    def inputs(self) -> tuple[NetworkInput, ...]:
        """What the network takes, in the graph's order."""
        return inputs_of(self.network)

    def fitting(self, inputs: Any, *, origin: str) -> tuple[Array, ...]:
        """As `network_inputs.fitted`: an array [n, ...] for each input of the network."""
        return fitted(self.inputs, inputs, origin=origin)

    @property
    def elements(self) -> int:
        """Of one inference's crossing tensors that take noise, together."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def activations(self, split: Split, *, origin: str, most_bytes: int = MOST_BYTES) -> Activations:
        """Run the edge half over a split once; of tensors so large that `most_bytes` do not hold them, over its first
        rows. Raises DataError where inputs or labels do not fit the network."""
        kept = rows_kept(len(split), self.elements, most_bytes=most_bytes)
        parts = self.stream(split[:kept], origin=origin)
        first = next(parts)
        if len(first) == kept:
            return first
        tensors = tuple(empty(kept, one.shape[1]) for one in first.tensors)
        beside, logits, done = [first.beside], [first.logits], 0
        for part in itertools.chain([first], parts):
            for room, one in zip(tensors, part.tensors, strict=True):
                room[done : done + len(part)] = one
            if done:
                beside.append(part.beside)
                logits.append(part.logits)
            done += len(part)
        joined = tuple(np.concatenate(column) for column in zip(*beside, strict=True))
        return Activations(tensors, joined, split.labels[:kept], np.concatenate(logits))

    def stream(self, split: Split, *, origin: str) -> Iterator[Activations]:
        """A split's activations, some rows at a time. Raises DataError as `activations`."""
        inputs = self.fitting(split.inputs, origin=origin)
        most = max(1, min(500, CHUNK_ELEMENTS // max(1, self.elements)))
        done = 0
        for part, count in batches(inputs, rows=self.rows, most=most):
            size = len(part[0])
            crossing = dict(zip(self.halves.crossing, self.edge.run(part), strict=False))
            rowed = {name: one if one.ndim and len(one) == size else one[None] for name, one in crossing.items()}
            # Learning works in float32, whatever the network's own floats are.
            tensors = tuple(
                rowed[name][:count].reshape(count, -1).astype(np.float32, copy=False) for name in self.shapes
            )
            beside = tuple(rowed[name][:count] for name in self.beside)
            self._require_finite(tensors, origin=origin)
            logits = self._checked_logits(tensors, beside, split.labels, origin=origin)
            yield Activations(tensors, beside, split.labels[done : done + count], logits)
            done += count

    def _require_finite(self, tensors: Sequence[Array], *, origin: str) -> None:
        """Infinity is what it was under any noise."""
        for name, one in zip(self.shapes, tensors, strict=True):
            if not np.isfinite(one).all():
                odd = one[~np.isfinite(one)][0]
                raise NoiseError(
                    f"{name} crosses and holds {odd} on {origin}, which no noise hides; cut elsewhere, or write "
                    "-inf as a finite number; what public inputs alone decide crosses as it is (--public-input)"
                )
            if (largest := float(np.abs(one).max(initial=0))) > LARGEST:
                raise DataError(
                    f"{origin}: {name} crosses with numbers as large as {largest:.2g}, whose covariance is no finite "
                    "number; check or scale the inputs"
                )

    def _checked_logits(
        self, tensors: Sequence[Array], beside: Sequence[Array], labels: Array, *, origin: str
    ) -> Array:
        with torch.inference_mode():
            logits = self.logits([torch.from_numpy(one) for one in tensors], beside)
        if logits.ndim != 2:
            raise DataError(f"{origin}: the first output is {list(logits.shape)}, learning needs [n, classes]")
        if labels.min() < 0 or labels.max() >= logits.shape[1]:
            raise DataError(
                f"{origin}: labels from {labels.min()} to {labels.max()}, the model tells "
                f"{logits.shape[1]} classes apart, expected 0 to {logits.shape[1] - 1}"
            )
        if not torch.isfinite(logits).all():
            raise DataError(f"{origin}: what the model makes of some inputs is no finite number; check their values")
        return logits.numpy()

    def logits(self, flat: Sequence[torch.Tensor], beside: Sequence[Array] = ()) -> torch.Tensor:
        """Cloud half on flattened crossing tensors [rows, n] each, and on those beside → logits [rows, classes]."""
        given = dict(zip(self.shapes, flat, strict=True))
        given |= {name: torch.from_numpy(one) for name, one in zip(self.beside, beside, strict=True)}
        call: Callable[..., Any] = self.cloud
        missing = 0
        if self.rows is not None:
            # One call for each batch that was traced, side by side.
            call = self._across
            missing = -len(flat[0]) % self.rows
        shaped = []
        for name in self.halves.crossing:
            one = given[name]
            if self.rows is None:
                shape: tuple[int, ...] = (-1, *self.shapes.get(name, one.shape[1:]))
            else:
                one = torch.cat([one, one[-1:].expand(missing, *one.shape[1:])]) if missing else one
                shape = (-1, *self.network.graph.by_id[name].shape)
            shaped.append(one.reshape(shape).to(self.network.fx_nodes[name].meta["val"].dtype))
        result: torch.Tensor = call(*shaped)[0].float()
        if self.rows is not None:
            result = result.flatten(0, 1)[: len(flat[0])]
        return result

    def quantised(self, noise: Mechanism, on: Activations, *, random: Randomness) -> dict[str, Quantisation]:
        """For each float tensor that crosses its levels under this noise, where the wire is int8; else none.

        on: rows of data that no user sends; some of them do.
        """
        if self.wire != "int8":
            return {}
        rows = min(len(on), quantisation.rows_sampled(self.elements))
        part = on.take(np.linspace(0, len(on) - 1, rows).astype(np.int64))
        pairs = zip(noise.carried(part.tensors), noise.draw(rows, random), strict=True)
        return self.levels_of([one + more for one, more in pairs], part.beside)

    def levels_of(self, noisy: Sequence[Array], beside: Sequence[Array]) -> dict[str, Quantisation]:
        """As `quantised`, from the very tensors [rows, …]."""
        if self.wire != "int8":
            return {}
        found = {name: quantisation.of_noisy(one) for name, one in zip(self.shapes, noisy, strict=True)}
        floats = [pair for pair in zip(self.beside, beside, strict=True) if codec.is_float(str(pair[1].dtype))]
        return found | {name: quantisation.of_public(one) for name, one in floats}

    def received(
        self, noisy: Sequence[Array], beside: Sequence[Array], levels: Mapping[str, Quantisation]
    ) -> tuple[list[Array], list[Array]]:
        """What the cloud half gets of tensors [rows, …]: as they were sent, and back in their own type."""
        crossed = []
        for name, one in zip((*self.shapes, *self.beside), (*noisy, *beside), strict=True):
            sent, parameters = codec.to_wire(one, name=name, wire=self.wire, quantisation=levels.get(name))
            crossed.append(codec.from_wire(sent, name=name, dtype=str(one.dtype), parameters=parameters))
        return crossed[: len(noisy)], crossed[len(noisy) :]

    def judge(
        self,
        noise: Mechanism,
        on: Iterable[Activations],
        *,
        random: Randomness,
        draws: int = 1,
        levels: Mapping[str, Quantisation] | None = None,
    ) -> tuple[Accuracy, float]:
        """Accuracy with fresh noise for every input, in the bits of the wire, and 1/SNR of that noise.

        on: a split's activations, in parts. draws: how often each input is judged. levels: of each tensor, for int8.
        1/SNR = σ²(n) / E[a²], of all crossing tensors together; where the input is mapped, n is what is random.
        """
        clean, answered, labels = [], [], []
        variance, power = 0.0, 0.0
        for part in on:
            carried = noise.carried(part.tensors)
            answers = []
            for turns in _at_once(len(part), self.elements, draws):
                drawn = noise.draw(turns * len(part), random)
                noisy = [_repeated(one, turns) + more for one, more in zip(carried, drawn, strict=True)]
                tensors, beside = self.received(noisy, [_repeated(one, turns) for one in part.beside], levels or {})
                answers.append(self.classes(tensors, beside).reshape(turns, -1))
                variance += turns * len(part) * sum(float(one.var()) * one.shape[1] for one in drawn) / draws
            answered.append(np.concatenate(answers))
            clean.append(part.clean)
            labels.append(part.labels)
            power += sum(float(np.square(one).sum()) for one in part.tensors)
        found = compare(np.concatenate(clean), np.concatenate(answered, axis=1), np.concatenate(labels))
        return found, variance / power

    def divergence(self, noise: Mechanism, on: Activations, *, random: Randomness) -> float:
        """Mean Kullback-Leibler divergence of the noisy answer from the clean one, nats."""
        total = 0.0
        for part in on:
            pairs = zip(noise.carried(part.tensors), noise.draw(len(part), random), strict=True)
            sent = [torch.from_numpy(one + more) for one, more in pairs]
            with torch.inference_mode():
                noisy = self.logits(sent, part.beside).log_softmax(1)
            clean = torch.from_numpy(part.logits).log_softmax(1)
            total += float(functional.kl_div(noisy, clean, log_target=True, reduction="sum"))
        return total / len(on)

    def classes(self, tensors: Sequence[Array], beside: Sequence[Array]) -> NDArray[np.int64]:
        """What the cloud half names on flattened crossing tensors, [rows]."""
        with torch.inference_mode():
            logits = self.logits([torch.from_numpy(one) for one in tensors], beside)
        named: NDArray[np.int64] = logits.argmax(1).numpy()
        return named
