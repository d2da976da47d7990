"""Noise of several kinds at the same loss of accuracy: at another, no figure of one compares with that of another."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from noise.activations import Activations
from noise.calibration import STRONGEST, calibrated
from noise.collection import Accuracy, NoiseFacts
from noise.cut_network import CutNetwork
from noise.mechanism import GaussianMechanism, Mechanism
from noise.task import Budget, Task
from profiles.codec import Quantisation
from profiles.errors import InfeasibleError

#: Points that others are brought to where the first loses none, as sampling may have it.
LEAST = 0.05


@dataclass(frozen=True)
class Compared:
    """Noise as it is audited. gain: on that of the file. levels: of what crosses, for int8."""

    noise: Mechanism
    gain: float
    accuracy: Accuracy
    levels: Mapping[str, Quantisation]

    @property
    def loss_points(self) -> float:
        assert self.accuracy.loss_points is not None
        return self.accuracy.loss_points


def at_equal_loss(
    cut: CutNetwork, noises: Mapping[str, tuple[Mechanism, NoiseFacts]], test: Activations, *, seed: int
) -> dict[str, Compared]:
    """The first as its file has it, that is what will run; the others at the gain at which they lose as much on the
    test inputs, to a factor of 1.01 in the gain; at LEAST points where the first loses nothing.

    Raises InfeasibleError where one loses more at its weakest, or less at its strongest.
    """
    made: dict[str, Compared] = {}
    for kind, (noise, facts) in noises.items():
        task = Task(cut, test, test, Budget(max(LEAST, next(iter(made.values())).loss_points) if made else 0.0), seed)
        if made:
            matched = calibrated(task, cast(GaussianMechanism, noise))
            if matched.noise is None:
                raise InfeasibleError(
                    f"{kind} noise loses {matched.needed:.2f} points at its weakest, {next(iter(made))} noise "
                    f"{task.budget.points:.2f}; give {kind} first, or audit each alone"
                )
            if matched.gain >= STRONGEST:
                raise InfeasibleError(
                    f"{kind} noise loses {matched.needed:.2f} points however strong it is, {next(iter(made))} noise "
                    f"{task.budget.points:.2f}; give {kind} first, or audit each alone"
                )
            noise, levels = matched.noise, task.quantised(matched.noise)
            made[kind] = Compared(noise, matched.gain, task.judge(noise), levels)
        else:
            levels = dict(facts.quantisation or {})
            made[kind] = Compared(noise, 1.0, task.judge(noise), levels or task.quantised(noise))
    return made
