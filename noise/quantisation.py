"""Where a tensor's int8 levels lie, fixed when its noise is learned. No torch here.

They are found from noisy tensors of held-out data under a seeded generator, so they depend on no user's input, and
what is sent is a fixed function of a' = carried(a) + drawn: whatever bounds what a' tells bounds what its levels tell
(data processing). A level is some hundred times as wide as the grid on which a' lies (`noise.grid`), so that this
grid is neither seen nor needed there; it is kept, as one rule for every wire.

Why least squares and not the whole range. Noise has tails: of 2^18 Laplace samples the largest is 12 b, and levels
that reach it are a quarter wider than they need be, while the error of a clipped tail is seen by nobody. For a
Laplace or a normal tensor the best of 256 levels end near 10 b and 4 σ (Banner et al., "Post Training 4-bit
Quantization of Convolutional Networks for Rapid-Deployment", 2019, Section 3). Quantiles would have to be chosen for
each kind of tail. What takes no noise has no tails, but may be a mask: its whole range is kept.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from profiles.codec import Quantisation

Array = NDArray[Any]

#: Noisy elements that levels are found from, of each tensor, and rows at least.
SAMPLE, LEAST_ROWS = 2**18, 16
#: Ends of the range that are tried: the sample's own, and each a fiftieth nearer to zero, down to 1/256 of it.
ENDS = np.exp2(-np.arange(257) / 32)


def rows_sampled(elements: int) -> int:
    """Of how many rows of so many elements the levels are found."""
    return max(LEAST_ROWS, SAMPLE // max(1, elements))


def of_noisy(tensor: Array) -> Quantisation:
    """The levels of least mean squared error for a noisy tensor's elements."""
    return Quantisation.over(*least_squares_range(tensor))


def of_public(tensor: Array) -> Quantisation:
    """Levels over all finite elements of a tensor that takes no noise."""
    finite = tensor[np.isfinite(tensor)]
    return Quantisation.over(float(finite.min(initial=0)), float(finite.max(initial=0)))


def least_squares_range(values: Array) -> tuple[float, float]:
    """low ≤ 0 ≤ high with the least Σ (what is clipped)² + N · step² / 12, step = (high − low) / 255.

    values: any shape; of more than SAMPLE every so many-th is taken.
    """
    flat = values.reshape(-1)
    flat = np.sort(flat[:: max(1, len(flat) // SAMPLE)]).astype(np.float64)
    high, above = _clipped(flat)
    low, below = _clipped(-flat[::-1])
    step = (high[None] + low[:, None]) / 255
    error = below[:, None] + above[None] + len(flat) * step**2 / 12
    at = np.unravel_index(error.argmin(), error.shape)
    return 0.0 - float(low[at[0]]), float(high[at[1]])


def _clipped(rising: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Upper ends that are tried, and Σ (v − end)² over the values beyond each."""
    ends = max(float(rising[-1]), 0.0) * ENDS
    first = np.searchsorted(rising, ends, side="right")
    # Sums over the values from each place on, the empty one last.
    ones, twos = (np.append(np.cumsum(one[::-1])[::-1], 0.0)[first] for one in (rising, rising**2))
    count = len(rising) - first
    return ends, np.maximum(twos - 2 * ends * ones + count * ends**2, 0.0)
