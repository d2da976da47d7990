import numpy as np
import pytest

from noise.audit.elimination import eliminate, possible
from noise.laplace import LaplaceNoise, OrderedLaplace, order_of
from noise.randomness import SeededRandom
from profiles import codec
from profiles.codec import Quantisation
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


def of_two_tensors(distributions: int, scale: float = 2.0) -> LaplaceNoise:
    random = np.random.default_rng(0)
    made = {}
    for name, n in (("a", 3), ("b", 2)):
        orders = order_of(random.standard_normal((distributions, n)))
        made[name] = OrderedLaplace(np.zeros(distributions), np.full(distributions, scale), orders)
    return LaplaceNoise(made)


def crossed(noise: LaplaceNoise, candidates: np.ndarray, true: np.ndarray, seed: int) -> np.ndarray:
    drawn = noise.draw(len(true), SeededRandom(seed))
    return candidates[true] + np.concatenate(drawn, axis=1)


def test_what_is_left_is_counted_over_several_tensors() -> None:
    # Few elements, so that wrong candidates remain; the slow way row by row.
    noise = of_two_tensors(2)
    candidates = np.random.default_rng(1).standard_normal((300, 5)).astype(np.float32)
    true = np.arange(0, 300, 5)
    seen = crossed(noise, candidates, true, 3)
    found = eliminate(noise, [seen], candidates, true)
    first, second = noise.tensors["a"].order, noise.tensors["b"].order
    left = np.stack([
        (possible(one[:3], candidates[:, :3], first) & possible(one[3:], candidates[:, 3:], second)).any(axis=0)
        for one in seen
    ])  # fmt: skip
    assert found.remaining == left.sum(axis=1).mean()
    assert 1 < found.remaining < 300
    assert found.true_percent == 100
    assert found.identified_percent == pytest.approx(100 * (1 / left.sum(axis=1)).mean())
    assert (found.rows, found.candidates) == (60, 300)


def test_more_queries_leave_fewer_and_never_lose_the_true_one() -> None:
    noise = of_two_tensors(2)
    candidates = np.random.default_rng(1).standard_normal((300, 5)).astype(np.float32)
    true = np.arange(40)
    seen = [crossed(noise, candidates, true, seed) for seed in range(20)]
    found = [eliminate(noise, seen[:queries], candidates, true) for queries in (1, 4, 20)]
    assert all(one.true_percent == 100 for one in found)
    assert found[0].remaining > 2 * found[1].remaining > 4 * found[2].remaining > 4
    assert found[0].identified_percent < found[1].identified_percent < found[2].identified_percent


@pytest.mark.parametrize("wire", ["float16", "int8"])
def test_the_wires_rounding_never_loses_the_true_one(wire: str) -> None:
    noise = LaplaceNoise({"t": collection(20, 60)})
    candidates = (5 * np.random.default_rng(4).standard_normal((200, 60))).astype(np.float32)
    true = np.arange(50)
    seen = crossed(noise, candidates, true, 0).astype(np.float32)
    levels = {"t": Quantisation.over(-12.0, 15.0)} if wire == "int8" else {}  # some are cut off
    sent, parameters = codec.to_wire(seen, name="t", wire=wire, quantisation=levels.get("t"))
    received = codec.from_wire(sent, name="t", dtype="float32", parameters=parameters)
    found = eliminate(noise, [received], candidates, true, wire=wire, levels=levels)
    assert found.true_percent == 100
    assert found.remaining < 1.1
