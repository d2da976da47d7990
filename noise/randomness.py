"""Where the randomness of noise comes from.

An inference draws from the operating system's generator, every number of it: the adversary knows everything but
these draws, and a generator with a small state could be solved for its state. Learning and tests use NumPy's
generators, which can be seeded.
"""

import os
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Randomness(Protocol):
    """A source of independent numbers."""

    def uniform(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Uniform in the open interval (0, 1)."""
        ...

    def normal(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Standard normal."""
        ...

    def integers(self, high: int, count: int) -> NDArray[np.int64]:
        """Uniform among 0 … high − 1."""
        ...


class SystemRandom:
    """The operating system's generator (`os.urandom`)."""

    def uniform(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        count = int(np.prod(shape))
        words = np.frombuffer(os.urandom(8 * count), dtype=np.uint64) >> np.uint64(12)
        # 52 bits and a half: never 0, never 1.
        return ((words.astype(np.float64) + 0.5) * 2.0**-52).reshape(shape)

    def normal(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        from scipy.special import ndtri

        return ndtri(self.uniform(shape)).astype(np.float32)  # type: ignore[no-any-return]

    def integers(self, high: int, count: int) -> NDArray[np.int64]:
        # 64 bits modulo a small number: a bias of at most high / 2^64.
        words = np.frombuffer(os.urandom(8 * count), dtype=np.uint64)
        return (words % np.uint64(high)).astype(np.int64)


class SeededRandom:
    """NumPy's generator: repeatable, for learning and tests, never for an inference."""

    def __init__(self, *seed: int) -> None:
        self._generator = np.random.Generator(np.random.SFC64(seed))

    def uniform(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        drawn = self._generator.random(shape)
        return np.clip(drawn, 2.0**-53, 1 - 2.0**-53)

    def normal(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        return self._generator.standard_normal(shape, dtype=np.float32)

    def integers(self, high: int, count: int) -> NDArray[np.int64]:
        return self._generator.integers(high, size=count)
