"""The paper's estimate of I(x; a'): a divergence by k nearest neighbours between the joint sample and the product.

For comparison with the paper alone, never for choosing noise. It misranks: distances in hundreds of dimensions tell
little of a density, so it calls some tensors private from which a decoder still reads the picture; it does not see
a translation, so one fixed noise tensor leaves it as it was; and it moves with the scale of either side, as both
enter one Euclidean distance. On LeNet's 120 elements under Gaussian noise it says 50 nats where the noise's proven
bound is 31, and 129 for images three times as bright. Values of different k, samples, dimensions or scaling are not
comparable.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noise.audit.neighbours import (
    NEIGHBOURS,
    NeighbourEstimate,
    centred,
    flattened,
    kth_distance,
    require_pairs,
)
from profiles.errors import DataError


def information(inputs: NDArray[Any], observed: NDArray[Any], *, seed: int, k: int = NEIGHBOURS) -> NeighbourEstimate:
    """I(x; a') = D(joint ‖ product) from N pairs of inputs [N, ...] and what crossed for them [N, ...].

    As the ITE toolbox does (`MIShannon_DKL` over `BDKL_KnnK`; Szabó, "Information theoretical estimators toolbox",
    2014): the pairs are split in two halves, independent of each other; one is the joint sample [x, a'], in the
    other x and a' are shuffled apart, which makes it a sample of the product. The seed shuffles the pairs before
    they are split, and the halves of the second.

    Scaling: both sides enter as they are, flattened and side by side in one Euclidean distance (images in [0, 1],
    tensors in the network's own units), as nothing in the toolbox or the paper scales them.
    Raises DataError for lengths that differ or too few pairs.
    """
    require_pairs(inputs, observed, least=2 * (k + 1), k=k)
    random = np.random.default_rng(seed)
    half = len(inputs) // 2
    order = random.permutation(len(inputs))
    first, second = order[:half], order[half : 2 * half]
    joint = _side_by_side(inputs[first], observed[first])
    product = _side_by_side(inputs[random.permutation(second)], observed[random.permutation(second)])
    nats, left_out = divergence(joint, product, k=k)
    return NeighbourEstimate(
        f"Kullback-Leibler divergence by {k} nearest neighbours (Wang 2009, as ITE's MIShannon_DKL)",
        nats,
        k,
        half,
        joint.shape[1],
        seed,
        left_out,
    )


def divergence(first: NDArray[Any], second: NDArray[Any], *, k: int = NEIGHBOURS) -> tuple[float, int]:
    """D(p ‖ q) in nats from samples of p [n, d] and of q [m, d], and how many of p were left out.

        D = d/n Σᵢ log( νₖ(i) / ρₖ(i) ) + log( m / (n − 1) )

    ρₖ(i) is the distance from the i-th sample of p to its k-th neighbour in p, itself excluded; νₖ(i) to its k-th
    neighbour in q. Q. Wang, S. R. Kulkarni, S. Verdú, "Divergence estimation for multidimensional densities via
    k-nearest-neighbor distances", 2009, Equation 5 (there k may differ between the two).

    The estimator assumes densities: a sample with k or more copies has a distance of 0 and would give ±∞. Such
    samples are left out and counted. Raises DataError where none is left, or there are no k neighbours.
    """
    if first.shape[1:] != second.shape[1:] or first.ndim != 2 or k < 1 or len(first) <= k or len(second) < k:
        raise DataError(
            f"samples {list(first.shape)} and {list(second.shape)}, expected [n, d] and [m, d] of more than k = {k}"
        )
    centre = first.mean(axis=0, dtype=np.float64)
    ours, theirs = centred(first, centre), centred(second, centre)
    within, across = kth_distance(ours, ours, k, itself=True), kth_distance(ours, theirs, k, itself=False)
    kept = (within > 0) & (across > 0)
    if not bool(kept.any()):
        raise DataError(f"every sample has {k} or more copies, so no density exists; expected continuous tensors")
    ratio = float((across[kept].log() - within[kept].log()).mean())
    return first.shape[1] * ratio + math.log(len(second) / (len(first) - 1)), int((~kept).sum())


def _side_by_side(inputs: NDArray[Any], observed: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([flattened(inputs), flattened(observed)], axis=1)
