"""The paper's noise: a Laplace distribution and the order of the learned elements (Shredder, Sections 2 and 4).

Learned once: a noise tensor. Kept of it: location and scale of the Laplace fit, and the order of its flattened
elements, largest first. Drawn for an inference: one distribution at random, as many samples as elements, sorted,
laid out in that order. No torch here: the edge samples without it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noise.randomness import Randomness, SeededRandom

Array = NDArray[Any]

#: Bins of the histogram that judges a fit. Few, so that a tensor of a hundred elements fills them.
BINS = 20
#: Numbers worked on at a time: what is in between stays in the cache.
CHUNK_ELEMENTS = 2**15
#: Below this error a fit passes, however surely a large tensor could be told from a Laplace: usable tensors had
#: 0.003, those whose samples lost tens of points 0.1.
USABLE = 0.003


@dataclass(frozen=True)
class OrderedLaplace:
    """d distributions for one crossing tensor of n elements.

    loc, scale: [d]. order: [d, n], indices of the elements, largest first.
    """

    loc: NDArray[np.float64]
    scale: NDArray[np.float64]
    order: NDArray[np.int64]

    @property
    def distributions(self) -> int:
        return len(self.loc)

    @property
    def elements(self) -> int:
        return int(self.order.shape[1])

    def draw(self, which: NDArray[np.int64], random: Randomness) -> NDArray[np.float32]:
        """Fresh noise [rows, n], row i from distribution which[i]. Time and memory beside it: O(n)."""
        noise = np.empty((len(which), self.elements), dtype=np.float32)
        most = max(1, CHUNK_ELEMENTS // self.elements)
        for start in range(0, len(which), most):
            part = which[start : start + most]
            values = descending(len(part), self.elements, random)
            values *= self.scale[part, None]
            values += self.loc[part, None]
            for row, one, laid in zip(_float32(values), part, noise[start : start + most], strict=True):
                laid[self.order[one]] = row
        return noise

    def take(self, kept: Sequence[int] | NDArray[np.int64]) -> "OrderedLaplace":
        """The given distributions alone."""
        return OrderedLaplace(self.loc[kept], self.scale[kept], self.order[kept])

    def scaled(self, gain: float) -> "OrderedLaplace":
        """The same with noise `gain` times as strong."""
        return OrderedLaplace(gain * self.loc, gain * self.scale, self.order)

    @property
    def variance(self) -> float:
        """σ² of what is drawn, over elements and distributions; in their order too, samples are Laplace."""
        return float((2 * self.scale**2 + self.loc**2).mean() - self.loc.mean() ** 2)


@dataclass(frozen=True)
class LaplaceNoise:
    """Noise for every crossing tensor of a cut: node id → its distributions, all with as many.

    One inference takes the same distribution index for all of its tensors: they were learned together.
    """

    tensors: Mapping[str, OrderedLaplace]
    kind: str = "laplace"

    @property
    def distributions(self) -> int:
        """How many distributions an inference chooses from."""
        return next(iter(self.tensors.values())).distributions

    @property
    def nodes(self) -> tuple[str, ...]:
        """Ids of the crossing tensors that take noise, in graph order."""
        return tuple(self.tensors)

    @property
    def elements(self) -> int:
        """Of all crossing tensors of one inference together."""
        return sum(one.elements for one in self.tensors.values())

    def draw(self, rows: int, random: Randomness) -> list[NDArray[np.float32]]:
        """Fresh noise for `rows` inferences: for each crossing tensor [rows, n]."""
        return self.draw_from(random.integers(self.distributions, rows), random)

    def draw_from(self, which: NDArray[np.int64], random: Randomness) -> list[NDArray[np.float32]]:
        """As `draw`, inference i from distribution which[i]."""
        return [one.draw(which, random) for one in self.tensors.values()]

    def scaled(self, gain: float) -> "LaplaceNoise":
        """The same with noise `gain` times as strong."""
        return LaplaceNoise({name: one.scaled(gain) for name, one in self.tensors.items()})

    def snr_inverse(self, power: float) -> float:
        """1/SNR = σ²(n) / E[a²], all crossing tensors together. power: E[a²] summed over their elements."""
        return sum(one.elements * one.variance for one in self.tensors.values()) / power

    def carried(self, tensors: Sequence[Array]) -> list[Array]:
        """The tensors as they are: noise is added."""
        return list(tensors)


def descending(rows: int, elements: int, random: Randomness) -> NDArray[np.float64]:
    """Samples of the standard Laplace distribution, largest first, [rows, elements]: O(n), nothing is sorted.

    With E₀ … Eₙ exponential, (E₀ + … + Eⱼ₋₁) / (E₀ + … + Eₙ) are the order statistics of n uniforms (Rényi, 1953;
    Devroye, Non-Uniform Random Variate Generation, 1986, V.3). Both halves are summed from their own end, so that a
    tail's probability, of which the logarithm is taken, is exact in either tail.
    """
    spacings = random.exponential((rows, elements + 1))
    values = np.empty((rows, elements))
    half = (elements + 1) // 2
    upper, lower = values[:, :half], values[:, half:][:, ::-1]
    np.cumsum(spacings[:, :half], axis=1, out=upper)
    np.cumsum(spacings[:, :half:-1], axis=1, out=lower)
    values /= upper[:, -1:] + spacings[:, half, None] + lower[:, -1:].sum(axis=1, keepdims=True)
    for start in range(0, elements, CHUNK_ELEMENTS):
        part = values[:, start : start + CHUNK_ELEMENTS]
        part[:] = quantile(part)
    np.negative(values[:, :half], out=values[:, :half])
    return values


def _float32(values: NDArray[np.float64]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what is no finite number is never sent
        return values.astype(np.float32)


def quantile(uniform: Array) -> Array:
    """Quantile function of the standard Laplace distribution."""
    # By the nearer tail, which is exact where 1 − uniform would round; copysign takes the logarithm's magnitude.
    values: Array = np.copysign(np.log(2 * np.minimum(uniform, 1 - uniform)), uniform - 0.5)
    return values


def order_of(elements: Array) -> NDArray[np.int64]:
    """Indices of flattened elements, largest first: [3.2, 4.8, 7.3, 1.5] → [2, 1, 0, 3]."""
    return np.argsort(-elements, axis=-1, kind="stable")


def fit(elements: Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Maximum-likelihood location and scale of each row [d, n] (as `scipy.stats.laplace.fit`)."""
    loc = np.median(elements, axis=1)
    return loc.astype(np.float64), np.abs(elements - loc[:, None]).mean(axis=1).astype(np.float64)


