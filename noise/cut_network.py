"""A plan's network, cut and loaded: both halves in this process, their tensors, and what the network answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from noise.accuracy import compare
from noise.collection import Accuracy
from noise.datasets.records import Split
from noise.laplace import LaplaceNoise
from noise.randomness import Uniforms
from planner.legality import CutRules
from planner.plan import Plan
from profiles import codec
from profiles.engine import TorchEngine, run_in_batches
from profiles.errors import DataError, NoiseError
from profiles.halves import Halves, split
from profiles.models import load_model
from profiles.trace import TracedNetwork, trace

Array = NDArray[Any]


@dataclass(frozen=True)
class Activations:
    """The crossing tensors of one split, flattened, and what the network says without noise.

    tensors: for each crossing tensor [rows, n]. labels, clean: [rows].
    """

    tensors: tuple[Array, ...]
    labels: Array
    clean: Array

    def __len__(self) -> int:
        return len(self.labels)


def _require_legal(plan: Plan, network: TracedNetwork) -> None:
    """A plan's file may have been changed by hand: nothing but a legal cut may be run, or the input could cross."""
    rules = CutRules(network.graph, frozenset(plan.settings.public_inputs))
    unknown = [name for name in plan.cut.edge_nodes if name not in network.graph]
    if unknown:
        raise NoiseError(f"plan: cut.edge_nodes names {unknown[0]!r}, which is no node of the network; cut it again")
    if (objection := rules.objection(plan.cut.edge_nodes)) is not None:
        raise NoiseError(f"plan: cut.edge_nodes is no legal cut, {objection}; cut it again with `plan cut`")
    crossing = tuple((node.id, node.shape, node.dtype) for node in rules.crossing(plan.cut.edge_nodes))
    if crossing != tuple((one.node, one.shape, one.dtype) for one in plan.cut.crossing):
        raise NoiseError("plan: cut.crossing is not what cut.edge_nodes sends; cut it again with `plan cut`")


def _require_noisy(plan: Plan, network: TracedNetwork) -> None:
    """What crosses must be floats, in whole shares, and decide the first output."""
    for one in plan.cut.crossing:
        if not one.dtype.startswith("float"):
            raise NoiseError(
                f"{one.node} crosses and holds {one.dtype}; noise is for float16, float32 and float64: "
                "cut elsewhere, or convert the model with .float()"
            )
        if network.batch > 1 and not network.rowwise(one.node):
            raise NoiseError(
                f"{one.node} crosses at {list(one.shape)}, whose first dimension is not the batch of "
                f"{network.batch}; profile at --batch 1 or cut elsewhere"
            )
    if network.graph.outputs[0].id in plan.cut.edge_nodes:
        raise NoiseError("the first output is computed on the edge: what crosses does not decide it; cut earlier")


