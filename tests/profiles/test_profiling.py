import pytest

from profiles.device import DeviceProfile
from profiles.errors import ProfileError
from profiles.measure import summary
from profiles.profiling import profile


def test_node_times_add_up_to_the_measured_whole(lenet_profile: DeviceProfile) -> None:
    assert sum(node.time_ms for node in lenet_profile.nodes) == pytest.approx(lenet_profile.whole_ms)
    assert lenet_profile.device.provenance == "measured"
    assert lenet_profile.device.threads == 1


def test_three_prefixes_are_timed_for_real(lenet_profile: DeviceProfile) -> None:
    check = lenet_profile.check
    assert check is not None
    assert len(check.prefixes) == 3
    assert 0 < check.median_relative_error <= check.largest_relative_error < 1


def test_convolutions_take_longer_than_activations(lenet_profile: DeviceProfile) -> None:
    def kind_ms(kind: str) -> float:
        return sum(node.time_ms for node in lenet_profile.nodes if node.kind == kind)

    assert kind_ms("convolution") > kind_ms("activation")


def test_a_device_that_is_not_here_is_refused() -> None:
    with pytest.raises(ProfileError, match="cuda"):
        profile("lenet", device="cuda:99")
    with pytest.raises(ProfileError, match="warp"):
        profile("lenet", device="warp")


def test_median_and_spread() -> None:
    found = summary([1e6, 2e6, 3e6, 4e6, 5e6])
    assert (found.median_ms, found.iqr_ms, found.repeats) == (3.0, 2.0, 5)
