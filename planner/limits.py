"""What a constraint limits: sums over a cut, at most or at least a value."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.mincut import Terms

Floats = NDArray[np.float64]
#: Room for rounding in sums, relative; far below what a figure's last digit shows.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Quantity:
    """Something that adds up over a cut and that a constraint may limit: terms, or bytes of memory."""

    terms: Terms
    #: What is alive at one node beside what adds up (its input and output tensors); None where nothing is.
    peak: Floats | None = None


@dataclass(frozen=True)
class Limit:
    """A quantity at most (or, with `least`, at least) a value. option: how the user said it."""

    option: str
    quantity: Quantity
    value: float
    least: bool = False

    @classmethod
    def of(cls, terms: Terms) -> "Limit":
        """A limit without an option, its value to be set."""
        return cls("", Quantity(terms), np.inf)

    def at(self, value: float) -> "Limit":
        """The same limit at another value."""
        return Limit(self.option, self.quantity, value, self.least)

    def admits(self, value: float) -> bool:
        """Whether a value lies within the limit, rounding aside."""
        room = ROUNDING * max(1.0, abs(self.value))
        return value >= self.value - room if self.least else value <= self.value + room
