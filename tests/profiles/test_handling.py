import os
from pathlib import Path

import pytest

from profiles.errors import ProfileError
from profiles.handling import measure_handling
from profiles.profiling import profile


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def test_both_ways_of_a_message_take_time_and_leave_nothing_running() -> None:
    before = children()
    found = measure_handling(int, seconds=0.1, pause_ms=0)
    assert children() == before
    for way_ms in (
        found.request_sent_ms + found.request_received_ms,
        found.reply_sent_ms + found.reply_received_ms,
        found.noise_ms,
    ):
        assert way_ms > 0


def test_headers_are_counted_and_a_tensors_description_apart() -> None:
    found = measure_handling(int, seconds=0.1, pause_ms=0)
    # HTTP's own words, the protocol's, and nothing of the tensors' bytes.
    assert 150 < found.request_bytes < 400
    assert 150 < found.reply_bytes < 400
    described = ',{"name":"relu4","shape":[1,120],"datatype":"FP32","parameters":{"binary_data_size":480}}'
    assert found.tensor_bytes == len(described)


def test_a_far_end_that_does_not_start_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(ProfileError, match="did not start"):
        measure_handling(int, seconds=0.1, pause_ms=0)


def test_a_measured_profile_says_what_a_message_takes() -> None:
    made = profile("lenet", threads=1, seconds=0.1, pause_ms=0)
    assert made.device.message is not None
    assert made.device.message.request_bytes > 0
