"""What a message costs beside its tensors: handling at either end, and the bytes of its headers.

The edge sends requests and receives replies, the cloud the other way round, so each side's part is its own profile's.
Where one profile says nothing (modelled, imported, written by hand) the other side's figures stand for both; where
neither does, a message costs nothing but its tensors' bytes.
"""

from dataclasses import dataclass

from profiles.device import DeviceFacts


@dataclass(frozen=True)
class MessageCost:
    """Milliseconds of handling by side and way; bytes of headers of a request, a reply, and for each tensor in one;
    milliseconds of adding noise to one tensor, beyond its FLOPs."""

    request_sent_ms: float = 0.0
    request_received_ms: float = 0.0
    reply_sent_ms: float = 0.0
    reply_received_ms: float = 0.0
    request_bytes: int = 0
    reply_bytes: int = 0
    tensor_bytes: int = 0
    noise_ms: float = 0.0

    @classmethod
    def between(cls, edge: DeviceFacts, cloud: DeviceFacts) -> "MessageCost":
        """Of these two devices."""
        as_edge, as_cloud = edge.message or cloud.message, cloud.message or edge.message
        if as_edge is None or as_cloud is None:
            return cls()
        return cls(
            request_sent_ms=as_edge.request_sent_ms,
            request_received_ms=as_cloud.request_received_ms,
            reply_sent_ms=as_cloud.reply_sent_ms,
            reply_received_ms=as_edge.reply_received_ms,
            request_bytes=as_edge.request_bytes,
            reply_bytes=as_cloud.reply_bytes,
            tensor_bytes=as_edge.tensor_bytes,
            noise_ms=as_edge.noise_ms,
        )

    @property
    def up_ms(self) -> float:
        """From the edge's tensors to the cloud's, the link's own time apart."""
        return self.request_sent_ms + self.request_received_ms

    @property
    def down_ms(self) -> float:
        return self.reply_sent_ms + self.reply_received_ms

    @property
    def edge_ms(self) -> float:
        """What the edge is busy with for one inference."""
        return self.request_sent_ms + self.reply_received_ms

    @property
    def cloud_ms(self) -> float:
        return self.request_received_ms + self.reply_sent_ms

    def up_bytes(self, tensors: int) -> int:
        """Headers of a request with so many tensors."""
        return self.request_bytes + tensors * self.tensor_bytes

    def down_bytes(self, tensors: int) -> int:
        return self.reply_bytes + tensors * self.tensor_bytes


NO_MESSAGE_COST = MessageCost()
