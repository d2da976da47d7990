"""The grid that noisy numbers are rounded to."""

import numpy as np
import pytest

from noise import grid
from noise.gaussian import DenseNormal, GaussianNoise
from noise.randomness import SeededRandom

SIZES = np.array([1e-6, 1.0, 300.0], dtype=np.float32)
NOISE = GaussianNoise({"a": DenseNormal(np.diag(SIZES))})


def test_gaps_are_powers_of_two_of_a_share_of_each_elements_noise() -> None:
    (gap,) = grid.gaps(NOISE)
    assert (np.frexp(gap)[0] == 0.5).all()
    assert ((gap / SIZES > 2.0**-13) & (gap / SIZES < 2.0**-9)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_lie_on_the_grid_and_their_noise_is_what_it_was(dtype: type) -> None:
    (gap,) = grid.gaps(NOISE)
    (drawn,) = NOISE.draw(20_000, SeededRandom(1))
    noisy = grid.rounded(drawn.astype(dtype), gap)
    assert (noisy / gap == np.rint(noisy / gap)).all()
    assert np.abs(noisy - drawn).max(axis=0) == pytest.approx(gap / 2, rel=0.01)
    assert noisy.var(axis=0) == pytest.approx(drawn.var(axis=0), rel=1e-5)


@pytest.mark.parametrize("size", [0.0, np.inf])
def test_noise_that_is_none_leaves_numbers_as_they_are(size: float) -> None:
    class Nothing:
        def draw(self, rows: int, random: object) -> list[object]:
            return [np.full((rows, 2), size, dtype=np.float32)]

    (gap,) = grid.gaps(Nothing())  # type: ignore[arg-type]
    if size == 0:
        assert (grid.rounded(np.array([[5.3, -1e-3]], np.float32), gap) == np.float32([5.3, -1e-3])).all()
    assert np.isfinite(gap).all()
