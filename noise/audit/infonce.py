"""A lower bound on I(x; a') learned by contrast, for noise of any density, or of none.

    E[ log e^f(x, a') − log (1/N) Σⱼ e^f(xⱼ, a') ] ≤ I(x; a')   for any critic f fixed beforehand

over N independent inputs, the true one among them (InfoNCE: A. van den Oord, Y. Li, O. Vinyals, "Representation
learning with contrastive predictive coding", 2018; B. Poole et al., "On variational bounds of mutual information",
2019, Equation 10). The critic is separable, f = g(x) · h(a'), two perceptrons trained on the adversary's own rows.

What it shows: so much is there, on average, and this critic finds it: who has learned so much can choose among e^I
inputs. What it does not: that no more is there. It can say no more than ln N, printed beside, and near that tells of
N, not of the noise; a critic that learned badly says less than a better one would, down to 0. Where the density is
known, `contrast` is the better bound: that density is the best critic.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from noise.audit import training
from noise.audit.contrast import QUERIES, score
from noise.audit.training import Observe, Strength, Training
from profiles.errors import DataError

Array = NDArray[Any]

#: Measured on clean tensors of LeNet's 120 elements under Gaussian noise at 1.5 points (54,000 to learn from, 5,000
#: held out, one thread): 6.10 nats in 34 s, where the true density as critic says 6.70; 512 wide and 16 epochs, 6.24
#: in 73 s; from images in place of clean tensors a nat less. `least_gain`: nats.
CRITIC = Strength(width=256, hidden_layers=2, epochs=8, batch=256, learning_rate=4e-3, cycles=3, least_gain=0.1)

#: Elements of g(x) and h(a').
FEATURES = 64

#: What the critic is multiplied by in the end, whichever says most on validation rows: an overfitted one is too sure
#: of itself, and 0 says 0.
GAINS = tuple(float(one) for one in np.linspace(0, 1.4, 15))

#: Validation rows, as candidates of each other, by which cycles and gains are compared.
JUDGED = 1500


@dataclass(frozen=True)
class InfoNCE:
    """Lower bound in nats with the 95 % interval of its sampling error, over `samples` held-out inputs; cap: their
    logarithm.

    identified_percent: how often the critic names which of the samples it was, ties broken by chance.
    """

    nats: float
    interval_nats: tuple[float, float]
    cap_nats: float
    samples: int
    identified_percent: float
    training: Training

    @property
    def bits(self) -> float:
        return self.nats / math.log(2)


def infonce(
    observe: Observe,
    inputs: Array,
    holdout_observe: Observe,
    holdout: Array,
    *,
    seed: int,
    strength: Strength = CRITIC,
) -> InfoNCE:
    """Learn a critic on the attacker's inputs [rows, ...] and judge it on held-out ones [N, ...], each observed once.

    observe, holdout_observe: indices of either's rows → what crosses for them, fresh noise at every call. inputs:
    images, or what the known edge half makes of them: a' depends on x through the clean tensor a alone, so
    I(x; a') = I(a; a'), and from a there is less to learn (a nat more on LeNet). N: all held-out rows; two copies
    among them cannot be told apart and lower the bound.
    Raises DataError for fewer than three held-out rows or fewer than ten to learn from.
    """
    if len(inputs) < 10 or len(holdout) < 3:
        raise DataError(f"{len(inputs)} inputs and {len(holdout)} held-out ones, expected 10 and 3 or more")
    known, unseen = (torch.from_numpy(one).float().flatten(1) for one in (inputs, holdout))
    rows, validation = training.split_rows(len(known))
    validation = validation[:JUDGED]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        some = rows[: training.ROWS]
        critic = _Critic(
            training.perceptron(known[some], FEATURES, strength),
            training.perceptron(observe(some), FEATURES, strength),
        )
        done = training.train(
            critic,
            loss=lambda batch: critic.loss(known[batch], observe(batch)),
            score=lambda: score(critic.values(known[validation], observe, validation), len(validation)).nats,
            rows=rows,
            strength=strength,
            seed=seed,
        )
        critic.eval()
        critic.calibrate(list(critic.values(known[validation], observe, validation)), len(validation))
        found = score(critic.values(unseen, holdout_observe, torch.arange(len(unseen))), len(unseen))
    cap = math.log(len(unseen))
    return InfoNCE(min(found.nats, cap), found.interval_nats, cap, len(unseen), found.identified_percent, done)


class _Critic(nn.Module):
    """f(x, a') = gain · g(x) · h(a') / √features."""

    def __init__(self, of_input: nn.Module, of_observed: nn.Module) -> None:
        super().__init__()
        self.of_input, self.of_observed = of_input, of_observed
        self.gain = 1.0

    def loss(self, inputs: Tensor, observed: Tensor) -> Tensor:
        """What it fails to know within the batch, from either side."""
        values = self.of_observed(observed) @ self.of_input(inputs).T / math.sqrt(FEATURES)
        own = torch.arange(len(values))
        return (functional.cross_entropy(values, own) + functional.cross_entropy(values.T, own)) / 2

    def values(self, inputs: Tensor, observe: Observe, rows: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Of candidates `inputs` [N, n] for what is now observed of each of the rows [N], as `score` takes it."""
        candidates = training.apply(self.of_input, inputs).double()
        for start in range(0, len(rows), QUERIES):
            seen = training.apply(self.of_observed, observe(rows[start : start + QUERIES])).double()
            yield start, self.gain * (seen @ candidates.T) / math.sqrt(FEATURES)

    def calibrate(self, parts: list[tuple[int, Tensor]], count: int) -> None:
        """Choose the gain, from values at a gain of 1."""

        def nats(gain: float) -> float:
            return score(((start, gain * values) for start, values in parts), count).nats

        self.gain = max(GAINS, key=nats)