@dataclass(frozen=True)
class CutNetwork:
    """A plan's network, cut: both halves ready to run in this process.

    shapes: of one inference's share of each crossing tensor. wire: how floats cross.
    """

    network: TracedNetwork
    halves: Halves
    edge: TorchEngine
    cloud: fx.GraphModule
    shapes: dict[str, tuple[int, ...]]
    wire: str = "float32"

    @classmethod
    def of(cls, plan: Plan, *, device: str = "cpu") -> "CutNetwork":
        """Load the plan's model and cut it. device: where the edge half runs.

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
        network = trace(load_model(plan.model.source), batch=plan.settings.batch)
        if network.architecture != plan.model.architecture:
            raise NoiseError(f"{plan.model.source} is not the network that was planned; profile and cut it again")
        if plan.model.weights not in (None, network.model.weights):
            raise NoiseError(f"{plan.model.source} has other weights than were planned; profile and cut it again")
        _require_legal(plan, network)
        _require_noisy(plan, network)
        made = split(network, plan.cut.edge_nodes)
        shapes = {one.node: one.row_shape(network.batch) for one in plan.cut.crossing}
        edge, cloud = TorchEngine(made.edge, device=device), made.cloud.requires_grad_(False)
        return cls(network, made, edge, cloud, shapes, plan.settings.wire)

    @property
    def rows(self) -> int | None:
        """The number of rows that one call of a half takes; None: any."""
        return None if self.halves.any_rows else self.network.batch

    def fitting(self, inputs: Array, *, origin: str) -> Array:
        """Inputs [n, ...] in the type the network takes. Raises DataError where shape or type do not fit."""
        if len(self.network.example) != 1:
            names = ", ".join(node.id for node in self.network.graph.inputs)
            raise DataError(
                f"{origin}: one array of inputs, the model takes {names}; data for one input is supported"
            )
        example = self.network.example[0]
        expected, dtype = tuple(example.shape[1:]), str(example.dtype).removeprefix("torch.")
        if tuple(inputs.shape[1:]) != expected:
            raise DataError(f"{origin}: inputs of shape {list(inputs.shape[1:])}, the model takes {list(expected)}")
        if np.dtype(dtype).kind != inputs.dtype.kind:
            raise DataError(f"{origin}: inputs of type {inputs.dtype}, the model takes {dtype}")
        return inputs.astype(dtype, copy=False)

    def activations(self, split: Split, *, origin: str) -> Activations:
        """Run the edge half over a split once. Raises DataError where inputs or labels do not fit the network."""
        inputs = self.fitting(split.inputs, origin=origin)
        outputs = run_in_batches(self.edge, inputs, rows=self.rows)
        count = len(self.halves.crossing)
        # Learning works in float32, whatever the network's own floats are.
        tensors = tuple(one.reshape(len(inputs), -1).astype(np.float32, copy=False) for one in outputs[:count])
        logits = self.logits([torch.from_numpy(one[: self.rows or 1]) for one in tensors])
        if logits.ndim != 2:
            raise DataError(f"{origin}: the first output is {list(logits.shape)}, learning needs [n, classes]")
        if split.labels.min() < 0 or split.labels.max() >= logits.shape[1]:
            raise DataError(
                f"{origin}: labels from {split.labels.min()} to {split.labels.max()}, the model tells "
                f"{logits.shape[1]} classes apart, expected 0 to {logits.shape[1] - 1}"
            )
        return Activations(tensors, split.labels, self.classes([torch.from_numpy(one) for one in tensors]))

    def logits(self, flat: Sequence[torch.Tensor]) -> torch.Tensor:
        """Cloud half on flattened crossing tensors [rows, n] each → logits [rows, classes]."""
        if self.rows is None:
            shapes = [(-1, *shape) for shape in self.shapes.values()]
            call: Callable[..., Any] = self.cloud
        else:
            # One call for each batch that was traced, side by side.
            traced = [self.network.graph.by_id[name].shape for name in self.shapes]
            shapes = [(-1, *shape) for shape in traced]
            call = torch.vmap(self.cloud)
            missing = -len(flat[0]) % self.rows
            flat = [torch.cat([one, one[-1:].expand(missing, -1)]) if missing else one for one in flat]
        dtypes = [self.network.fx_nodes[name].meta["val"].dtype for name in self.shapes]
        shaped = [one.reshape(shape).to(dtype) for one, shape, dtype in zip(flat, shapes, dtypes, strict=True)]
        result: torch.Tensor = call(*shaped)[0].float()
        if self.rows is not None:
            result = result.flatten(0, 1)[: len(flat[0]) - missing]
        return result

    def classes(self, flat: Sequence[torch.Tensor], *, size: int = 4000) -> Array:
        with torch.inference_mode():
            parts = zip(*(torch.split(one, size) for one in flat), strict=True)
            return torch.cat([self.logits(part).argmax(1) for part in parts]).numpy()

    def judge(self, noise: LaplaceNoise, on: Activations, *, random: Uniforms) -> tuple[Accuracy, float]:
        """Accuracy with fresh noise for every input, in the bits of the wire, and 1/SNR of that noise."""
        drawn = noise.draw(len(on), random)
        noisy = [torch.from_numpy(self._crossed(one + more)) for one, more in zip(on.tensors, drawn, strict=True)]
        variance = sum(float(one.var()) * one.shape[1] for one in drawn)
        power = sum(float((one**2).mean()) * one.shape[1] for one in on.tensors)
        return compare(on.clean, self.classes(noisy), on.labels), variance / power

    def _crossed(self, noisy: Array) -> Array:
        """What the cloud gets of a tensor [rows, n]: as it was sent, and back in float32."""
        sent, parameters = codec.to_wire(noisy, name="n", wire=self.wire)
        return codec.from_wire(sent, name="n", dtype="float32", parameters=parameters)
