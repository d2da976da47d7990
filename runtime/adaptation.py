"""Another cut when the link changes: prepared halves, one in use, and when to take another.

After every inference each prepared cut is priced on the link as it is now (`link_estimate`): its compute times, as
measured here once there are some, else as planned, and its bytes. Another cut is taken when it is better by 5 % and
0.5 ms for three inferences on end, or, once after a step of the link, as soon as it saves 15 %. While the link stays
the same, every change doubles the number of inferences that the next one takes, so that in n inferences there are no
more than log₂(n) changes, however wrong the prices are; a step begins anew.

An inference ends at the cut where it began: what failed is sent again, the identical bytes, by that cut's own client.
A second draw of noise for one input, at this cut or another, would average out. The next input takes the new cut.
"""

import contextlib
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any

from numpy.typing import NDArray

from planner.cost import on_link
from planner.message_cost import MessageCost
from planner.plan import Plan
from profiles.errors import PeerError
from profiles.link import LinkProfile
from runtime.client import CloudClient
from runtime.edge import EdgeHalf, Inference
from runtime.link_estimate import LinkEstimate
from runtime.record import Adaptation, CutChange

Array = NDArray[Any]

MARGIN, MARGIN_MS = 0.05, 0.5
PATIENCE, FAR_BETTER = 3, 0.15
#: Of a run's time, for pings that nothing asks for.
PING_SHARE = 0.02
#: After a step so many pings are wanted, since one may have been late.
STEP_PINGS = 2
#: Of a run's time, for all pings, but for one after a step.
MOST_PING_SHARE = 0.05
#: Of a health answer on the way down: its head. What goes up is counted.
PING_DOWN_BYTES = 100
#: Inferences of a cut that its compute time is of.
RECENT = 15


class Choice:
    """Which cut to run, from prices that err."""

    def __init__(self, current: str) -> None:
        self.current = current
        self._better, self._patience, self._settled = 0, PATIENCE, False

    def step(self) -> None:
        """The link is another one: what was learned by changing is void."""
        self._better, self._patience, self._settled = 0, PATIENCE, False

    def update(self, totals_ms: Mapping[str, float]) -> bool:
        """After an inference, prices by cut: whether `current` is another one from here on."""
        best = min(totals_ms, key=totals_ms.__getitem__)
        here_ms, saved_ms = totals_ms[self.current], totals_ms[self.current] - totals_ms[best]
        self._better = self._better + 1 if saved_ms > max(MARGIN * here_ms, MARGIN_MS) else 0
        at_once = saved_ms > FAR_BETTER * here_ms and not self._settled
        if not (self._better and (at_once or self._better >= self._patience)):
            return False
        self.current = best
        self._better, self._patience, self._settled = 0, 2 * self._patience, True
        return True


@dataclass(frozen=True)
class PreparedHalf:
    """A cut that is ready to run. plan: at this cut; its link is the one of its prices. client: the half's own."""

    plan: Plan
    half: EdgeHalf
    client: CloudClient
    #: Milliseconds of edge, noise and cloud in the last inferences.
    _computed_ms: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))

    def seen(self, compute_ms: float) -> None:
        self._computed_ms.append(compute_ms)

    def total_ms(self, link: LinkProfile, message: MessageCost) -> float:
        """One inference's price on a link.

        Compute is its lower quartile: other work on a machine only ever adds, and a cut that is not in use cannot
        show that it would have been slowed down as well.
        """
        found = on_link(self.plan.predicted, planned=self.plan.link, link=link, message=message)
        if len(self._computed_ms) < 2:
            return found.total_ms
        return found.uplink_ms + found.downlink_ms + quantiles(self._computed_ms, n=4, method="inclusive")[0]


