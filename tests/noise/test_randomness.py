import os

import numpy as np
import pytest

from noise.randomness import SeededRandom, SystemRandom


def test_the_systems_numbers_do_not_follow_any_seed() -> None:
    np.random.seed(0)  # noqa: NPY002
    one = SystemRandom().uniform((1000,))
    np.random.seed(0)  # noqa: NPY002
    assert (one != SystemRandom().uniform((1000,))).all()


def test_they_come_from_the_operating_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "urandom", lambda count: b"\xff" * count)
    top = SystemRandom().uniform((4,))
    monkeypatch.setattr(os, "urandom", lambda count: b"\x00" * count)
    bottom = SystemRandom().uniform((4,))
    assert ((bottom > 0) & (bottom < 1e-15)).all()
    assert ((top < 1) & (top > 1 - 1e-15)).all()


def test_they_are_uniform_and_integers_cover_their_range() -> None:
    drawn = SystemRandom().uniform((100, 1000))
    assert drawn.shape == (100, 1000)
    assert abs(drawn.mean() - 0.5) < 0.005
    assert set(SystemRandom().integers(7, 2000).tolist()) == set(range(7))


def test_a_seed_repeats() -> None:
    assert (SeededRandom(5).uniform((9,)) == SeededRandom(5).uniform((9,))).all()
    assert (SeededRandom(5).uniform((9,)) != SeededRandom(6).uniform((9,))).any()
