"""The adversary of every attack: what it sees of inputs of its own choice, as often as it likes.

It knows the model, the cut, the noise and the data's distribution. It sees what the cloud half gets, in the bits of
the wire. Of one input it may see several inferences, each with fresh noise; it then goes by their mean, which of
Gaussian noise tells all that they tell together. Of `laplace` it may name each draw's distribution first and take
that one's expected noise away (`noise.audit.naming`).
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from noise.activations import Activations, empty
from noise.audit import naming
from noise.audit.mean_noise import MeanNoise, mean_noise
from noise.audit.naming import Namer, naming_quality
from noise.cut_network import CutNetwork
from noise.laplace import LaplaceNoise
from noise.mechanism import Mechanism
from noise.randomness import SeededRandom
from profiles.codec import Quantisation

Array = NDArray[Any]

#: Rows that are observed at once where all are.
ROWS = 2000
#: Draws from which the noise's spread is taken.
NOISE = 1000
#: Percent of distributions named right from which on all count as such.
RELIABLE = 99.9


class Adversary:
    """Knows model, cut, noise and data distribution; sees what crosses, with fresh noise as often as it likes.

    on: the inputs' tensors, without noise. noise: None, to see them clean. queries: inferences of one input, of which
    it sees the mean. cut, levels: whose wire rounds what crosses; without them nothing is rounded. Means of several
    queries are not rounded: the mean of what was not rounded tells at least as much. namer: the distribution of each
    draw is named and its expected noise taken away.

    Naming is done on what crossed for one query. Of several, each is taken as named right if a sample of single
    queries was for RELIABLE percent; else each is named by itself, which takes long.
    """

    def __init__(
        self,
        on: Activations,
        noise: Mechanism | None,
        *,
        seed: int,
        queries: int = 1,
        cut: CutNetwork | None = None,
        levels: Mapping[str, Quantisation] | None = None,
        namer: Namer | None = None,
    ) -> None:
        if queries < 1:
            raise ValueError(f"{queries} queries, expected 1 or more")
        self.on, self.noise, self.queries, self.cut, self.levels = on, noise, queries, cut, levels or {}
        self.namer = namer if isinstance(noise, LaplaceNoise) else None
        self._random = SeededRandom(seed, 77)

    def __len__(self) -> int:
        return len(self.on)

    @cached_property
    def carried(self) -> Array:
        """What the inputs decide of what crosses [rows, elements], all tensors side by side."""
        if len(self.on.tensors) == 1 and (self.noise is None or self.noise.kind != "channel"):
            return self.on.tensors[0]
        found, done = empty(len(self.on), self.on.elements), 0
        for part in self.on:
            tensors = list(part.tensors) if self.noise is None else self.noise.carried(part.tensors)
            np.concatenate(tensors, axis=1, out=found[done : done + len(part)])
            done += len(part)
        return found

    @cached_property
    def _fresh(self) -> MeanNoise:
        assert self.noise is not None
        expected = None if self.namer is None or self.queries == 1 else self.namer.expected.float().numpy()
        return mean_noise(self.noise, self.queries, self._random, expected=expected)

    @cached_property
    def _named_right(self) -> bool:
        """Whether naming can be taken for granted; so it can where nothing is named."""
        if self.namer is None or not isinstance(self.noise, LaplaceNoise):
            return True
        tensors = torch.from_numpy(self.carried[: naming.JUDGED])
        return naming_quality(self.namer, self.noise, tensors, seed=0).right_percent >= RELIABLE

    def observe(self, rows: torch.Tensor) -> torch.Tensor:
        """Row indices [m] → what crosses for them [m, elements], float32; fresh noise at every call."""
        at = rows.numpy()
        if self.noise is None:
            return torch.from_numpy(self._received(self.carried[at], at))
        if self.queries > 1 and not self._named_right:
            each = [self._once(at) for _ in range(self.queries)]
            return torch.stack(each).mean(dim=0)
        if self.queries > 1:
            sent: Array = self.carried[at] + self._fresh(len(at))
            return torch.from_numpy(sent)
        return self._once(at)

    def everything(self) -> torch.Tensor:
        """All rows, a part at a time [rows, elements]."""
        found = torch.from_numpy(empty(len(self.on), self.on.elements))
        for part in torch.split(torch.arange(len(self.on)), ROWS):
            found[part] = self.observe(part)
        return found

    @property
    def noise_deviations(self) -> Array:
        """Standard deviation of each element's noise in what is seen [elements], from draws of its own."""
        return self._spread[1]

    @property
    def noise_mean(self) -> Array:
        """Its mean [elements]."""
        return self._spread[0]

    @cached_property
    def _spread(self) -> tuple[Array, Array]:
        rows = np.arange(NOISE) % len(self.on)
        noise = self.observe(torch.from_numpy(rows)).numpy() - self.carried[rows]
        return noise.mean(axis=0), noise.std(axis=0)

    def _once(self, at: Array) -> torch.Tensor:
        """One query of each row."""
        assert self.noise is not None
        seen = torch.from_numpy(self._received(self.carried[at] + self._single(len(at)), at))
        return seen if self.namer is None else self.namer.without_expected_noise(seen)

    @cached_property
    def _single(self) -> MeanNoise:
        assert self.noise is not None
        return mean_noise(self.noise, 1, self._random)

    def _received(self, sent: Array, at: Array) -> Array:
        """What is sent [rows, elements], as the cloud half gets it."""
        if self.cut is None or self.cut.wire == "float32":
            return sent
        ends = np.cumsum([one.shape[1] for one in self.on.tensors])[:-1]
        parts = np.split(sent, ends, axis=1)
        beside = [one[at] for one in self.on.beside]
        return np.concatenate(self.cut.received(parts, beside, self.levels)[0], axis=1)
