import itertools

import numpy as np
import pytest

from planner.message_cost import MessageCost
from profiles.link import LinkProfile, presets
from runtime.link_estimate import LinkEstimate, weighted_median

WIFI, LTE, SLOW = (presets()[name] for name in ("wifi", "lte", "3g"))
MESSAGE = MessageCost(request_sent_ms=0.1, request_received_ms=0.2, reply_sent_ms=0.05, reply_received_ms=0.15)
#: Bytes up and down of a ping, and of two cuts.
PING, DEEP, SHALLOW = (90, 100), (4500, 400), (26_000, 400)


def took_ms(link: LinkProfile, size: tuple[int, int], *, ratio: float = 0.0) -> float:
    """As the emulated link has it. ratio: downlink over uplink, where the link's own is not that of the prior."""
    up, down = size
    down_mbps = ratio * link.uplink_mbps or link.downlink_mbps
    handling_ms = MESSAGE.up_ms + MESSAGE.down_ms
    return link.rtt_ms + 8e-3 * up / link.uplink_mbps + 8e-3 * down / down_mbps + handling_ms


class Edge:
    """What an edge does with an estimate: an exchange, and a ping where it surprises."""

    ratio = WIFI.downlink_mbps / WIFI.uplink_mbps

    def __init__(self) -> None:
        self.estimate = LinkEstimate(WIFI, MESSAGE)

    def exchange(self, link: LinkProfile, size: tuple[int, int], *, late_ms: float = 0.0) -> None:
        up, down = size
        took = took_ms(link, size, ratio=self.ratio) + late_ms
        if self.estimate.exchanged(took, bytes_up=up, bytes_down=down):
            self.ping(link)

    def ping(self, link: LinkProfile, *, late_ms: float = 0.0) -> None:
        up, down = PING
        self.estimate.pinged(took_ms(link, PING, ratio=self.ratio) + late_ms, bytes_up=up, bytes_down=down)

    def is_at(self, link: LinkProfile, rel: float = 1e-6) -> bool:
        found = self.estimate.link
        return found.uplink_mbps == pytest.approx(link.uplink_mbps, rel) and found.rtt_ms == pytest.approx(
            link.rtt_ms, rel, abs=1e-6
        )


def test_the_plans_link_is_believed_until_something_was_seen() -> None:
    assert Edge().is_at(WIFI)
    assert Edge().estimate.link.downlink_mbps == pytest.approx(WIFI.downlink_mbps)


@pytest.mark.parametrize("link", [WIFI, LTE, SLOW])
@pytest.mark.parametrize("size", [DEEP, SHALLOW])
def test_rate_and_round_trip_are_told_apart_by_exchanges_of_one_size_and_a_ping(
    link: LinkProfile, size: tuple[int, int]
) -> None:
    edge = Edge()
    for _ in range(3):
        edge.exchange(link, size)
    edge.ping(link)
    assert edge.is_at(link)


@pytest.mark.parametrize(("before", "after"), list(itertools.permutations([WIFI, LTE, SLOW], 2)))
@pytest.mark.parametrize("size", [DEEP, SHALLOW])
def test_a_step_is_followed_within_two_exchanges(
    before: LinkProfile, after: LinkProfile, size: tuple[int, int]
) -> None:
    edge = Edge()
    for _ in range(30):
        edge.exchange(before, size)
    edge.ping(before)
    steps = edge.estimate.steps
    for _ in range(2):
        edge.exchange(after, size)
    assert edge.estimate.steps == steps + 1
    assert edge.is_at(after)


@pytest.mark.parametrize(("before", "after"), [(SLOW, WIFI), (WIFI, SLOW)])
def test_a_step_that_no_ping_was_sent_for_asks_for_one(before: LinkProfile, after: LinkProfile) -> None:
    edge = Edge()
    for _ in range(5):
        edge.exchange(before, SHALLOW)
    edge.ping(before)
    for _ in range(2):
        edge.estimate.exchanged(took_ms(after, SHALLOW, ratio=edge.ratio), bytes_up=SHALLOW[0], bytes_down=SHALLOW[1])
    assert edge.estimate.pings == 0
    assert edge.estimate.link.rtt_ms <= took_ms(after, SHALLOW, ratio=edge.ratio)
    edge.ping(after)
    assert edge.is_at(after)


def test_a_step_of_the_rate_alone_is_followed_and_the_round_trip_kept() -> None:
    edge = Edge()
    slower = LinkProfile(name="far", provenance="modelled", uplink_mbps=4, downlink_mbps=9, rtt_ms=5)
    for link in [WIFI] * 10 + [slower] * 2:
        edge.exchange(link, SHALLOW)
    assert edge.is_at(slower)


def test_single_late_exchanges_and_pings_change_nothing() -> None:
    edge = Edge()
    for turn in range(60):
        edge.exchange(LTE, SHALLOW, late_ms=300 if turn and turn % 7 == 0 else 0)
        if turn % 10 == 3:
            edge.ping(LTE, late_ms=80 if turn == 33 else 0)
    assert edge.estimate.steps == 1  # from the prior
    assert edge.is_at(LTE)


def test_a_late_exchange_with_a_ping_in_time_is_no_step() -> None:
    edge = Edge()
    for _ in range(10):
        edge.exchange(WIFI, SHALLOW)
    edge.exchange(WIFI, SHALLOW, late_ms=50)
    assert edge.estimate.suspicious
    assert edge.estimate.steps == 0
    edge.exchange(WIFI, SHALLOW)
    assert not edge.estimate.suspicious
    assert edge.is_at(WIFI)


def test_two_late_exchanges_that_differ_are_no_step() -> None:
    edge = Edge()
    for late_ms in [0] * 10 + [60, 15, 90] + [0] * 5:
        edge.exchange(WIFI, SHALLOW, late_ms=late_ms)
    assert edge.estimate.steps == 0
    assert edge.is_at(WIFI)


def test_on_a_link_that_is_never_the_same_the_middle_is_found_and_steps_are_rare() -> None:
    edge, random = Edge(), np.random.default_rng(1)
    for _ in range(300):
        edge.exchange(LTE, SHALLOW, late_ms=float(random.normal(0, 20)))
    assert edge.estimate.steps <= 10
    assert edge.estimate.link.uplink_mbps == pytest.approx(LTE.uplink_mbps, rel=0.6)


def test_the_weighted_median_is_the_slope_of_least_absolute_deviations() -> None:
    random = np.random.default_rng(0)
    for count in range(1, 12):
        loads = random.uniform(1, 50, count)
        times = 3.0 * loads + random.standard_t(1, count)
        found = weighted_median(list(times / loads), list(loads))

        def deviation(slope: float, loads: np.ndarray = loads, times: np.ndarray = times) -> float:
            return float(np.abs(times - slope * loads).sum())

        assert deviation(found) <= min(map(deviation, times / loads)) * (1 + 1e-12)


def test_a_rate_beyond_measuring_is_finite() -> None:
    edge = Edge()
    for _ in range(5):
        edge.estimate.exchanged(0.5, bytes_up=5000, bytes_down=500)
        edge.estimate.pinged(0.6, bytes_up=90, bytes_down=100)
    assert edge.estimate.link.uplink_mbps <= 10_001
    assert edge.estimate.link.rtt_ms >= 0
