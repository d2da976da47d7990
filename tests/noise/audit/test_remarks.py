import dataclasses
import math

import numpy as np

from noise.audit import kraskov, nearest_neighbours
from noise.audit.contrast import ContrastEstimate
from noise.audit.covariance_bound import Bound
from noise.audit.infonce import InfoNCE
from noise.audit.neighbours import NeighbourEstimate
from noise.audit.remarks import remarks
from noise.audit.training import Strength, Training

STRENGTH = Strength(width=8, hidden_layers=1, epochs=1, batch=8, learning_rate=1e-3)


def estimate(nats: float, *, samples: int = 2500, dimensions: int = 4, left_out: int = 0) -> NeighbourEstimate:
    return NeighbourEstimate("by neighbours", nats, 3, samples, dimensions, 0, left_out)


def learned(nats: float, *, stopped: bool = True) -> InfoNCE:
    done = Training(STRENGTH, 0, (nats,), stopped, 1.0)
    return InfoNCE(nats, (nats - 0.1, nats + 0.1), math.log(5000), 5000, 50.0, done)


def test_a_fixed_noise_tensor_is_named_a_translation() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(500, 3))
    seen = x @ random.normal(size=(3, 4)) + random.normal(size=(500, 4))
    clean = tuple(one.information(x, seen, seed=0) for one in (nearest_neighbours, kraskov))
    fixed = [one.information(x, seen + random.normal(0, 50, 4), seed=0) for one in (nearest_neighbours, kraskov)]
    fresh = [one.information(x, seen + random.normal(size=(500, 4)), seed=0) for one in (nearest_neighbours, kraskov)]
    said = remarks(ite=fixed[0], ksg=fixed[1], clean=clean)
    assert [one for one in said if "what was added is a mere translation" in one] == list(said)
    assert len(said) == 2
    # Of fresh noise it says only that the estimate could not tell.
    said = remarks(ite=fresh[0], ksg=fresh[1], clean=clean)
    assert not any("what was added" in one for one in said)
    assert sum("leaves it unchanged" in one for one in said) == 2


def test_a_value_beyond_its_samples_is_named() -> None:
    assert any(
        "183.5 nats exceeds what 2500 samples can support (7.8)" in one for one in remarks(ite=estimate(183.5))
    )
    assert not any("exceeds" in one for one in remarks(ite=estimate(7.7)))


def test_hundreds_of_dimensions_and_copies_are_named() -> None:
    said = remarks(ksg=estimate(1.0, dimensions=904, left_out=7))
    assert any("904 dimensions" in one and one.startswith("ksg") for one in said)
    assert any("7 of 2500" in one for one in said)
    assert not any("dimensions" in one or "copies" in one for one in remarks(ksg=estimate(1.0)))


def test_what_a_bound_contradicts_is_named() -> None:
    said = remarks(
        ite=estimate(37.8), ksg=estimate(0.2), infonce=learned(6.0), bound=Bound(20.0, (19, 21), "held-out")
    )
    found = [one for one in said if "contradiction" in one]
    assert len(found) == 2
    for one, parts in zip(
        found,
        (("ite", "37.8 nats is above", "16.8 or more"), ("ksg", "0.2 nats is below", "5.7 or more")),
        strict=True,
    ):
        assert all(part in one for part in parts)
    # The tighter of two bounds speaks, and what lies between bounds is contradicted by none.
    both = {"bound": Bound(20.0, (19, 21), "held-out"), "mixture": Bound(9.0, (8, 10), "mixture")}
    assert any("the bound by a mixture (10.0)" in one for one in remarks(ite=estimate(15), **both))
    assert not any("contradiction" in one for one in remarks(ite=estimate(7), infonce=learned(6.0), **both))


def test_a_lower_bound_above_an_upper_one_is_no_result() -> None:
    contrast = ContrastEstimate(6.9, (6.8, 7.0), 10_000, 120, 43.0)
    said = remarks(contrast=contrast, mixture=Bound(5.0, (4.9, 5.1), "mixture"))
    assert any("do not trust this row" in one for one in said)
    assert not remarks(contrast=contrast, mixture=Bound(6.85, (6.7, 7.0), "mixture"))


def test_a_bound_that_excludes_nothing_is_named() -> None:
    said = remarks(infonce=learned(8.0), bound=Bound(256.7, (256, 257), "covariance"))
    assert any("than it takes to tell 5000 inputs apart (8.5)" in one for one in said)
    assert remarks(infonce=learned(4.0), bound=Bound(8.0, (7.9, 8.1), "held-out")) == ()


def test_a_capped_or_unfinished_bound_is_named() -> None:
    said = remarks(infonce=learned(8.4, stopped=False))
    assert any("at its cap, ln 5000 = 8.5" in one for one in said)
    assert any("still improving" in one for one in said)
    assert remarks(infonce=learned(6.0)) == ()
    capped = ContrastEstimate(9.2, (9.1, 9.21), 10_000, 120, 100.0)
    assert any("contrast" in one and "cap" in one for one in remarks(contrast=capped))
    assert remarks(contrast=dataclasses.replace(capped, nats=6.0, interval_nats=(5.9, 6.1))) == ()


def test_of_no_figures_nothing_is_said() -> None:
    assert remarks() == ()
