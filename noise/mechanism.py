"""What every kind of noise is to those who use it. No torch: the edge draws without it.

An inference sends a' = carried(a) + drawn: what depends on the input, and what does not and is random. The second can
be drawn before the input is there.
"""

from collections.abc import Sequence
from typing import Any, Protocol, Self

from numpy.typing import NDArray

from noise.randomness import Randomness

Array = NDArray[Any]


class Mechanism(Protocol):
    """Noise for every crossing tensor of a cut that takes noise, in graph order."""

    @property
    def kind(self) -> str: ...

    @property
    def nodes(self) -> tuple[str, ...]:
        """Ids of the crossing tensors that take noise, in graph order: that of draws and carried tensors."""
        ...

    @property
    def distributions(self) -> int:
        """How many distributions an inference chooses from."""
        ...

    @property
    def elements(self) -> int:
        """Of all crossing tensors of one inference together."""
        ...

    def draw(self, rows: int, random: Randomness) -> list[Array]:
        """The random part for `rows` inferences: for each crossing tensor float32 [rows, n], new arrays each time."""
        ...

    def carried(self, tensors: Sequence[Array]) -> list[Array]:
        """The part that the input decides: crossing tensors [rows, n] each → the same shapes."""
        ...


class GaussianMechanism(Mechanism, Protocol):
    """Noise whose density is known: carried(a) + N(0, Σn). What it tells can be bounded."""

    @property
    def parameters(self) -> int:
        """Learned numbers."""
        ...

    def scaled(self, gain: float) -> Self:
        """The same with noise `gain` times as strong."""
        ...

    def whitened(self, tensors: Sequence[Array]) -> Array:
        """Σn^-½ carried(a), all crossing tensors side by side: [rows, elements]. There the noise is N(0, I)."""
        ...
