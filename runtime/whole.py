"""The whole network, where it is at hand: are the halves equal to it, what does it answer, how long is cloud-only?

All but the last is computed in this process, without noise; nothing of it crosses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from noise.cut_network import CutNetwork
from noise.network_inputs import NetworkInput
from planner.plan import Plan
from profiles import halves
from profiles.engine import EagerEngine, Engine, OnnxEngine, batches, run_in_batches
from profiles.graph import Node
from profiles.trace import TracedNetwork
from runtime.client import CloudClient, Exchange
from runtime.inference import TIMING
from runtime.serving import cloud_side, encoded_dtype, planned_edge, whole_engine
from runtime.sides import EdgeSide

Array = NDArray[Any]

EQUALITY_ROWS = 256


@dataclass(frozen=True)
class WholeNetwork:
    """A plan's network, and the edge side made from it."""

    plan: Plan
    cut: CutNetwork
    edge: EdgeSide

    @classmethod
    def of(cls, plan: Plan, *, network: TracedNetwork | None = None) -> Self:
        """network: traced before, for another cut of it. Raises what `planned_edge` does."""
        return cls(plan, *planned_edge(plan, network=network))

    def engine(self) -> Engine:
        """All of it, in the engine of the plan's edge."""
        return whole_engine(self.plan, self.cut)

    def held_against(self, inputs: Sequence[Array]) -> tuple[float, Array]:
        """`difference` on these inputs [n, ...], and the module's own classes [n]."""
        largest = self.difference(inputs)
        own = EagerEngine(self.cut.network)
        answers = run_in_batches(own, inputs, rows=self.edge.agreed.rows, most=EQUALITY_ROWS)
        return largest, answers[0].argmax(1)

    def difference(self, inputs: Sequence[Array]) -> float:
        """Largest difference between the halves, each in its engine, and the user's own module, relative to the
        largest value; over the first inputs.

        Raises EqualityError beyond what one engine, or two, may differ by.
        """
        own, cloud = EagerEngine(self.cut.network), cloud_side(self.plan, self.cut, threads=self.plan.edge.threads)
        agreed, edge = self.edge.agreed, self.edge.engine
        crossed = OnnxEngine.name in (edge.name, cloud.engine.name)
        differences = []
        for size in {1, EQUALITY_ROWS} if agreed.rows is None else {agreed.rows}:
            first, _ = next(batches(inputs, rows=agreed.rows, most=size))
            tensors = edge.run(first)
            split = agreed.joined(tensors, cloud.engine.run(tensors[: len(agreed.crossing)]))
            expected = own.run(first)
            tolerance = halves.tolerance_across_engines(expected) if crossed else halves.SAME_ENGINE_TOLERANCE
            differences.append(halves.require_equal(expected, split, tolerance=tolerance))
        return max(differences)

    def cloud_only(self, client: CloudClient) -> "CloudOnly":
        return CloudOnly(client, list(zip(self.cut.network.graph.inputs, self.cut.inputs, strict=True)))


class CloudOnly:
    """Cloud-only with random inputs: its time does not depend on them, and no input of the user's crosses."""

    def __init__(self, client: CloudClient, inputs: Sequence[tuple[Node, NetworkInput]]) -> None:
        self._client, self._inputs, self._random = client, inputs, np.random.default_rng(0)

    def infer(self, *, timing: bool = False) -> Exchange:
        """timing: ask the server for its clock readings."""
        made_up = {node.id: self._made_up(node, takes) for node, takes in self._inputs}
        return self._client.infer(made_up, ours={TIMING: True} if timing else None)

    def _made_up(self, node: Node, takes: NetworkInput) -> Array:
        """As a client would send it: pixels of 8 bits; else among what the example holds (token ids, masks)."""
        if encoded_dtype(node) == "uint8" and takes.dtype != "uint8":
            return self._random.integers(0, 256, size=node.shape, dtype=np.uint8)
        return takes.made_up(node.shape[0], self._random)
