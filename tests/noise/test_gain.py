import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noise.gain import SPENT, strongest


@given(st.floats(1, 5), st.floats(0.01, 100), st.floats(0.1, 10))
def test_a_budget_is_spent_whatever_the_loss_grows_like(power: float, level: float, budget: float) -> None:
    asked = []

    def needed(gain: float) -> float:
        asked.append(gain)
        return float(level * gain**power)

    found = strongest(needed, budget=budget, lowest=1e-4, highest=1e4, tries=30)
    assert found is not None
    assert SPENT * budget <= level * found**power <= budget or found in (1e-4, 1e4)
    assert len(asked) <= 30


def test_a_loss_that_jumps_and_is_sometimes_below_nothing() -> None:
    found = strongest(lambda gain: -0.1 if gain < 2 else 50.0, budget=1.0, lowest=0.1, highest=10)
    assert found is not None
    assert 1 <= found < 2


def test_a_loss_that_is_noisy_keeps_the_budget_all_the_same() -> None:
    random = np.random.default_rng(0)
    wobble = random.normal(size=1000)
    needed = lambda gain: gain**2 * (1 + 0.1 * wobble[int(gain * 97) % 1000])  # noqa: E731
    for budget in (0.1, 1.0, 10.0):
        found = strongest(needed, budget=budget, lowest=0.01, highest=100)
        assert found is not None
        assert needed(found) <= budget


def test_where_all_is_allowed_it_is_the_highest_and_where_nothing_is_there_is_none() -> None:
    assert strongest(lambda gain: 0.0, budget=1.0, lowest=0.1, highest=16) == 16
    assert strongest(lambda gain: 2.0, budget=1.0, lowest=0.1, highest=16) is None
    assert strongest(lambda gain: 20 * gain, budget=1.0, start=9, lowest=0.05, highest=16, tries=3) == pytest.approx(
        0.05, rel=0.1
    )
