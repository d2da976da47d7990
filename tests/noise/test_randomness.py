import os

import numpy as np
import pytest
import scipy.stats

from noise.keyed import KeyedRandom
from noise.randomness import CHUNK, CryptographicRandom, SeededRandom, SystemRandom


class Fixed(CryptographicRandom):
    """Every word the same."""

    def __init__(self, byte: bytes) -> None:
        self._byte = byte

    def bytes(self, count: int) -> bytes:
        return self._byte * count


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
    # So does every other kind of number: with the same bytes, nothing is left to chance.
    for draw in (SystemRandom().normal, SystemRandom().exponential):
        assert (draw((50,)) == draw((50,))).all()
    assert (SystemRandom().integers(20, 9) == 0).all()


def test_no_word_of_the_system_is_used_for_two_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    plain = os.urandom
    monkeypatch.setattr(os, "urandom", lambda count: asked.append(count) or plain(count))
    SystemRandom().normal((3, CHUNK))
    # 32 bits a number, and 32 more for every one whose first 24 are zero.
    assert 0 <= sum(asked) - 4 * 3 * CHUNK < 100


def test_they_are_uniform_and_integers_cover_their_range() -> None:
    drawn = SystemRandom().uniform((100, 1000))
    assert drawn.shape == (100, 1000)
    assert abs(drawn.mean() - 0.5) < 0.005
    assert set(SystemRandom().integers(7, 2000).tolist()) == set(range(7))


@pytest.mark.parametrize(
    "random", [SystemRandom(), KeyedRandom(b"k" * 32), SeededRandom(3)], ids=lambda r: type(r).__name__
)
def test_normals_and_exponentials_are_what_they_say(random: SystemRandom) -> None:
    # Odd, and over a chunk's end. 99,991 samples: a scale off by 0.7 % would be found.
    normal, exponential = random.normal((7, 14284 + 1)), random.exponential((99_991,))
    assert normal.dtype == np.float32
    assert normal.shape == (7, 14285)
    assert scipy.stats.kstest(normal.ravel(), scipy.stats.norm.cdf).pvalue > 1e-6
    assert scipy.stats.kstest(exponential, scipy.stats.expon.cdf).pvalue > 1e-6
    assert abs(np.corrcoef(normal[0, ::2][:7000], normal[0, 1::2][:7000])[0, 1]) < 0.06
    # The two of a pair lie half a chunk's part apart: independent in their squares too.
    flat = normal.ravel()[:CHUNK].astype(np.float64) ** 2
    assert abs(np.corrcoef(flat[: CHUNK // 2], flat[CHUNK // 2 :])[0, 1]) < 0.04


def test_the_tails_reach_as_far_as_is_said() -> None:
    lowest, highest = Fixed(b"\x00"), Fixed(b"\xff")
    assert np.abs(lowest.normal((2,))).max() == pytest.approx(np.sqrt(2 * 65 * np.log(2)), rel=1e-6)
    assert lowest.exponential((3,)) == pytest.approx(2.0**-65)
    assert highest.exponential((3,)) == pytest.approx(33 * np.log(2), rel=1e-6)
    for random in (lowest, highest):
        assert np.isfinite(random.normal((5,))).all()
        assert (random.exponential((5,)) > 0).all()


def test_a_seed_repeats() -> None:
    assert (SeededRandom(5).uniform((9,)) == SeededRandom(5).uniform((9,))).all()
    assert (SeededRandom(5).uniform((9,)) != SeededRandom(6).uniform((9,))).any()
