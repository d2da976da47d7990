"""The bounds of learned noise as they are printed and kept: in bits, with intervals, for one query and several."""

import numpy as np

from noise.activations import Activations
from noise.audit.covariance_bound import Bound, covariance_bounds, held_out_bounds
from noise.audit.mixture_bound import mixture_bounds
from noise.collection import BoundFacts
from noise.gaussian_start import bound_rows, most_bound_rows
from noise.mechanism import GaussianMechanism
from noise.randomness import SeededRandom

#: Inferences of one input, each with fresh noise, that the bounds are given for.
REPEATS = (1, 10, 100)


def bounds(
    noise: GaussianMechanism, train: Activations, holdout: Activations, *, seed: int
) -> tuple[BoundFacts, BoundFacts]:
    """The covariance bound, and the tighter one by a mixture of one Gaussian a class.

    Noise and map were learned from the training rows, whose own covariance therefore promises too much (0.07 of 10.4
    bits on LeNet): the first is the larger of the covariance's and of what held-out inputs say.
    """
    fitted, judged = bound_rows(train), judged_rows(holdout)
    inside, outside = noise.whitened(fitted.tensors), noise.whitened(judged.tensors)
    rows = (len(fitted), len(judged))
    covariance = covariance_bounds(inside, outside, repeats=REPEATS)
    if covariance[0].form == "covariance":
        others = held_out_bounds(inside, outside, repeats=REPEATS)
        covariance = [max(pair, key=_nats) for pair in zip(covariance, others, strict=True)]
    random = SeededRandom(seed, 4)
    mixture = mixture_bounds(inside, fitted.labels, outside, random=random, repeats=REPEATS)
    return _facts(covariance, rows), _facts(mixture, rows)


def judged_rows(holdout: Activations) -> Activations:
    """As many rows as a bound is judged on, evenly spread: test data may be sorted by class."""
    count = min(len(holdout), most_bound_rows(holdout))
    if count == len(holdout):
        return holdout
    return holdout.take(np.linspace(0, len(holdout) - 1, count).astype(np.int64))


def _nats(bound: Bound) -> float:
    return bound.nats


def _facts(found: list[Bound], rows: tuple[int, int]) -> BoundFacts:
    once = found[0]
    repeats = {str(one.repeats): one.bits for one in found}
    return BoundFacts(once.bits, once.interval_bits, once.form, rows, repeats)
