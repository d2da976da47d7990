"""Where the randomness of noise comes from.

An inference draws from the operating system's generator, every number of it (`SystemRandom`), or where the same input
is never to get two draws, from a stream that a secret decides (`noise.keyed.KeyedRandom`). Learning and tests use
NumPy's generators, which can be seeded.

Why not a fast generator, seeded afresh from the system for every inference. The adversary knows everything but these
draws, and some of those too: after a ReLU most elements of a tensor are exactly zero, so what is sent there is the
noise itself. From a few hundred such values the state of a generator like SFC64 (256 bits, not cryptographic) can in
principle be solved for, and with it the noise on all the other elements. What it would save is measured in
`benchmarks/sampling.py`: less than half of a draw that is made while the edge waits for an answer.

32 bits of the system make one number, 64 where they are nearest to zero, and what is made of them keeps them all:
a pair of normals comes of 2^64 equally likely states, far more than there are pairs of float32 where they mostly lie,
so no pair is missing by which a candidate for the clean tensor could be ruled out.
"""

import os
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

#: Numbers made at a time: what is in between stays in the processor's cache.
CHUNK = 2**15


class Randomness(Protocol):
    """A source of independent numbers."""

    def uniform(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Uniform in the open interval (0, 1)."""
        ...

    def normal(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Standard normal."""
        ...

    def exponential(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Standard exponential, never 0."""
        ...

    def integers(self, high: int, count: int) -> NDArray[np.int64]:
        """Uniform among 0 … high − 1."""
        ...


class CryptographicRandom:
    """Numbers out of bytes that nobody can tell beforehand; where the bytes come from is the subclass's part."""

    def bytes(self, count: int) -> bytes:
        raise NotImplementedError

    def uniform(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        count = int(np.prod(shape))
        words = np.frombuffer(self.bytes(8 * count), dtype="<u8") >> np.uint64(12)
        # 52 bits and a half: never 0, never 1.
        return ((words.astype(np.float64) + 0.5) * 2.0**-52).reshape(shape)

    def normal(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Standard normal (Box and Muller, 1958).

        The largest that can come out is 9.49, since a radius comes of 2^-65 at least; a true normal lies beyond it
        once in 10^20 elements.
        """
        made = np.empty(int(np.prod(shape)), dtype=np.float32)
        for start in range(0, len(made), CHUNK):
            part = made[start : start + CHUNK]
            pairs = (len(part) + 1) // 2
            radius = np.sqrt(-2 * np.log(self._fractions(pairs)))
            cosine, sine = _circle(self._words(pairs))
            np.multiply(radius, cosine, out=part[:pairs], casting="same_kind")
            odd = len(part) - pairs
            np.multiply(radius[:odd], sine[:odd], out=part[pairs:], casting="same_kind")
        return made.reshape(shape)

    def exponential(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Standard exponential, by its quantile function.

        Exact towards zero (to 2^-65), where spacings make the tails of order statistics; the largest is 22.9, which
        a true one exceeds once in 10^10, where a spacing among many is of no weight.
        """
        made = np.empty(int(np.prod(shape)))
        for start in range(0, len(made), CHUNK):
            part = made[start : start + CHUNK]
            np.log1p(-self._fractions(len(part)), out=part)
        return np.negative(made, out=made).reshape(shape)

    def integers(self, high: int, count: int) -> NDArray[np.int64]:
        # 64 bits modulo a small number: a bias of at most high / 2^64.
        words = np.frombuffer(self.bytes(8 * count), dtype="<u8")
        return (words % np.uint64(high)).astype(np.int64)

    def _words(self, count: int) -> NDArray[np.uint32]:
        return np.frombuffer(self.bytes(4 * count), dtype="<u4")

    def _fractions(self, count: int) -> NDArray[np.float64]:
        """Uniform in (0, 1): 32 bits, and 32 more below where the first 24 are zero, for the tail's sake."""
        words = self._words(count)
        fractions: NDArray[np.float64] = (words.astype(np.float64) + 0.5) * 2.0**-32
        if len(low := (words < 256).nonzero()[0]):
            fractions[low] = (words[low] + (self._words(len(low)) + 0.5) * 2.0**-32) * 2.0**-32
        return fractions


def _circle(words: NDArray[np.uint32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cosine and sine of 2^32 equally likely angles.

    The upper 22 bits choose an angle in float32, four times as fast as in float64; the lower 10 turn its point by the
    first-order term, so that none is lost. Rounding moves a point along the circle by up to 4e-7, evenly.
    """
    angle = (words >> np.uint32(10)).astype(np.float32) * np.float32(2 * np.pi * 2.0**-22)
    turn = (words & np.uint32(1023)) * (2 * np.pi * 2.0**-32)
    cosine, sine = np.cos(angle), np.sin(angle)
    return cosine - sine * turn, sine + cosine * turn


class SystemRandom(CryptographicRandom):
    """The operating system's generator (`os.urandom`)."""

    def bytes(self, count: int) -> bytes:
        return os.urandom(count)


class SeededRandom:
    """NumPy's generator: repeatable, for learning and tests, never for an inference."""

    def __init__(self, *seed: int) -> None:
        self._generator = np.random.Generator(np.random.SFC64(seed))

    def uniform(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        drawn = self._generator.random(shape)
        return np.clip(drawn, 2.0**-53, 1 - 2.0**-53)

    def normal(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        return self._generator.standard_normal(shape, dtype=np.float32)

    def exponential(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        # NumPy's can be 0, of which no logarithm can be taken.
        return np.maximum(self._generator.standard_exponential(shape), 2.0**-65)

    def integers(self, high: int, count: int) -> NDArray[np.int64]:
        return self._generator.integers(high, size=count)
