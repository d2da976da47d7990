import numpy as np
import pytest

from noise.audit.elimination import possible
from noise.laplace import OrderedLaplace, order_of
from noise.randomness import SeededRandom
from profiles.errors import DataError


def collection(distributions: int, n: int) -> OrderedLaplace:
    random = np.random.default_rng(0)
    orders = order_of(random.standard_normal((distributions, n)))
    return OrderedLaplace(np.zeros(distributions), np.full(distributions, 2.0), orders)


def test_only_the_true_input_remains_of_many() -> None:
    candidates = np.random.default_rng(1).standard_normal((2000, 40)).astype(np.float32)
    noise = collection(20, 40)
    which = np.arange(20)
    crossed = candidates[:20] + noise.draw(which, SeededRandom(2))
    for index, observed in enumerate(crossed):
        found = possible(observed, candidates, noise.order)
        assert np.argwhere(found).tolist() == [[index, index]]  # its distribution, its input


def test_it_is_the_definition() -> None:
    # Few elements, so that wrong candidates remain too.
    random = np.random.default_rng(3)
    candidates = random.standard_normal((500, 3))
    orders = order_of(random.standard_normal((2, 3)))
    observed = random.standard_normal(3)
    expected = [[(np.diff((observed - one)[order]) <= 0).all() for one in candidates] for order in orders]
    found = possible(observed, candidates, orders, rounding=0)
    assert (found == np.array(expected)).all()
    assert 0 < found.sum() < 1000


def test_rounding_never_loses_the_true_input() -> None:
    # Large activations under small noise: most of the noise's digits are rounded off, many elements tie.
    candidates = (1000 * np.random.default_rng(4).standard_normal((5, 200))).astype(np.float32)
    noise = collection(1, 200)
    for seed in range(20):
        drawn = noise.draw(np.zeros(5, dtype=np.int64), SeededRandom(seed)) * np.float32(1e-3)
        crossed = candidates + drawn
        assert all(possible(crossed[row], candidates, noise.order)[0, row] for row in range(5))
        halved = crossed.astype(np.float16)
        kept = [possible(halved[row], candidates, noise.order, rounding=2.0**-10)[0, row] for row in range(5)]
        assert all(kept)


def test_uncertain_candidates_need_their_tolerance() -> None:
    candidates = np.random.default_rng(5).standard_normal((1, 120)).astype(np.float32)
    noise = collection(1, 120)
    crossed = (candidates + noise.draw(np.zeros(1, dtype=np.int64), SeededRandom(0)))[0]
    elsewhere = candidates + np.float32(0.3) * np.where(np.arange(120) % 2, 1, -1).astype(np.float32)
    assert not possible(crossed, elsewhere, noise.order).any()
    assert possible(crossed, elsewhere, noise.order, uncertainty=0.3001).all()


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match=r"expected \[n\], \[N, n\], \[d, n\]"):
        possible(np.zeros(3), np.zeros((5, 4)), np.zeros((2, 3), dtype=np.int64))
