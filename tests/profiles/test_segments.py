import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import profiles

from planner.legality import CutRules
from planner.linear import linear_cuts as planned_cuts
from profiles.board import fit_segments, nnls, share
from profiles.device import DeviceProfile
from profiles.segments import linear_cuts

times = st.floats(0.01, 100)


@given(st.lists(times, min_size=2, max_size=9), times)
def test_what_made_the_times_is_found_again(inner: list[float], start: float) -> None:
    until = np.cumsum(inner)
    whole = float(until[-1])
    found = fit_segments(
        whole_ms=whole, prefixes_ms=until[:-1], suffixes_ms=whole - until[:-1] + start, alone_ms=inner
    )
    np.testing.assert_allclose(found.inner_ms, inner, rtol=1e-6, atol=1e-9)
    assert found.start_ms == pytest.approx(start, rel=1e-6)
    np.testing.assert_allclose(found.receive_ms, 0, atol=1e-6 * whole)


@given(st.lists(times, min_size=4, max_size=12), st.integers(0, 1000))
def test_times_that_contradict_each_other_give_no_negative_ones(until: list[float], seed: int) -> None:
    backwards = np.random.default_rng(seed).permutation(until)
    found = fit_segments(whole_ms=50.0, prefixes_ms=until, suffixes_ms=backwards, alone_ms=np.ones(len(until) + 1))
    assert (found.inner_ms >= 0).all()
    assert found.start_ms >= 0
    assert found.inner_ms.sum() == pytest.approx(50.0)


def test_a_half_that_starts_slower_than_the_others_is_said_to() -> None:
    prefixes, suffixes = np.array([1.0, 2.0, 3.0]), np.array([3.2, 2.2, 1.9])
    found = fit_segments(whole_ms=4.0, prefixes_ms=prefixes, suffixes_ms=suffixes, alone_ms=np.ones(4))
    assert found.receive_ms[2] == pytest.approx(0.7, abs=0.1)
    assert found.receive_ms[:2] == pytest.approx(0.0, abs=0.05)
    assert found.start_ms == pytest.approx(0.2, abs=0.1)


def test_a_network_that_cannot_be_cut_is_one_segment() -> None:
    found = fit_segments(whole_ms=2.0, prefixes_ms=[], suffixes_ms=[], alone_ms=[1.0])
    assert found.inner_ms == pytest.approx([2.0])


def test_what_halves_leave_open_is_decided_in_place() -> None:
    # The last prefix scatters above the whole: the halves alone would give its segment nothing.
    found = fit_segments(whole_ms=1.0, prefixes_ms=[0.5, 1.01], suffixes_ms=[0.6, 0.1], alone_ms=[0.5, 0.48, 0.02])
    assert 0.001 < found.inner_ms[2] < 0.02
    assert found.inner_ms[:2].sum() == pytest.approx(1.0, abs=0.02)


def test_a_segment_is_shared_in_proportion_and_never_lost() -> None:
    np.testing.assert_allclose(share(6.0, np.array([1.0, 2.0, 0.0])), [2, 4, 0])
    np.testing.assert_allclose(share(6.0, np.zeros(3)), [2, 2, 2])


@given(st.integers(1, 12), st.integers(0, 12), st.integers(0, 10**6))
def test_non_negative_least_squares_is_scipys(columns: int, more: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    matrix, wanted = random.standard_normal((columns + more, columns)), random.standard_normal(columns + more)
    found, (expected, residual) = nnls(matrix, wanted), scipy.optimize.nnls(matrix, wanted)
    assert (found >= 0).all()
    assert np.linalg.norm(matrix @ found - wanted) == pytest.approx(residual, abs=1e-9)
    np.testing.assert_allclose(found, expected, atol=1e-6 * (1 + np.abs(expected).max()))


@settings(max_examples=150)
@given(profiles(12))
def test_halves_are_timed_where_a_plan_may_cut_after_one_tensor(pair: tuple) -> None:  # type: ignore[type-arg]
    graph = pair[0].graph
    cuts = linear_cuts(graph, most=100, weight=[1.0] * len(graph))
    allowed = set(planned_cuts(CutRules(graph)).nodes)
    assert allowed <= set(cuts)


@pytest.mark.parametrize("most", range(1, 7))
def test_a_few_of_many_cuts_keep_the_first_and_the_last(most: int, lenet_profile: DeviceProfile) -> None:
    graph = lenet_profile.graph
    every = linear_cuts(graph, most=100, weight=[1.0] * len(graph))
    assert every == ["pool1", "pool2", "flatten", "relu4"]
    some = linear_cuts(graph, most=most, weight=range(len(graph)))
    assert set(some) <= set(every)
    assert len(some) <= most
    assert some[0] == every[0]
    assert most == 1 or some[-1] == every[-1]
