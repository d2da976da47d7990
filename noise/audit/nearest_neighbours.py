"""The paper's estimate of I(x; a'): a divergence by k nearest neighbours between the joint sample and the product.

For comparison with the paper alone, never for choosing noise. It misranks: distances in hundreds of dimensions tell
little of a density, so it calls some tensors private from which a decoder still reads the picture; it does not see
a translation, so one fixed noise tensor leaves it as it was; and it moves with the scale of either side, as both
enter one Euclidean distance. On LeNet's 120 elements under Gaussian noise it says 50 nats where the noise's proven
bound is 31, and 129 for images three times as bright. Values of different k, samples, dimensions or scaling are not
comparable.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from profiles.errors import DataError

#: Neighbours, as the ITE toolbox has it where nothing else is asked.
NEIGHBOURS = 3

#: Distances that are in memory at once: [QUERIES, samples] of 8 bytes.
QUERIES = 1000


@dataclass(frozen=True)
class NeighbourEstimate:
    """I(x; a') in nats, and all that it depends on.

    samples: of the joint, as many again were of the product. dimensions: of x and a' together. left_out: joint
    samples at distance 0 from their k-th neighbour (k or more copies), where no density exists.
    """

    estimator: str
    nats: float
    k: int
    samples: int
    dimensions: int
    seed: int
    left_out: int

    @property
    def bits(self) -> float:
        return self.nats / math.log(2)

    @property
    def beyond_samples(self) -> bool:
        """Above the logarithm of the sample count: no sample of this size supports such a value (McAllester and
        Stratos, "Formal limitations on the measurement of mutual information", 2020)."""
        return self.nats > math.log(self.samples)


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
    if len(inputs) != len(observed) or len(inputs) < 2 * (k + 1):
        raise DataError(
            f"{len(inputs)} inputs and {len(observed)} tensors, expected as many, {2 * (k + 1)} or more for k = {k}"
        )
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
    # Distances do not see a shift; near the origin the products below lose fewer digits.
    centre = first.mean(axis=0, dtype=np.float64)
    ours = torch.from_numpy(np.asarray(first, dtype=np.float64) - centre)
    theirs = torch.from_numpy(np.asarray(second, dtype=np.float64) - centre)
    within, across = _kth_distance(ours, ours, k, itself=True), _kth_distance(ours, theirs, k, itself=False)
    kept = (within > 0) & (across > 0)
    if not bool(kept.any()):
        raise DataError(f"every sample has {k} or more copies, so no density exists; expected continuous tensors")
    ratio = float((across[kept].log() - within[kept].log()).mean())
    return first.shape[1] * ratio + math.log(len(second) / (len(first) - 1)), int((~kept).sum())


def _kth_distance(queries: Tensor, among: Tensor, k: int, *, itself: bool) -> Tensor:
    """Distance of each query to its k-th neighbour. Brute force: in hundreds of dimensions trees visit all anyway.

    itself: the queries are the samples, row by row, and none is its own neighbour.
    """
    norms = among.square().sum(dim=1)
    found = []
    for start in range(0, len(queries), QUERIES):
        part = queries[start : start + QUERIES]
        ranking = norms - 2 * part @ among.T  # squared distance but for what a row has in common
        if itself:
            rows = torch.arange(len(part))
            ranking[rows, start + rows] = torch.inf
        nearest = ranking.topk(k, dim=1, largest=False).indices
        # The product above cancels near 0: the few distances that count are taken anew, so copies give exactly 0.
        exact = torch.stack([(part - among[column]).norm(dim=1) for column in nearest.T])
        found.append(exact.max(dim=0).values)
    return torch.cat(found)


def _side_by_side(inputs: NDArray[Any], observed: NDArray[Any]) -> NDArray[Any]:
    rows = len(inputs)
    return np.concatenate([inputs.reshape(rows, -1), observed.reshape(rows, -1)], axis=1)
