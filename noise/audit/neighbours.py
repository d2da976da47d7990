"""What the estimates by nearest neighbours share: their record, and distances by brute force.

In hundreds of dimensions trees visit all samples anyway; products of matrices are then the fastest.
"""

import math
from collections.abc import Iterator
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

#: Share of two squared norms below which their squared distance is rounding: the product of float64 cancels there.
#: Two tensors of float32 that differ at all, differ by more, unless in the last digits of a few elements alone.
ROUNDING = 1e-13


@dataclass(frozen=True)
class NeighbourEstimate:
    """I(x; a') in nats, and all that it depends on.

    samples: of the joint (Kullback-Leibler's had as many again of the product). dimensions: of x and a' together.
    left_out: joint samples at distance 0 from their k-th neighbour (k or more copies), where no density exists.
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


def flattened(rows: NDArray[Any]) -> NDArray[Any]:
    """[N, ...] → [N, n]."""
    return rows.reshape(len(rows), -1)


def centred(rows: NDArray[Any], centre: NDArray[np.float64] | None = None) -> Tensor:
    """Rows [N, ...] as float64 [N, n] about a centre, their own mean if none is given.

    Distances do not see a shift; near the origin the products below lose fewer digits.
    """
    flat = flattened(rows)
    middle = flat.mean(axis=0, dtype=np.float64) if centre is None else centre
    return torch.from_numpy(np.asarray(flat, dtype=np.float64) - middle)


def squared_distances(samples: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Parts [rows, N] of the squared distances between samples [N, n], each with the index of its first row.

    Copies are at exactly 0, as is a sample from itself.
    """
    norms = samples.square().sum(dim=1)
    for start in range(0, len(samples), QUERIES):
        part = slice(start, start + QUERIES)
        sums = norms[part, None] + norms
        found = torch.addmm(sums, samples[part], samples.T, alpha=-2)
        yield start, found.masked_fill_(found < ROUNDING * sums, 0)


def kth_distance(queries: Tensor, among: Tensor, k: int, *, itself: bool) -> Tensor:
    """Distance of each query to its k-th neighbour.

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


def require_pairs(inputs: NDArray[Any], observed: NDArray[Any], *, least: int, k: int) -> None:
    """Raises DataError for lengths that differ or too few pairs."""
    if len(inputs) != len(observed) or len(inputs) < least or k < 1:
        raise DataError(
            f"{len(inputs)} inputs and {len(observed)} tensors, expected as many, {least} or more for k = {k}"
        )
