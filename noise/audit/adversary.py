"""Who attacks: knows model, cut, noise and data distribution, and sees what crosses as often as it likes."""

from collections.abc import Mapping

import numpy as np
import torch

from noise.activations import Activations
from noise.audit.naming import Namer
from noise.audit.training import ROWS
from noise.channel import ChannelNoise
from noise.cut_network import CutNetwork
from noise.gaussian import GaussianNoise
from noise.mechanism import Mechanism
from noise.randomness import SeededRandom
from profiles.codec import Quantisation


class Adversary:
    """noise: None where what crosses is clean. queries: inferences of each input; it takes the mean of what crosses,
    which tells of Gaussian noise all that they tell together. namer: of each, the expected noise of the distribution
    that it names is subtracted first. cut, levels: what crosses is rounded as the wire does."""

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
        self._on, self._noise, self._queries, self._namer = on, noise, queries, namer
        self._cut, self._levels, self._random = cut, levels or {}, SeededRandom(seed, 77)
        # The mean of k Gaussian draws is one draw of 1/√k the strength: so it need not be drawn k times.
        exact = isinstance(noise, GaussianNoise | ChannelNoise) and (cut is None or cut.wire == "float32")
        self._mean = noise.scaled(queries**-0.5) if exact and queries > 1 else None  # type: ignore[union-attr]

    def observe(self, rows: torch.Tensor) -> torch.Tensor:
        """Of rows [m] what crosses [m, n], under fresh noise at every call."""
        part = self._on.take(rows.numpy())
        if self._noise is None:
            return torch.from_numpy(np.concatenate(part.tensors, axis=1))
        if self._mean is not None:
            return self._once(part, self._mean)
        total = self._once(part, self._noise)
        for _ in range(self._queries - 1):
            total += self._once(part, self._noise)
        return total / self._queries

    def everything(self) -> torch.Tensor:
        """Of all rows, a part at a time."""
        return torch.cat([self.observe(part) for part in torch.split(torch.arange(len(self._on)), ROWS)])

    def _once(self, part: Activations, noise: Mechanism) -> torch.Tensor:
        drawn = noise.draw(len(part), self._random)
        sent = [
            (one + more).astype(np.float32, copy=False)
            for one, more in zip(noise.carried(part.tensors), drawn, strict=True)
        ]
        if self._cut is not None and self._cut.wire != "float32":
            sent, _ = self._cut.received(sent, part.beside, self._levels)
        seen = torch.from_numpy(np.concatenate(sent, axis=1))
        return seen if self._namer is None else self._namer.without_expected_noise(seen)
