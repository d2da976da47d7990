"""To what noisy numbers are rounded before they are sent, so that their low bits tell nothing. No torch here.

Bounds are of real numbers; what crosses are floats, and their gaps grow with the number. Where a large number and
noise of the other sign make a small sum, its lowest bits are zero; where the number is zero they are those of the
noise. So from a sum's bits alone a large number can be told from a small one (Mironov, "On Significance of the Least
Significant Bits for Differential Privacy", 2012). Rounded to a grid far coarser than these gaps and far finer than
the noise, a sum is as if real numbers had been added and rounded, which tells no more than the real sum does. That
holds for tensors up to some hundred times their noise's size, whose own gaps are still finer than the grid.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from noise.mechanism import Mechanism
from noise.randomness import SeededRandom

#: The grid's gap over the noise's mean size, at most. float32's gaps are 2^-11 of it or less where noise mostly lies;
#: what rounding adds to the noise's variance is 10^-7 of it.
SHARE = 2.0**-10
#: Draws that the noise's size is told by: half or twice as much does as well.
DRAWS = 16
#: Gaps of noise that is none, or infinite, which is refused elsewhere.
SMALLEST, LARGEST = 2.0**-100, 2.0**100


def gaps(noise: Mechanism) -> list[NDArray[np.float32]]:
    """A power of two for each element [n] of each crossing tensor; it depends on no input and on no secret draw."""
    found = []
    for drawn in noise.draw(DRAWS, SeededRandom(0)):
        with np.errstate(divide="ignore"):
            exponents = np.floor(np.log2(SHARE * np.abs(drawn).mean(axis=0, dtype=np.float64)))
        found.append(np.exp2(exponents).clip(SMALLEST, LARGEST).astype(np.float32))
    return found


def rounded(noisy: NDArray[Any], gap: NDArray[np.float32]) -> NDArray[Any]:
    """Rows [rows, n] on the grid, in place. Numbers too large for it stay as they are: it is of powers of two."""
    noisy /= gap
    np.rint(noisy, out=noisy)
    noisy *= gap
    return noisy
