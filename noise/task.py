"""What every kind of noise is learned from, and how it is judged while it is learned."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from noise.activations import Activations
from noise.checkpoint import Checkpoint
from noise.collection import Accuracy, TradeOff
from noise.cut_network import CutNetwork
from noise.learning_log import LearningLog
from noise.mechanism import Mechanism
from noise.randomness import SeededRandom
from profiles.codec import Quantisation

Progress = Callable[[int, int], None]
Array = NDArray[Any]

#: Draws of the hold-out that a judgement is made of at least: few rows are judged several times, each draw fresh.
JUDGED_ROWS = 20_000
#: Of very few rows more draws say nothing more: what is left uncertain is the rows.
JUDGED_DRAWS = 200
#: But so many elements of noise at most, beyond one draw of each row: a second of large tensors takes long to draw.
JUDGED_ELEMENTS = 50_000_000


@dataclass(frozen=True)
class Budget:
    """points: accuracy that may be lost on held-out data, percentage points. confident: with the upper end of the
    loss's 95 % interval, not with the loss itself."""

    points: float
    confident: bool = False

    def needed_by(self, accuracy: Accuracy) -> float:
        """The budget that this accuracy asks for."""
        assert accuracy.loss_points is not None
        assert accuracy.interval_points is not None
        return accuracy.interval_points[1] if self.confident else accuracy.loss_points


@dataclass(frozen=True)
class Task:
    """train: what is learned from. holdout: what gates. private: labels to be hidden, [len(train)], with their
    weight gamma (Eq. 5). budget: on the hold-out."""

    cut: CutNetwork
    train: Activations
    holdout: Activations
    budget: Budget
    seed: int
    private: Array | None = None
    gamma: float = 0.0
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    log: LearningLog = field(default_factory=LearningLog)
    progress: Progress = lambda done, of: None

    def judge(self, noise: Mechanism, *, draw: int = 0) -> Accuracy:
        """As `judged`, the accuracy alone."""
        return self.judged(noise, draw=draw)[0]

    def judged(self, noise: Mechanism, *, draw: int = 0) -> tuple[Accuracy, float]:
        """Accuracy and 1/SNR on the hold-out under sampled noise; every noise gets the same draws: two compare.

        draw: another number gives other draws. Few rows are judged several times; the interval counts each once.
        """
        rows = len(self.holdout)
        wanted = min(JUDGED_DRAWS, math.ceil(JUDGED_ROWS / rows))
        draws = max(1, min(wanted, JUDGED_ELEMENTS // (rows * self.cut.elements)))
        random = SeededRandom(self.seed, 1, draw)
        levels = self.quantised(noise)
        return self.cut.judge(noise, self.holdout, random=random, draws=draws, levels=levels)

    def quantised(self, noise: Mechanism) -> dict[str, Quantisation]:
        """The int8 levels of what crosses under this noise, the same for the same noise; none on another wire."""
        return self.cut.quantised(noise, self.holdout, random=SeededRandom(self.seed, 6))

    def needed_points(self, noise: Mechanism) -> float:
        """The smallest budget that this noise keeps."""
        return self.budget.needed_by(self.judge(noise))


@dataclass(frozen=True)
class Found:
    """Noise that keeps the budget on the hold-out. settings: what was told or found. epochs: over the training data.
    parameters: learnable ones, of one distribution."""

    noise: Mechanism
    settings: dict[str, float | int | str | None]
    epochs: float
    parameters: int
    curve: tuple[TradeOff, ...] = ()
