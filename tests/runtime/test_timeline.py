import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from profiles.errors import ArtifactError
from runtime import timeline
from runtime.timeline import PLACES, Timed, events

MS = 1_000_000
#: Edge 2 ms, noise 1, waiting 0.5, uplink 5, cloud 3 (2 of them computing), downlink 4; all 15.5 ms.
ONE = Timed("a-0", 0, 2 * MS, 3 * MS, 7 * MS // 2, 31 * MS // 2, 17 * MS // 2, 23 * MS // 2, 2 * MS, 500, 200, 0)


def shifted(one: Timed, by_ns: int, name: str, **changes: Any) -> Timed:
    bounds = ("start_ns", "computed_ns", "prepared_ns", "sending_ns", "end_ns", "received_ns", "replied_ns")
    return replace(one, request_id=name, **{bound: getattr(one, bound) + by_ns for bound in bounds} | changes)


def durations_ms(found: list[dict[str, Any]]) -> dict[str, float]:
    return {one["name"]: one["dur"] / 1000 for one in found if one["ph"] == "X"}


def require_the_formats_rules(found: list[dict[str, Any]]) -> None:
    """What Perfetto and chrome://tracing ask: known phases, whole times, named processes and threads, nesting."""
    named = {(one["name"], one["pid"], one["tid"]) for one in found if one["ph"] == "M"}
    threads = defaultdict(list)
    for one in found:
        assert one["ph"] in ("X", "M")
        if one["ph"] == "X":
            assert isinstance(one["name"], str)
            assert one["ts"] >= 0
            assert one["dur"] >= 0
            assert ("process_name", one["pid"], 0) in named
            assert ("thread_name", one["pid"], one["tid"]) in named
            threads[one["pid"], one["tid"]].append((one["ts"], one["ts"] + one["dur"]))
    for spans in threads.values():
        assert [start for start, _ in spans] == sorted(start for start, _ in spans)
        open_until: list[float] = []
        for start, end in spans:
            while open_until and open_until[-1] <= start:
                open_until.pop()
            assert not open_until or end <= open_until[-1]
            open_until.append(end)


def test_parts_are_where_the_clocks_say_and_add_up_to_the_total() -> None:
    found = events([ONE], one_clock=True, uplink_share=0.9)
    require_the_formats_rules(found)
    assert durations_ms(found) == {
        "inference": 15.5,
        "edge compute": 2,
        "noise and packing": 1,
        "waiting for a connection": 0.5,
        "answer awaited": 12,
        "uplink": 5,
        "cloud": 3,
        "queue and decode": 1,
        "cloud compute": 2,
        "downlink": 4,
    }
    names = {one["pid"]: one["args"]["name"] for one in found if one["name"] == "process_name"}
    assert tuple(names[pid] for pid in sorted(names)) == PLACES == ("edge", "link up", "cloud", "link down")
    assert {one["args"]["request_id"] for one in found if one["ph"] == "X"} == {"a-0"}
    (whole,) = (one for one in found if one["name"] == "inference")
    assert whole["args"] == {"request_id": "a-0", "inferences": 1, "bytes_up": 500, "bytes_down": 200, "retries": 0}


def test_inferences_that_shared_a_message_are_drawn_once() -> None:
    shared = replace(ONE, together=3)
    found = events([shared, shared, shared, shifted(ONE, 20 * MS, "a-1")], one_clock=True, uplink_share=0.5)
    require_the_formats_rules(found)
    assert [one["args"]["inferences"] for one in found if one["name"] == "inference"] == [3, 1]
    assert found.count(next(one for one in found if one["name"] == "uplink")) == 1


def test_another_machines_clock_gives_a_duration_alone() -> None:
    far = replace(ONE, received_ns=ONE.received_ns + 10**15, replied_ns=ONE.replied_ns + 10**15)  # type: ignore[operator]
    for one, one_clock in ((ONE, False), (far, False), (far, True)):
        found = events([one], one_clock=one_clock, uplink_share=2 / 3)
        require_the_formats_rules(found)
        took = durations_ms(found)
        assert (took["uplink"], took["cloud"], took["downlink"]) == (6, 3, 3)
        how = {event["args"]["placed"] for event in found if event["name"] in ("uplink", "cloud", "downlink")}
        assert how == {timeline.PROPORTION}


def test_a_server_that_does_not_tell_its_time_has_no_event() -> None:
    silent = replace(ONE, received_ns=None, replied_ns=None, compute_ns=None)
    found = events([silent], one_clock=False, uplink_share=0.75)
    require_the_formats_rules(found)
    took = durations_ms(found)
    assert (took["uplink"], took["downlink"]) == (9, 3)
    assert "cloud" not in took
    assert "cloud compute" not in durations_ms(
        events([replace(ONE, compute_ns=None)], one_clock=True, uplink_share=0)
    )


@pytest.mark.parametrize("claim_ns", [-5 * MS, 10**18])
def test_a_peer_may_claim_anything(claim_ns: int) -> None:
    for one in (replace(ONE, compute_ns=claim_ns), replace(ONE, replied_ns=ONE.received_ns + abs(claim_ns))):  # type: ignore[operator]
        for one_clock in (True, False):
            require_the_formats_rules(events([one], one_clock=one_clock, uplink_share=0.5))


def test_inferences_that_overlap_lie_on_lanes_of_their_own() -> None:
    many = [shifted(ONE, index * 4 * MS + 333, f"a-{index}") for index in range(12)]
    found = events(many, one_clock=True, uplink_share=0.5)
    require_the_formats_rules(found)
    lanes = defaultdict(set)
    for one in found:
        if one["ph"] == "X":
            lanes[one["name"]].add(one["tid"])
    # One inference takes 15.5 ms and one begins every 4; the uplink takes 5, the cloud 3.
    assert {name: len(lanes[name]) for name in ("inference", "uplink", "cloud")} == {
        "inference": 4,
        "uplink": 2,
        "cloud": 1,
    }
    first = min(one["ts"] for one in found if one["ph"] == "X")
    assert first == 0


def test_the_file_is_a_json_array_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    timeline.write(path, [ONE, shifted(ONE, 20 * MS, "a-1")], one_clock=True, uplink_share=0.5)
    assert json.loads(path.read_text()) == events(
        [ONE, shifted(ONE, 20 * MS, "a-1")], one_clock=True, uplink_share=0.5
    )
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(ArtifactError, match="cannot be written"):
        timeline.write(path / "below", [ONE], one_clock=True, uplink_share=0.5)
