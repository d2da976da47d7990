"""Where int8 levels lie: the range of least error, the same for everyone, found anew for every noise."""

from dataclasses import replace
from typing import Any

import msgspec
import noise_networks
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from noise import quantisation
from noise.cut_network import CutNetwork
from noise.datasets import catalog
from noise.gaussian import DenseNormal, GaussianNoise
from noise.randomness import SeededRandom
from planner.plan import Plan
from profiles import codec
from profiles.codec import Quantisation


def squared_error(values: Any, levels: Quantisation) -> float:
    sent, parameters = codec.to_wire(values, name="t", wire="int8", quantisation=levels)
    back = codec.from_wire(sent, name="t", dtype=str(values.dtype), parameters=parameters)
    return float(np.square(back.astype(float) - values).sum())


def best_laplace(unit: float = 1.0) -> float:
    """The end α of 256 levels at which 2 b² e^(−α/b) + (2α / 255)² / 12 is least (Banner et al., Equation 10)."""
    return unit * brentq(lambda end: 2 * np.exp(-end) - 8 * end / (12 * 255**2), 1, 30)


def test_the_range_of_a_laplace_is_the_closed_forms() -> None:
    values = np.random.default_rng(0).laplace(scale=3, size=quantisation.SAMPLE).astype(np.float32)
    low, high = quantisation.least_squares_range(values)
    assert [-low, high] == pytest.approx([best_laplace(3)] * 2, rel=0.08)
    # And a rectified one spends no level below zero.
    assert quantisation.of_noisy(np.maximum(values, 0)).zero_point == -128


@given(st.integers(0, 2**31), st.sampled_from(["laplace", "normal", "exponential", "standard_t"]), st.floats(-3, 3))
def test_no_other_range_has_much_less_error(seed: int, kind: str, shift: float) -> None:
    random = np.random.default_rng(seed)
    drawn = random.standard_t(3, size=3000) if kind == "standard_t" else getattr(random, kind)(size=3000)
    values = (drawn + shift).astype(np.float32)
    found = squared_error(values, quantisation.of_noisy(values))
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    for below, above in np.random.default_rng(0).uniform(0.02, 1, (60, 2)):
        # The error within a level is taken as that of a uniform number, which few values are not exactly.
        assert found <= 1.15 * squared_error(values, Quantisation.over(below * low, above * high))


def test_a_mask_of_infinity_hides_as_before_and_zero_stays_zero() -> None:
    mask = np.array([[0, -np.inf, 0], [-np.inf, 0, -0.5]], np.float32)
    sent, parameters = codec.to_wire(mask, name="m", wire="int8", quantisation=quantisation.of_public(mask))
    back = codec.from_wire(sent, name="m", dtype="float32", parameters=parameters)
    assert (back[mask == -np.inf] <= -99).all()
    assert (back[mask == 0] == 0).all()
    assert np.isfinite(back).all()


def in_int8(plan: Plan) -> Plan:
    return msgspec.structs.replace(plan, settings=msgspec.structs.replace(plan.settings, wire="int8"))


def noise(strength: float) -> GaussianNoise:
    normal = DenseNormal(strength * np.eye(noise_networks.HIDDEN, dtype=np.float32))
    return GaussianNoise({"stem": normal})


def test_levels_are_the_noises_own_and_the_same_each_time() -> None:
    cut = CutNetwork.of(in_int8(noise_networks.two_layers_plan()))
    given = cut.activations(catalog.load_dataset("noise_networks:pairs").holdout(), origin="pairs")
    weak, strong, again = (cut.quantised(noise(s), given, random=SeededRandom(1, 6))["stem"] for s in (0.5, 50, 0.5))
    assert weak == again
    assert strong.scale > 20 * weak.scale
    assert replace(cut, wire="float16").quantised(noise(1), given, random=SeededRandom(1, 6)) == {}


def test_what_is_judged_is_what_crosses() -> None:
    """Levels too coarse to tell anything cost what guessing costs; levels of the noise cost next to nothing."""
    cut = CutNetwork.of(in_int8(noise_networks.two_layers_plan()))
    given = cut.activations(catalog.load_dataset("noise_networks:pairs").holdout(), origin="pairs")
    found = cut.quantised(noise(1), given, random=SeededRandom(1, 6))
    in_float, _ = replace(cut, wire="float32").judge(noise(1), given, random=SeededRandom(2), draws=20)
    fine, _ = cut.judge(noise(1), given, random=SeededRandom(2), draws=20, levels=found)
    coarse, _ = cut.judge(noise(1), given, random=SeededRandom(2), levels={"stem": Quantisation(1000.0, 0)})
    assert fine.noisy == pytest.approx(in_float.noisy, abs=0.5)
    assert coarse.noisy < in_float.noisy - 20
