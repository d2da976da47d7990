"""What one inference costs at a cut, each part separately.

Latency = edge compute + noise and packing + uplink + cloud compute + downlink; a way of the link holds its message's
handling and headers (`message_cost`) as well. A crossing tensor is paid once, however many consumers it has.
Cloud-only sends the input in its own encoding (8-bit pixels, token ids), as a real client would, not as float32.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from math import fsum

import msgspec

from planner import noise_cost
from planner.message_cost import NO_MESSAGE_COST, MessageCost
from planner.plan import Cut, Predicted
from profiles import codec
from profiles.device import DeviceProfile
from profiles.errors import CutError
from profiles.graph import LayerGraph, Node
from profiles.link import LinkProfile

#: Beyond these, 30 years and an exabyte, floating point loses what is being compared: the units are wrong.
MOST_MS, MOST_BYTES = 1e12, 1e18


def takes_noise(node: Node) -> bool:
    """Whether a tensor gets noise where it crosses: floats do, inputs that may cross are public."""
    return node.kind != "input" and codec.is_float(node.dtype)


@dataclass(frozen=True)
class CostModel:
    """Prices cuts of one network for two devices and a link.

    wire: how float tensors are sent. noise: the kind that the edge will add, or None. linear, hidden: of a channel's
    map, where it is known, as `noise_flops` takes them.
    """

    edge: DeviceProfile
    cloud: DeviceProfile
    link: LinkProfile
    wire: str = "float32"
    noise: str | None = None
    linear: bool = False
    hidden: int = noise_cost.HIDDEN

    @cached_property
    def graph(self) -> LayerGraph:
        return self.edge.graph

    @cached_property
    def message(self) -> MessageCost:
        """What a message of these two devices costs beside its tensors."""
        return MessageCost.between(self.edge.device, self.cloud.device)

    def require_comparable(self) -> None:
        """Raises CutError where times or sizes add up to more than can be told apart in floating point."""
        size_bytes = sum(
            max(node.bytes, self.sent_bytes(node), node.encoded_bytes or 0, node.parameter_bytes or 0)
            for node in self.graph.nodes
        )
        if size_bytes > MOST_BYTES:
            raise CutError(
                f"the edge's tensors add up to {size_bytes:.3g} bytes, expected at most {MOST_BYTES:g}; check them"
            )
        parts = {
            "the edge's times": sum(self.edge.time_ms.values()),
            "the cloud's times": sum(self.cloud.time_ms.values()),
            f"link {self.link.name}: sending all tensors": self.link.uplink_ms(size_bytes=size_bytes)
            + self.link.downlink_ms(size_bytes=size_bytes),
        }
        for what, time_ms in parts.items():
            if not time_ms <= MOST_MS:
                raise CutError(
                    f"{what} come to {time_ms:.3g} ms, expected at most {MOST_MS:g}; check the file's units"
                )

    def sent_bytes(self, node: Node) -> int:
        """Bytes of one tensor as it crosses a cut: floats as the wire has them, a public input's too."""
        sent = codec.sent_bytes(node.dtype, node.shape, wire=self.wire)
        return node.bytes if sent is None else sent

    def upload_bytes(self, crossing: Iterable[Node]) -> int:
        """Bytes of the crossing tensors as they are sent."""
        return sum(self.sent_bytes(node) for node in crossing)

    @cached_property
    def _ms_per_flop(self) -> float:
        """The rate at which the edge runs the network."""
        flops = sum(node.flops or 0 for node in self.graph.nodes)
        return self.edge.whole_ms / flops if flops else 0.0

    def noise_ms(self, crossing: Iterable[Node]) -> float:
        """The noise's own FLOPs at the edge's rate, and what adding it takes beside them; 0 where none was asked for.

        Drawing hides behind the edge's work where it can.
        """
        sent = tuple(crossing)
        noised = sum(map(takes_noise, sent)) if self.noise is not None else 0
        return self._ms_per_flop * self.noise_flops(sent) + noised * self.message.noise_ms

    def noise_flops(self, crossing: Iterable[Node]) -> int:
        """Of the noise for some tensors, a whole batch; 0 where none was asked for."""
        if self.noise is None:
            return 0
        return sum(self._noise_flops(self.noise, node) for node in crossing if takes_noise(node))

    def noise_share(self, cut: Cut) -> float | None:
        """FLOPs of a cut's noise over those of its edge half; None where none is priced."""
        edge_flops = sum(self.graph.by_id[name].flops or 0 for name in cut.edge_nodes)
        if self.noise is None or not edge_flops:
            return None
        return self.noise_flops(self.graph.by_id[one.node] for one in cut.crossing) / edge_flops

    def _noise_flops(self, kind: str, node: Node) -> int:
        rows, shape = (node.shape[0], node.shape[1:]) if node.shape[:1] == (self.edge.batch,) else (1, node.shape)
        channels, tokens = noise_cost.layout(self.graph, node.id, shape)
        flops = noise_cost.noise_flops(kind, channels, tokens=tokens, linear=self.linear, hidden=self.hidden)
        return rows * flops

    def price(self, edge_nodes: Iterable[str], crossing: Iterable[Node]) -> Predicted:
        """A cut's parts. edge_nodes: closed under what they need."""
        inside, sent = frozenset(edge_nodes), tuple(crossing)
        # `fsum` gives one sum for any order of its terms, which a set's is not.
        return self._predicted(
            edge_ms=fsum(self.edge.time_ms[name] for name in inside),
            noise_ms=self.noise_ms(sent),
            cloud_ms=self.cloud.start_ms
            + fsum(self.cloud.receive_ms[node.id] for node in sent)
            + fsum(time for name, time in self.cloud.time_ms.items() if name not in inside),
            upload_bytes=self.upload_bytes(sent),
            reply_bytes=sum(node.bytes for node in self.graph.outputs if node.id not in inside),
            edge_memory_bytes=self.memory_bytes(inside),
            tensors_up=len(sent),
            tensors_down=sum(node.id not in inside for node in self.graph.outputs),
        )

    def edge_only(self) -> Predicted:
        """Everything on the edge; nothing is sent, nothing waited for."""
        time_ms = fsum(self.edge.time_ms.values())
        power = self.edge.device.power_mw
        return Predicted(
            edge_ms=time_ms,
            noise_ms=0.0,
            uplink_ms=0.0,
            cloud_ms=0.0,
            downlink_ms=0.0,
            total_ms=time_ms,
            upload_bytes=0,
            edge_memory_bytes=self.memory_bytes(frozenset(self.edge.time_ms)),
            energy_mj=power.busy * time_ms / 1000 if power else None,
            throughput_per_s=1000 / time_ms if time_ms else None,
        )

    def cloud_only(self) -> Predicted:
        """The input, in its own encoding, is sent; everything runs on the cloud."""
        return self._predicted(
            edge_ms=0.0,
            noise_ms=0.0,
            cloud_ms=fsum(self.cloud.time_ms.values()),
            upload_bytes=sum(
                node.bytes if node.encoded_bytes is None else node.encoded_bytes for node in self.graph.inputs
            ),
            reply_bytes=sum(node.bytes for node in self.graph.outputs),
            edge_memory_bytes=0,
            tensors_up=len(self.graph.inputs),
            tensors_down=len(self.graph.outputs),
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
        tensors_up: int,
        tensors_down: int,
    ) -> Predicted:
        link, message = self.link, self.message
        bytes_up = upload_bytes + message.up_bytes(tensors_up)
        bytes_down = reply_bytes + message.down_bytes(tensors_down)
        there_ms, back_ms = link.uplink_ms(size_bytes=bytes_up), link.downlink_ms(size_bytes=bytes_down)
        uplink_ms, downlink_ms = there_ms + message.up_ms, back_ms + message.down_ms
        edge_busy_ms, cloud_busy_ms = edge_ms + noise_ms + message.edge_ms, cloud_ms + message.cloud_ms
        # Pipelined, a link is busy while bytes leave it; the way through the air overlaps.
        busy_ms = max(edge_busy_ms, there_ms - link.rtt_ms / 2, cloud_busy_ms, back_ms - link.rtt_ms / 2)
        return Predicted(
            edge_ms=edge_ms,
            noise_ms=noise_ms,
            uplink_ms=uplink_ms,
            cloud_ms=cloud_ms,
            downlink_ms=downlink_ms,
            total_ms=edge_ms + noise_ms + uplink_ms + cloud_ms + downlink_ms,
            upload_bytes=upload_bytes,
            edge_memory_bytes=edge_memory_bytes,
            energy_mj=self._energy_mj(edge_busy_ms, bytes_up, cloud_busy_ms, bytes_down),
            throughput_per_s=1000 / busy_ms if busy_ms else None,
        )

    def _energy_mj(self, busy_ms: float, bytes_up: int, cloud_ms: float, bytes_down: int) -> float | None:
        """Edge's busy power × time + radio (α · Mbps + β) × transfer + idle power × waiting; None without powers."""
        power = self._powers
        if power is None:
            return None
        waiting_ms = self.link.rtt_ms + 2 * self.link.overhead_ms + cloud_ms
        microjoules = power.busy * busy_ms + power.idle * waiting_ms
        return (microjoules + power.per_byte_up * bytes_up + power.per_byte_down * bytes_down) / 1000

    @cached_property
    def _powers(self) -> "_Powers | None":
        device, radio = self.edge.device.power_mw, self.link.radio_power_mw
        if device is None or radio is None:
            return None
        up, down = self.link.uplink_mbps, self.link.downlink_mbps
        return _Powers(
            busy=device.busy,
            idle=device.idle,
            per_byte_up=(radio.uplink_per_mbps * up + radio.base) * 8 / (1000 * up),
            per_byte_down=(radio.downlink_per_mbps * down + radio.base) * 8 / (1000 * down),
        )

    def powers(self) -> "_Powers":
        """Raises CutError where the edge's profile or the link says nothing of power."""
        if self._powers is None:
            lacks = "the edge's profile has no device.power_mw {busy, idle}"
            if self.edge.device.power_mw is not None:
                lacks = f"link {self.link.name} has no radio_power_mw"
            raise CutError(f"energy cannot be priced: {lacks}; write it into the file or choose another objective")
        return self._powers

    def memory_bytes(self, edge_nodes: frozenset[str]) -> int | None:
        """Parameters of the edge half and the most that is alive at one node (its inputs and its output)."""
        nodes = [self.graph.by_id[name] for name in edge_nodes]
        if any(node.parameter_bytes is None and node.computational for node in nodes):
            return None
        return sum(node.parameter_bytes or 0 for node in nodes) + max(map(self.alive_bytes, nodes), default=0)

    def alive_bytes(self, node: Node) -> int:
        """A node's inputs and its output."""
        return node.bytes + sum(self.graph.by_id[name].bytes for name in set(node.inputs))