def fit_error(elements: Array, loc: Array, scale: Array) -> NDArray[np.float64]:
    """Sum of squared errors between a row's histogram and that of its fitted density [d].

    The bins hold 1 / BINS of the fitted distribution each, so the expected share is the same in all of them.
    """
    edges = quantile(np.arange(1, BINS) / BINS)
    errors = np.empty(len(elements))
    for index, row in enumerate(elements):  # one at a time: some have a million elements
        bins = np.searchsorted(edges, (row - loc[index]) / max(scale[index], 1e-30))
        shares = np.bincount(bins, minlength=BINS) / len(row)
        errors[index] = ((shares - 1 / BINS) ** 2).sum()
    return errors


@lru_cache(maxsize=256)
def fit_threshold(n: int, *, level: float = 0.99, trials: int = 400) -> float:
    """The error below which a fit passes: what `level` of true Laplace tensors of n elements stay under, or USABLE.

    The paper's threshold is "tunable, differs by model"; it differs by n, and this says how.
    """
    if n >= 10_000:  # the error of true Laplace tensors is about 1 / n, far below USABLE
        return USABLE
    samples = quantile(SeededRandom(0).uniform((trials, n)))
    return max(USABLE, float(np.quantile(fit_error(samples, *fit(samples)), level)))


def ordered(elements: Array) -> OrderedLaplace:
    """Fit each learned tensor [d, n] and keep its order; the values themselves are not kept."""
    loc, scale = fit(elements)
    return OrderedLaplace(loc, scale, order_of(elements))
