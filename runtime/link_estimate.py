"""The link's rate and round trip, from the exchanges that a run makes anyway, and a few pings.

An exchange's time, the server's own taken off, is

    y = T + s · L,    T = round trip + handling,    L = 8e-3 · (bytes up + bytes down / ρ),    s = 1 / uplink rate

in milliseconds, Mbps and bytes on the wire, with ρ = downlink rate / uplink rate held at the plan's. Messages of one
cut have one size, so that y alone does not tell T and s apart; a ping, the smallest message (p = T + s · Lp), does:

    s = (y − p) / (L − Lp),    T = p − s · Lp

p is the median of the last pings. Over the last exchanges s is the weighted median of its values, weights L − Lp: the
line through (Lp, p) of least absolute deviations. What delays a message is one-sided and rare, and a median lets it
pass, where a mean, or a filter that forgets exponentially, would follow it.

Links change by steps (another network, another cell) and stay for a while. So nothing fades: what was seen before a
step is forgotten at once, and not before. A step is two exchanges on end that are off by like factors, or one and
then a ping that is off as well: by more than 20 %, or four times what exchanges usually differ among each other. One
alone is passed over.
"""

from collections import deque
from collections.abc import Sequence
from math import log
from statistics import median

import msgspec

from planner.message_cost import NO_MESSAGE_COST, MessageCost
from profiles.link import LinkProfile

#: How far off what was expected a surprise is, as the logarithm of their ratio: so that both ways count alike.
SURPRISE = 0.2
#: ... in median deviations of the last exchanges, on a link that is never the same; never beyond MOST.
USUAL, MOST = 4.0, 1.0
#: A ping is short: so much its handling may differ.
PING_SLACK_MS = 0.5
#: Exchanges and pings that the medians are of; exchanges that tell what is usual, and so few that they do not.
EXCHANGES, PINGS, USUAL_OF, FEW = 15, 5, 20, 5
#: A rate, and a time, that are beyond measuring: 10 Gbps, a microsecond.
LEAST_MS_PER_LOAD, LEAST_MS = 1e-4, 1e-3

Point = tuple[float, float]


class LinkEstimate:
    """Rate and round trip as they are now. steps: how often the link has proved another one."""

    def __init__(self, prior: LinkProfile, message: MessageCost = NO_MESSAGE_COST) -> None:
        """prior: what is expected until something was seen. message: handling, which is no part of the round trip."""
        self._prior, self._handling_ms = prior, message.up_ms + message.down_ms
        self._ratio = prior.downlink_mbps / prior.uplink_mbps
        self._trip_ms = prior.rtt_ms + 2 * prior.overhead_ms + self._handling_ms
        self._slope = 1 / prior.uplink_mbps
        self._exchanges: deque[Point] = deque(maxlen=EXCHANGES)
        self._pings: deque[Point] = deque([(self._trip_ms, 0.0)], maxlen=PINGS)
        self._known_pings = 0
        self._pinged_since = False
        self._suspects: list[Point] = []
        self._offs: deque[float] = deque(maxlen=USUAL_OF)
        self._limit = SURPRISE
        self.steps = 0

    @property
    def suspicious(self) -> bool:
        """Whether the last exchange was off, and nothing since has said why."""
        return bool(self._suspects)

    @property
    def pings(self) -> int:
        """Pings that tell of the link as it is now; where there is none, one is needed."""
        return self._known_pings

    @property
    def link(self) -> LinkProfile:
        """As it is now. Per-message overhead is in the round trip."""
        mbps = 1 / self._slope
        return msgspec.structs.replace(
            self._prior,
            name="estimated",
            provenance="measured",
            uplink_mbps=mbps,
            downlink_mbps=mbps * self._ratio,
            rtt_ms=max(0.0, self._trip_ms - self._handling_ms),
            overhead_ms=0.0,
            source=None,
            spread=None,
        )

    def _surprising(self) -> float:
        """How far off an exchange must be to surprise: a constant bias does, what is usual does not."""
        if len(self._offs) < FEW:
            return SURPRISE
        middle = median(self._offs)
        return min(MOST, max(SURPRISE, USUAL * median(abs(one - middle) for one in self._offs)))

    def exchanged(self, link_ms: float, *, bytes_up: int, bytes_down: int) -> bool:
        """One exchange, the server's own time taken off. Whether it surprises, so that a ping is worth its time."""
        seen = (link_ms, self._load(bytes_up, bytes_down))
        off, self._limit = self._off(seen), self._surprising()
        self._offs.append(off)
        if abs(off) <= self._limit:
            self._suspects.clear()
            self._exchanges.append(seen)
            self._solve()
            return False
        # Two on one new link are off alike, two that were late are not.
        alike = [one for one in self._suspects[-1:] if abs(self._off(one) - off) <= 2 * self._limit]
        self._pinged_since = self._pinged_since and bool(alike)
        self._suspects = [*alike, seen]
        if alike:
            self._step()
        return True

    def pinged(self, ping_ms: float, *, bytes_up: int, bytes_down: int) -> None:
        """One ping."""
        ping = (ping_ms, self._load(bytes_up, bytes_down))
        beyond_ms = abs(ping_ms - self._expected_ms(ping[1]))
        step = bool(self._suspects) and abs(self._off(ping)) > self._limit and beyond_ms > PING_SLACK_MS
        if step or not self._known_pings:
            self._pings.clear()
        self._pings.append(ping)
        self._known_pings = len(self._pings)
        self._pinged_since = True
        if step:
            self._step()
        else:
            self._solve()

    def _load(self, bytes_up: int, bytes_down: int) -> float:
        """Milliseconds at 1 Mbps up and ρ Mbps down."""
        return 8e-3 * (bytes_up + bytes_down / self._ratio)

    def _expected_ms(self, load: float) -> float:
        return max(LEAST_MS, self._trip_ms + self._slope * load)

    def _off(self, seen: Point) -> float:
        """ln(seen / expected)."""
        return log(max(LEAST_MS, seen[0]) / self._expected_ms(seen[1]))

    def _step(self) -> None:
        """Another link: what surprised is all that is known of it, and a ping since."""
        if self._pinged_since:
            while len(self._pings) > 1:
                self._pings.popleft()
        self._known_pings = int(self._pinged_since)
        self._exchanges.clear()
        self._exchanges.extend(self._suspects)
        self._suspects.clear()
        self.steps += 1
        self._solve()

    def _solve(self) -> None:
        ping_ms, ping_load = (median(one) for one in zip(*self._pings, strict=True))
        if not self._known_pings and self._exchanges:  # of another link; no trip is longer than an exchange
            ping_ms = min(ping_ms, *(took_ms for took_ms, _ in self._exchanges))
        beyond = [(took_ms - ping_ms, load - ping_load) for took_ms, load in self._exchanges if load > ping_load]
        if beyond:
            values, weights = [more_ms / load for more_ms, load in beyond], [load for _, load in beyond]
            self._slope = max(LEAST_MS_PER_LOAD, weighted_median(values, weights))
        self._trip_ms = max(0.0, ping_ms - self._slope * ping_load)


def weighted_median(values: Sequence[float], weights: Sequence[float]) -> float:
    """The value with half of the weight on either side; between two where the halves are equal."""
    pairs = sorted(zip(values, weights, strict=True))
    half, below = sum(weights) / 2, 0.0
    for index, (value, weight) in enumerate(pairs):
        below += weight
        if below > half * (1 + 1e-12):
            return value
        if below >= half * (1 - 1e-12) and index + 1 < len(pairs):
            return (value + pairs[index + 1][0]) / 2
    return pairs[-1][0]
