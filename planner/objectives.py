"""What a cut is judged by, as sums over nodes and tensors: the same prices as `cost`, term by term.

latency, energy and edge-compute add up, so a minimum cut finds their best; throughput is the slowest of four sums.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from planner.cost import CostModel
from planner.limits import Quantity
from planner.mincut import Terms
from planner.plan import Objective, Predicted
from profiles.errors import CutError
from profiles.graph import Node

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sums:
    """The quantities of one cost model as terms over its graph's nodes, in the graph's order."""

    cost: CostModel

    def on(self, cost: CostModel) -> "Sums":
        """The same sums over another link: what does not depend on it is not computed again."""
        made = Sums(cost)
        kept = (
            "_none",
            "_edge_ms",
            "_cloud_ms",
            "_receive_ms",
            "_sent_bytes",
            "_reply_bytes",
            "_is_reply",
            "_noise_ms",
        )
        made.__dict__.update({name: getattr(self, name) for name in kept})
        return made

    @property
    def _nodes(self) -> tuple[Node, ...]:
        return self.cost.graph.nodes

    @cached_property
    def _none(self) -> Floats:
        return np.zeros(len(self._nodes))

    @cached_property
    def _edge_ms(self) -> Floats:
        return np.array([self.cost.edge.time_ms[node.id] for node in self._nodes])

    @cached_property
    def _cloud_ms(self) -> Floats:
        return np.array([self.cost.cloud.time_ms[node.id] for node in self._nodes])

    @cached_property
    def _receive_ms(self) -> Floats:
        return np.array([self.cost.cloud.receive_ms[node.id] for node in self._nodes])

    @cached_property
    def _sent_bytes(self) -> Floats:
        return np.array([self.cost.sent_bytes(node) for node in self._nodes], dtype=float)

    @cached_property
    def _reply_bytes(self) -> Floats:
        return np.array([node.bytes if node.kind == "output" else 0 for node in self._nodes], dtype=float)

    @cached_property
    def _noise_ms(self) -> Floats:
        return np.array([self.cost.noise_ms([node]) for node in self._nodes])

    @cached_property
    def _is_reply(self) -> Floats:
        return np.array([float(node.kind == "output") for node in self._nodes])

    def _ways_ms(self) -> tuple[Floats, Floats, float, float]:
        """What is paid by the byte: each tensor up, each reply down, the request's and the reply's headers."""
        link, message = self.cost.link, self.cost.message
        up_ms, down_ms = 8 / (1000 * link.uplink_mbps), 8 / (1000 * link.downlink_mbps)
        return (
            up_ms * (self._sent_bytes + message.tensor_bytes),
            down_ms * (self._reply_bytes + message.tensor_bytes * self._is_reply),
            up_ms * message.request_bytes,
            down_ms * message.reply_bytes,
        )

    def latency(self) -> Terms:
        link, message = self.cost.link, self.cost.message
        uplink_ms, downlink_ms, request_ms, reply_ms = self._ways_ms()
        constant = self.cost.cloud.start_ms + link.rtt_ms + 2 * link.overhead_ms
        constant += request_ms + reply_ms + message.up_ms + message.down_ms
        sending_ms = self._noise_ms + uplink_ms + self._receive_ms
        return Terms(self._edge_ms, self._cloud_ms + downlink_ms, sending_ms, constant)

    def energy(self) -> Terms:
        """Raises CutError where powers are not known."""
        power, link, message = self.cost.powers(), self.cost.link, self.cost.message
        bytes_up = self._sent_bytes + message.tensor_bytes
        bytes_down = self._reply_bytes + message.tensor_bytes * self._is_reply
        headers = power.per_byte_up * message.request_bytes + power.per_byte_down * message.reply_bytes
        waiting_ms = self.cost.cloud.start_ms + link.rtt_ms + 2 * link.overhead_ms + message.cloud_ms
        return Terms(
            edge=power.busy * self._edge_ms / 1000,
            cloud=(power.idle * self._cloud_ms + power.per_byte_down * bytes_down) / 1000,
            cross=(power.busy * self._noise_ms + power.per_byte_up * bytes_up + power.idle * self._receive_ms) / 1000,
            constant=(power.busy * message.edge_ms + power.idle * waiting_ms + headers) / 1000,
        )

    def edge_compute(self) -> Terms:
        return Terms(self._edge_ms, self._none, self._none)

    def busy(self) -> tuple[Terms, ...]:
        """The four parts of a pipeline: edge, uplink, cloud, downlink, each in ms that it is occupied."""
        overhead_ms, message = self.cost.link.overhead_ms, self.cost.message
        uplink_ms, downlink_ms, request_ms, reply_ms = self._ways_ms()
        return (
            Terms(self._edge_ms, self._none, self._noise_ms, message.edge_ms),
            Terms(self._none, self._none, uplink_ms, overhead_ms + request_ms),
            Terms(self._none, self._cloud_ms, self._receive_ms, self.cost.cloud.start_ms + message.cloud_ms),
            Terms(self._none, downlink_ms, self._none, overhead_ms + reply_ms),
        )

    def upload_bytes(self) -> Terms:
        return Terms(self._none, self._none, self._sent_bytes)

    def crossing_tensors(self) -> Terms:
        return Terms(self._none, self._none, self._none + 1)

    def layers(self) -> Terms:
        """Computational nodes on the edge."""
        return Terms(np.array([float(node.computational) for node in self._nodes]), self._none, self._none)

    def edge_memory(self) -> Quantity:
        """Raises CutError where the profile does not say what a layer's parameters weigh."""
        unknown = [node.id for node in self._nodes if node.computational and node.parameter_bytes is None]
        if unknown:
            raise CutError(f"edge memory cannot be priced: {unknown[0]} has no parameter_bytes in the edge's profile")
        parameters = np.array([node.parameter_bytes or 0 for node in self._nodes], dtype=float)
        alive = np.array([self.cost.alive_bytes(node) for node in self._nodes], dtype=float)
        return Quantity(Terms(parameters, self._none, self._none), peak=alive)

    def of(self, objective: Objective) -> Terms | tuple[Terms, ...]:
        """What to make least for an objective."""
        if objective == "throughput":
            return self.busy()
        return {"latency": self.latency, "energy": self.energy, "edge-compute": self.edge_compute}[objective]()


def value(objective: Objective, predicted: Predicted) -> float:
    """A price by an objective; less is better."""
    if objective == "throughput":
        return 1000 / predicted.throughput_per_s if predicted.throughput_per_s else 0.0
    if objective == "energy":
        assert predicted.energy_mj is not None
        return predicted.energy_mj
    return predicted.total_ms if objective == "latency" else predicted.edge_ms
