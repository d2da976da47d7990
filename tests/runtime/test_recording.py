"""What a run's record makes of its inferences."""

import pytest

from profiles.link import presets
from runtime.client import Exchange
from runtime.edge import Inference
from runtime.protocol import InferReply
from runtime.recording import limit_ms


def inference(compute_ns: int | None, *, bytes_up: int = 1000, edge_ms: int = 3) -> Inference:
    """One whose server took ten times as long as its engine: it queued."""
    told = {} if compute_ns is None else {"plan_compute_ns": compute_ns}
    parameters = {"plan_received_ns": 0, "plan_replied_ns": 10 * (compute_ns or 1), **told}
    exchange = Exchange(InferReply({}, "m", parameters=parameters), 0, 0, 0, bytes_up, 500)
    return Inference([], "1", 0, edge_ms * 10**6, 0, 0, exchange)


def test_the_limit_is_of_the_engines_alone() -> None:
    link = presets()["wifi"]
    wire_ms = 8e-3 * (1000 / link.uplink_mbps + 500 / link.downlink_mbps)
    assert limit_ms([inference(2 * 10**6)], link) == pytest.approx(3 + wire_ms + link.rtt_ms + 2)


def test_bytes_that_were_sent_again_move_no_limit() -> None:
    link, usual = presets()["wifi"], inference(2 * 10**6)
    again = inference(2 * 10**6, bytes_up=100_000)
    assert limit_ms([usual, usual, again], link) == limit_ms([usual], link)


def test_there_is_no_limit_where_the_server_does_not_tell() -> None:
    assert limit_ms([inference(None)], presets()["wifi"]) is None
    assert limit_ms([], presets()["wifi"]) is None
