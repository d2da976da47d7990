"""What is kept of an inference request once it is answered: for metrics and logs, and never a tensor's values."""

from collections.abc import Iterator
from dataclasses import dataclass

#: An inference request's time in the server: reading its body into tensors, waiting, the engine, making the reply;
#: and all of it.
PARTS = ("decode", "queue", "compute", "encode", "whole")


@dataclass
class Handled:
    """model: its name. refused: in one word why, where no answer was computed. *_ns: the monotonic clock when the
    body had arrived, was read, the engine began and ended, the reply was made; 0 where it did not come to that."""

    model: str
    request_id: str = ""
    status: int = 200
    refused: str | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    rows: int = 0
    batch_requests: int = 0
    batch_rows: int = 0
    received_ns: int = 0
    decoded_ns: int = 0
    start_ns: int = 0
    computed_ns: int = 0
    replied_ns: int = 0

    def parts_s(self) -> Iterator[tuple[str, float]]:
        """Each part that came to its end, seconds, in the order of `PARTS`."""
        marks = (self.received_ns, self.decoded_ns, self.start_ns, self.computed_ns, self.replied_ns)
        if not all(marks):
            return
        for part, begun, ended in zip(PARTS, marks, marks[1:], strict=False):
            yield part, (ended - begun) / 1e9
        yield "whole", (self.replied_ns - self.received_ns) / 1e9
