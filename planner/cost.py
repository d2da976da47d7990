"""What one inference costs at a cut, each part separately.

Latency = edge compute + noise and packing + uplink + cloud compute + downlink. A crossing tensor is paid once,
however many consumers it has. Cloud-only sends the input in its own encoding (8-bit pixels, token ids), as a real
client would, not as float32.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from math import prod

import msgspec

from planner.plan import Predicted
from profiles.codec import WIRE_ITEMSIZE
from profiles.device import DeviceProfile
from profiles.graph import LayerGraph, Node
from profiles.link import LinkProfile


@dataclass(frozen=True)
class CostModel:
    """Prices cuts of one network for two devices and a link.

    wire: how float tensors are sent. noise: the kind that the edge will add, or None.
    """

    edge: DeviceProfile
    cloud: DeviceProfile
    link: LinkProfile
    wire: str = "float32"
    noise: str | None = None

    @cached_property
    def graph(self) -> LayerGraph:
        return self.edge.graph

    def upload_bytes(self, crossing: Iterable[Node]) -> int:
        """Bytes of the crossing tensors as they are sent."""
        return sum(self._sent(node) for node in crossing)

    def _sent(self, node: Node) -> int:
        if node.kind == "input" and node.encoded_bytes is not None:
            return node.encoded_bytes
        if node.dtype.startswith(("float", "bfloat")):
            return prod(node.shape) * WIRE_ITEMSIZE[self.wire]
        return node.bytes

    def noise_ms(self, crossing: Iterable[Node]) -> float:
        """Adding the noise, at the rate the edge runs the network; drawing hides behind the edge's own work."""
        if self.noise is None:
            return 0.0
        flops = sum(node.flops or 0 for node in self.graph.nodes)
        elements = sum(node.elements for node in crossing)
        return self.edge.whole_ms * elements / flops if flops else 0.0

    def price(self, edge_nodes: Iterable[str], crossing: Iterable[Node]) -> Predicted:
        """A cut's parts. edge_nodes: closed under what they need."""
        inside, sent = frozenset(edge_nodes), tuple(crossing)
        edge_ms = sum(self.edge.time_ms[name] for name in inside)
        cloud_ms = sum(time for name, time in self.cloud.time_ms.items() if name not in inside)
        upload = self.upload_bytes(sent)
        return self._predicted(
            edge_ms=edge_ms,
            noise_ms=self.noise_ms(sent),
            cloud_ms=cloud_ms,
            upload_bytes=upload,
            reply_bytes=sum(node.bytes for node in self.graph.outputs if node.id not in inside),
            edge_memory_bytes=self.memory_bytes(inside),
        )

    def edge_only(self) -> Predicted:
        """Everything on the edge; nothing is sent."""
        everything = frozenset(self.edge.time_ms)
        time_ms = sum(self.edge.time_ms.values())
        return Predicted(
            edge_ms=time_ms,
            noise_ms=0.0,
            uplink_ms=0.0,
            cloud_ms=0.0,
            downlink_ms=0.0,
            total_ms=time_ms,
            upload_bytes=0,
            edge_memory_bytes=self.memory_bytes(everything),
            throughput_per_s=1000 / time_ms if time_ms else None,
        )

    def cloud_only(self) -> Predicted:
        """The input, in its own encoding, is sent; everything runs on the cloud."""
        return self._predicted(
            edge_ms=0.0,
            noise_ms=0.0,
            cloud_ms=sum(self.cloud.time_ms.values()),
            upload_bytes=self.upload_bytes(self.graph.inputs),
            reply_bytes=sum(node.bytes for node in self.graph.outputs),
            edge_memory_bytes=0,
        )

    def _predicted(
        self,
        *,
        edge_ms: float,
        noise_ms: float,
        cloud_ms: float,
        upload_bytes: int,
        reply_bytes: int,
        edge_memory_bytes: int | None,
    ) -> Predicted:
        uplink_ms = self.link.uplink_ms(size_bytes=upload_bytes)
        downlink_ms = self.link.downlink_ms(size_bytes=reply_bytes)
        # Pipelined, a link is busy while bytes leave it; the way through the air overlaps.
        busy_ms = max(
            edge_ms + noise_ms, uplink_ms - self.link.rtt_ms / 2, cloud_ms, downlink_ms - self.link.rtt_ms / 2
        )
        return Predicted(
            edge_ms=edge_ms,
            noise_ms=noise_ms,
            uplink_ms=uplink_ms,
            cloud_ms=cloud_ms,
            downlink_ms=downlink_ms,
            total_ms=edge_ms + noise_ms + uplink_ms + cloud_ms + downlink_ms,
            upload_bytes=upload_bytes,
            edge_memory_bytes=edge_memory_bytes,
            throughput_per_s=1000 / busy_ms if busy_ms else None,
        )

    def memory_bytes(self, edge_nodes: frozenset[str]) -> int | None:
        """Parameters of the edge half and the most that is alive at one node (its inputs and its output)."""
        graph, parameters, peak = self.graph, 0, 0
        for name in edge_nodes:
            node = graph.by_id[name]
            if node.parameter_bytes is None and node.computational:
                return None
            parameters += node.parameter_bytes or 0
            peak = max(peak, node.bytes + sum(graph.by_id[item].bytes for item in set(node.inputs)))
        return parameters + peak


def on_link(predicted: Predicted, *, planned: LinkProfile, link: LinkProfile) -> Predicted:
    """The same cut's price over another link than the one it was planned for."""
    if predicted.upload_bytes == 0:
        return predicted
    # The reply's bytes are not in the plan, but its time over the planned link is.
    reply_bytes = (predicted.downlink_ms - planned.downlink_ms(size_bytes=0)) * planned.downlink_mbps * 1000 / 8
    uplink_ms = link.uplink_ms(size_bytes=predicted.upload_bytes)
    downlink_ms = link.downlink_ms(size_bytes=reply_bytes)
    total_ms = predicted.edge_ms + predicted.noise_ms + uplink_ms + predicted.cloud_ms + downlink_ms
    return msgspec.structs.replace(
        predicted, uplink_ms=uplink_ms, downlink_ms=downlink_ms, total_ms=total_ms, throughput_per_s=None
    )