@dataclass(frozen=True)
class _Powers:
    """Milliwatts while computing and waiting; microjoules a byte on the radio."""

    busy: float
    idle: float
    per_byte_up: float
    per_byte_down: float


def on_link(
    predicted: Predicted, *, planned: LinkProfile, link: LinkProfile, message: MessageCost = NO_MESSAGE_COST
) -> Predicted:
    """The same cut's price over another link than the one it was planned for. message: of the plan's devices."""
    if predicted.upload_bytes == 0:
        return predicted
    # The bytes of headers and reply are not in the plan, but their time over the planned link is.
    there_ms = predicted.uplink_ms - message.up_ms - planned.uplink_ms(size_bytes=0)
    back_ms = predicted.downlink_ms - message.down_ms - planned.downlink_ms(size_bytes=0)
    uplink_ms = link.uplink_ms(size_bytes=there_ms * planned.uplink_mbps * 1000 / 8) + message.up_ms
    downlink_ms = link.downlink_ms(size_bytes=back_ms * planned.downlink_mbps * 1000 / 8) + message.down_ms
    total_ms = predicted.edge_ms + predicted.noise_ms + uplink_ms + predicted.cloud_ms + downlink_ms
    return msgspec.structs.replace(
        predicted,
        uplink_ms=uplink_ms,
        downlink_ms=downlink_ms,
        total_ms=total_ms,
        throughput_per_s=None,
        energy_mj=None,
    )