class AdaptiveEdge:
    """Prepared edge halves of one network; inferences run at one, and which one follows the link. One caller at a
    time. Halves and clients are the caller's to close."""

    def __init__(self, halves: Mapping[str, PreparedHalf], *, start: str, prior: LinkProfile) -> None:
        """halves: by cut, of one plan's devices. start: the first cut to run. prior: the link until it was seen."""
        self.halves = dict(halves)
        plan = self.halves[start].plan
        self.message = MessageCost.between(plan.edge, plan.cloud)
        self.estimate = LinkEstimate(prior, self.message)
        self._choice = Choice(start)
        self._steps = 0
        self._inferences: Counter[str] = Counter()
        self._changes: list[CutChange] = []
        self._ran_ms = self._pings_ms = 0.0
        self._pings = 0
        self._unsettled: tuple[PreparedHalf, bool] | None = None

    @property
    def current(self) -> str:
        """The cut that the next inference runs at."""
        return self._choice.current

    def warm_up(self, example: Sequence[Array], *, turns: int = 3) -> None:
        """Run every cut, the first one last: on the example, which is nobody's. It counts as no inference, and
        nothing is changed after it; connections are made, and compute times and the link are seen."""
        for name in sorted(self.halves, key=lambda name: name == self.current):
            one = self.halves[name]
            one.half.infer(example)  # cold, and with the connection's beginning
            for _ in range(turns - 1):
                self._observe(one, one.half.infer(example))
                self._measure_trip()

    def infer(self, inputs: Sequence[Array]) -> Inference:
        """As `EdgeHalf.infer`, at the current cut. Raises PeerError; the input has then had its draw, and is for the
        caller to give up."""
        self.settle()
        name = self.current
        done = self.halves[name].half.infer(inputs)
        self._inferences[name] += 1
        self._ran_ms += done.total_ms
        self._observe(self.halves[name], done)
        return done

    def settle(self) -> None:
        """Once the last answer was taken: send the ping that it may ask for, and choose the next cut. `infer` begins
        with it, where nobody has called it."""
        if self._unsettled is not None:
            self._measure_trip()
            self._choose()

    def totals_ms(self) -> dict[str, float]:
        """Every cut's price on the link as it is now."""
        link = self.estimate.link
        return {name: one.total_ms(link, self.message) for name, one in self.halves.items()}

    def record(self) -> Adaptation:
        """What was done so far."""
        count, link = max(1, self._inferences.total()), self.estimate.link
        return Adaptation(
            cuts={name: self._inferences[name] / count for name in self.halves},
            changes=tuple(self._changes),
            uplink_mbps=link.uplink_mbps,
            downlink_mbps=link.downlink_mbps,
            rtt_ms=link.rtt_ms,
            pings=self._pings,
            pings_ms=self._pings_ms,
        )

    def _observe(self, one: PreparedHalf, done: Inference) -> None:
        cloud_ms = _cloud_ms(done, one.plan.predicted.cloud_ms)
        one.seen(done.edge_ms + done.noise_ms + cloud_ms)
        sent = done.exchange
        surprised = self.estimate.exchanged(
            done.away_ms - cloud_ms, bytes_up=sent.bytes_up, bytes_down=sent.bytes_down
        )
        self._unsettled = one, surprised

    def _measure_trip(self) -> None:
        """A ping where the last exchange surprised, soon after a step, and every so often; within bounds."""
        assert self._unsettled is not None
        (one, surprised), self._unsettled = self._unsettled, None
        next_ms = self._pings_ms + self.estimate.link.rtt_ms
        wanted = surprised or self.estimate.pings < STEP_PINGS
        affordable = not self.estimate.pings or self._pings_ms < MOST_PING_SHARE * self._ran_ms
        if (wanted and affordable) or next_ms < PING_SHARE * self._ran_ms:
            with contextlib.suppress(PeerError):  # the answer is there; what fails for good fails at the next one
                self._ping(one.client)
        if self.estimate.steps > self._steps:
            self._steps = self.estimate.steps
            self._choice.step()

    def _ping(self, client: CloudClient) -> None:
        before = client.bytes_sent
        took_ms = client.ping_ms()
        self._pings, self._pings_ms = self._pings + 1, self._pings_ms + took_ms
        self.estimate.pinged(took_ms, bytes_up=client.bytes_sent - before, bytes_down=PING_DOWN_BYTES)

    def _choose(self) -> None:
        before = self.current
        if self.estimate.suspicious or not self._choice.update(self.totals_ms()):
            return
        link = self.estimate.link
        self._changes.append(
            CutChange(
                inference=self._inferences.total(),
                from_cut=before,
                to_cut=self.current,
                uplink_mbps=link.uplink_mbps,
                rtt_ms=link.rtt_ms,
            )
        )


def _cloud_ms(done: Inference, planned_ms: float) -> float:
    """The server's time of an inference: by its two clock readings, else as planned; a peer may claim anything."""
    parameters = done.exchange.reply.parameters
    received, replied = parameters.get("plan_received_ns"), parameters.get("plan_replied_ns")
    told = isinstance(received, int) and isinstance(replied, int)
    claimed = (replied - received) / 1e6 if told else planned_ms  # type: ignore[operator]
    return min(max(claimed, 0.0), done.away_ms)
