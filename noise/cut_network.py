"""A plan's network, cut and loaded: both halves in this process, their tensors, and what the network answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
from profiles import halves
from profiles.engine import TorchEngine, run_in_batches
from profiles.errors import DataError, NoiseError
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


@dataclass(frozen=True)
class CutNetwork:
    """A plan's network, cut: both halves ready to run in this process."""

    network: TracedNetwork
    edge: TorchEngine
    cloud: fx.GraphModule
    shapes: dict[str, tuple[int, ...]]

    @classmethod
    def of(cls, plan: Plan) -> "CutNetwork":
        """Load the plan's model and cut it. Raises NoiseError where it is not the model that was planned."""
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
        made = halves.split(network, plan.cut.edge_nodes)
        whole_numbers = [one.node for one in plan.cut.crossing if not one.dtype.startswith("float")]
        if whole_numbers:
            raise NoiseError(
                f"{whole_numbers[0]} crosses and holds whole numbers; noise is for floats, cut elsewhere"
            )
        shapes = {one.node: one.shape[1:] for one in plan.cut.crossing}
        return cls(network, TorchEngine(made.edge), made.cloud.requires_grad_(False), shapes)

    def activations(self, split: Split, *, origin: str) -> Activations:
        """Run the edge half over a split once. Raises DataError where the inputs do not fit the network."""
        expected = tuple(self.network.example[0].shape[1:])
        if len(self.network.example) != 1 or tuple(split.inputs.shape[1:]) != expected:
            raise DataError(
                f"{origin}: inputs of shape {list(split.inputs.shape[1:])}, the model takes {list(expected)}"
            )
        outputs = run_in_batches(self.edge, split.inputs)
        clean = self.classes([torch.from_numpy(one) for one in outputs])
        return Activations(tuple(one.reshape(len(one), -1) for one in outputs), split.labels, clean)

    def logits(self, flat: Sequence[torch.Tensor]) -> torch.Tensor:
        """Cloud half on flattened crossing tensors [rows, n] each → logits [rows, classes]."""
        shaped = [one.reshape(-1, *shape) for one, shape in zip(flat, self.shapes.values(), strict=True)]
        result: torch.Tensor = self.cloud(*shaped)[0]
        return result

    def classes(self, flat: Sequence[torch.Tensor], *, size: int = 4000) -> Array:
        with torch.inference_mode():
            parts = zip(*(torch.split(one, size) for one in flat), strict=True)
            return torch.cat([self.logits(part).argmax(1) for part in parts]).numpy()

    def judge(self, noise: LaplaceNoise, on: Activations, *, random: Uniforms) -> tuple[Accuracy, float]:
        """Accuracy with fresh noise for every input, in this process, and 1/SNR of that noise."""
        drawn = noise.draw(len(on), random)
        noisy = [torch.from_numpy(one + more) for one, more in zip(on.tensors, drawn, strict=True)]
        variance = sum(float(one.var()) * one.shape[1] for one in drawn)
        power = sum(float((one**2).mean()) * one.shape[1] for one in on.tensors)
        return compare(on.clean, self.classes(noisy), on.labels), variance / power
