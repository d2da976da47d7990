"""What bounds a stream: each part's time for one inference. Parts overlap, so the slowest one sets the rate.

A link is busy with a message while its bytes leave; its way through the air overlaps with the next one's.
"""

import math
from dataclasses import dataclass, replace
from typing import Self

from planner.plan import Predicted
from profiles.link import LinkProfile
from runtime.client import Exchange
from runtime.record import MeasuredParts, Part

#: A message of several inferences keeps the slowest part busy for no longer than this: its own handling, a
#: millisecond or less, hides behind it, and whoever comes next does not wait long.
MESSAGE_MS = 5.0
#: More rows than this save little: the handling that they share is small by then.
MOST_ROWS = 16
#: Times vary: so much more than the medians ask for.
MARGIN = 1.25
#: No more connections than this; a server lets one client have so many.
MOST_IN_FLIGHT = 64


@dataclass(frozen=True)
class Pace:
    """Milliseconds for which each part is busy with one inference; 0 where it is not known. edge: noise and packing
    too. away_ms: from a message ready to be sent to its answer, when nothing else is under way."""

    edge: float
    uplink: float
    cloud: float
    downlink: float
    away_ms: float

    @classmethod
    def predicted(cls, parts: Predicted, link: LinkProfile) -> Self:
        """As the plan has it for a link."""
        trip_ms = link.rtt_ms / 2 + link.overhead_ms
        return cls(
            edge=parts.edge_ms + parts.noise_ms,
            uplink=max(0.0, parts.uplink_ms - trip_ms),
            cloud=parts.cloud_ms,
            downlink=max(0.0, parts.downlink_ms - trip_ms),
            away_ms=parts.uplink_ms + parts.cloud_ms + parts.downlink_ms,
        )

    @classmethod
    def measured(cls, parts: MeasuredParts, link: LinkProfile | None, *, exchange: Exchange) -> Self:
        """Of single inferences, medians. link: None on plain loopback, whose rate is nobody's bound. exchange: one
        of them, for all its bytes."""
        cloud_ms = parts.cloud.p50 if parts.cloud else 0.0
        return cls(
            edge=parts.edge.p50 + parts.noise.p50,
            uplink=8e-3 * exchange.bytes_up / link.uplink_mbps if link else 0.0,
            cloud=cloud_ms,
            downlink=8e-3 * exchange.bytes_down / link.downlink_mbps if link else 0.0,
            away_ms=parts.uplink.p50 + cloud_ms + parts.downlink.p50,
        )

    @property
    def slowest(self) -> tuple[Part, float]:
        """The part that is busy longest, and for how long, milliseconds."""
        parts: dict[Part, float] = {
            "edge": self.edge,
            "uplink": self.uplink,
            "cloud": self.cloud,
            "downlink": self.downlink,
        }
        name = max(parts, key=parts.__getitem__)
        return name, parts[name]

    def pack(self, *, batch: int) -> int:
        """How many inferences of so many rows may share a message."""
        _, slowest_ms = self.slowest
        most = max(1, MOST_ROWS // batch)
        return max(1, min(most, int(MESSAGE_MS / slowest_ms))) if slowest_ms else most

    def packed(self, inferences: int) -> Self:
        """Of a message of so many: each part is busy with all of them, before the last one is through."""
        more_ms = (inferences - 1) * (self.uplink + self.cloud + self.downlink)
        return replace(
            self,
            edge=inferences * self.edge,
            uplink=inferences * self.uplink,
            cloud=inferences * self.cloud,
            downlink=inferences * self.downlink,
            away_ms=self.away_ms + more_ms,
        )

    @property
    def per_s(self) -> float:
        """Inferences a second, if the slowest part never waits, one inference a message."""
        _, slowest_ms = self.slowest
        return 1000 / slowest_ms if slowest_ms else math.inf

    @property
    def in_flight(self) -> int:
        """How many exchanges keep link and cloud busy: the way there and back, counted in the slower one's steps
        (Little's law), and one more that is on its way into it.

        The edge is left out: it sends no faster than it computes, so that too many are never in flight for its sake.
        """
        step_ms = max(self.uplink, self.cloud, self.downlink)
        if not step_ms:
            return MOST_IN_FLIGHT
        return min(MOST_IN_FLIGHT, math.ceil(MARGIN * self.away_ms / step_ms) + 1)
