"""Learns Gaussian noise, with a map before it or without, as strong as an accuracy budget allows.

    divergence(R(a) ‖ R(a')) + β · ½ [log det(W Σa Wᵀ + Σn) − log det Σn] + γ · separation

Divergence is that of the clean network's own output from the noisy one's, so no labels are needed: cross-entropy
against labels overfits on harder data. The bound that is minimised is the one that is proven (`noise.audit`). β is
steered while learning goes on: it rises as long as the loss of accuracy on held-out rows is below the budget, so one
run ends where the budget is used up. It starts where divergence and bound balance for the noise that learning starts
from, whose gain the budget has set: from far off, what is steered would run away before it is heard. A gain on the
noise, found by bisection, settles the rest.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from noise.activations import Activations
from noise.channel import ChannelNoise
from noise.covariance import Separation, batch_separation, covariance_root, separation_roots
from noise.gaussian import GaussianNoise
from noise.gaussian_parameters import Learnable
from noise.gaussian_schedule import GaussianSchedule
from noise.mechanism import GaussianMechanism
from noise.task import Task
from profiles.errors import NoiseError

Array = NDArray[Any]


#: Up to so many elements the bound's gradient is renewed at every step, beyond more rarely, but never less than every
#: RAREST steps.
FREE_ELEMENTS, RAREST = 100, 8
#: What is logged of a step.
WATCHED = ("step", "beta", "divergence", "bound_bits", "holdout_loss_points", "snr_inverse")


class Learner:
    """One run of learning; its state can be kept and taken up again."""

    def __init__(
        self, task: Task, learnables: Sequence[Learnable], schedule: GaussianSchedule, *, name: str, beta: float
    ) -> None:
        """name: of the stage, which is what the random numbers of a step depend on, with the seed and the step. beta:
        what it starts from."""
        self.task, self.learnables, self.schedule, self.name = task, learnables, schedule, name
        groups = [group for one in learnables for group in one.groups()]
        self._adam = torch.optim.Adam(groups)
        self._rates = [float(group["lr"]) for group in self._adam.param_groups]
        self._linear = all(one.linear for one in learnables)
        self._roots = covariance_root(task.train) if self._linear else []
        self._separation: Separation | None = None
        if task.private is not None and self._linear:
            self._separation = separation_roots(task)
        self._batch = schedule.batch_of(task.cut.elements)
        self._first, self._beta, self._loss, self._step = beta, beta, math.nan, 0
        self._bound_every = min(RAREST, math.ceil(task.cut.elements / FREE_ELEMENTS)) if self._linear else 1
        self._bound_gradients: list[torch.Tensor] = []
        self._bound_value = math.nan
        self._rows: list[list[float]] = []
        self.abandoned = False

    def run(self, *, points: float | None = None) -> None:
        """All steps that are left, towards a budget in points (default: the task's).

        Raises NoiseError where a loss is no finite number, with step and setting.
        """
        target = self.task.budget.points if points is None else points
        while self._step < self.schedule.steps and not self.abandoned:
            self._one_step()
            steering = self.schedule.steering
            self.abandoned = self._hopeless(target)
            if self._step % steering.every == 0:
                if self._step >= steering.begin * self.schedule.steps:
                    self._steer(target)
                self.task.progress(self._step, self.schedule.steps)
            if self.task.checkpoint.due:
                self.keep()

    def _hopeless(self, target: float) -> bool:
        halfway = self._step == self.schedule.steps // 2
        return halfway and not math.isnan(self._loss) and self._loss > self.schedule.steering.abandon * target

    def mechanism(self) -> GaussianMechanism:
        """What was learned so far, as the edge draws it."""
        nodes = list(self.task.cut.shapes)
        normals = {node: one.normal() for node, one in zip(nodes, self.learnables, strict=True)}
        mapped = [one.mapped() for one in self.learnables]
        pairs = {node: one for node, one in zip(nodes, mapped, strict=True) if one is not None}
        if not pairs:
            return GaussianNoise(normals)
        maps = {node: one for node, (one, _) in pairs.items()}
        return ChannelNoise(maps, {node: offset for node, (_, offset) in pairs.items()}, normals)

    def _generator(self, purpose: int) -> torch.Generator:
        entropy = [self.task.seed, *self.name.encode(), self._step, purpose]
        return torch.Generator().manual_seed(
            int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)
        )

    def _noisy(self, tensors: Sequence[torch.Tensor], random: torch.Generator) -> list[torch.Tensor]:
        noisy = []
        for one, given in zip(self.learnables, tensors, strict=True):
            z = torch.randn(len(given), one.numbers(given.shape[1]), generator=random)
            noisy.append(one.carried(given) + one.noise(z))
        return noisy

    def _one_step(self) -> None:
        schedule, train = self.schedule, self.task.train
        for group, rate in zip(self._adam.param_groups, self._rates, strict=True):
            along = 0.5 * (1 + math.cos(math.pi * self._step / schedule.steps))
            warm = min(1.0, (self._step + 1) / (schedule.warm * schedule.steps))
            group["lr"] = rate * warm * (schedule.last + (1 - schedule.last) * along)
        random = self._generator(0)
        rows = torch.randint(len(train), (self._batch,), generator=random).sort().values.numpy()
        part = train.take(rows)
        tensors, clean = self._taught(part, random)
        logits = self.task.cut.logits(self._noisy(tensors, random), part.beside)
        divergence = functional.kl_div(logits.log_softmax(1), clean, log_target=True, reduction="batchmean")
        if self._step % self._bound_every == 0 or not self._bound_gradients:
            self._renew_bound(self._roots or [torch.from_numpy(one) for one in part.tensors], part, rows)
        if not (bool(torch.isfinite(divergence)) and math.isfinite(self._bound_value)):
            raise NoiseError(
                f"learning gave NaN or infinity at step {self._step} ({self.name}, beta {self._beta:.3g}, "
                f"gamma {self.task.gamma:g}); learn with fewer --steps, or check the data for extreme values"
            )
        self._adam.zero_grad()
        divergence.backward()  # type: ignore[no-untyped-call]
        parameters = self._parameters()
        for parameter, gradient in zip(parameters, self._bound_gradients, strict=True):
            more = self._beta * gradient
            parameter.grad = more if parameter.grad is None else parameter.grad + more
        torch.nn.utils.clip_grad_norm_(parameters, schedule.clip)
        self._adam.step()
        self._step += 1
        if self.task.log.wanted:
            self._watch(float(divergence.detach()), self._bound_value, part)

    def _taught(self, part: Activations, random: torch.Generator) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Tensors to learn from, and what the clean network answers [rows, classes], as log-probabilities.

        The clean cloud half answers blends of two tensors too. A wide perceptron that learns from the training rows
        alone does not do as well on others.
        """
        tensors = [torch.from_numpy(one) for one in part.tensors]
        clean = torch.from_numpy(part.logits)
        blended = int(self.schedule.blends * len(part))
        if not blended or part.beside:
            return tensors, clean.log_softmax(1)
        share = torch.rand(blended, 1, generator=random)
        mates = torch.randint(len(part), (blended,), generator=random)
        blends = [share * one[:blended] + (1 - share) * one[mates] for one in tensors]
        with torch.no_grad():
            answers = self.task.cut.logits(blends)
        joined = [torch.cat([one, whole[blended:]]) for one, whole in zip(blends, tensors, strict=True)]
        return joined, torch.cat([answers, clean[blended:]]).log_softmax(1)

    def _renew_bound(self, roots: Sequence[torch.Tensor], part: Activations, rows: Array) -> None:
        """½ log det(I + Σn^-½ W Σa Wᵀ Σn^-½), from the side of a root's rows, with what hides the private label.

        Its gradient serves for some steps: it changes slowly, and for many elements it is the dearest part of a step.
        roots: of the tensors' covariance, or rows of the tensors (`Learnable.whitened_root`). part: the batch, rows
        of the training data.
        """
        bound = half_log_det([one.whitened_root(root) for one, root in zip(self.learnables, roots, strict=True)])
        self._bound_value = float(bound.detach())
        if self._separation is not None:
            bound = bound + self.task.gamma * self._separation(self.learnables)
        elif self.task.private is not None:
            tensors = [torch.from_numpy(one) for one in part.tensors]
            apart = batch_separation(self.learnables, tensors, part.clean, self.task.private[rows])
            bound = bound + self.task.gamma * apart
        found = torch.autograd.grad(bound, self._parameters(), allow_unused=True)
        self._bound_gradients = [
            torch.zeros_like(one) if gradient is None else gradient
            for one, gradient in zip(self._parameters(), found, strict=True)
        ]

    def _steer(self, target: float) -> None:
        steering, holdout = self.schedule.steering, self.task.holdout
        random = self._generator(1)
        rows = torch.randint(len(holdout), (min(len(holdout), 8 * self._batch),), generator=random)
        part = holdout.take(rows.sort().values.numpy())
        with torch.inference_mode():
            noisy = [one.numpy() for one in self._noisy([torch.from_numpy(one) for one in part.tensors], random)]
        # The bits of the wire cost accuracy too; steps do without them, as rounding has no gradient.
        cut = self.task.cut
        classes = cut.classes(*cut.received(noisy, part.beside, cut.levels_of(noisy, part.beside)))
        now = 100 * float(np.mean(part.clean == part.labels) - np.mean(classes == part.labels))
        kept = steering.memory
        self._loss = now if math.isnan(self._loss) else kept * self._loss + (1 - kept) * now
        error = min(1.0, max(-1.0, (target - self._loss) / target))
        beta = self._beta * math.exp(steering.rate * error)
        self._beta = min(steering.most * self._first, max(steering.least * self._first, beta))

    def _watch(self, divergence: float, bound: float, part: Activations) -> None:
        with torch.no_grad():
            numbers = [one.numbers(more.shape[1]) for one, more in zip(self.learnables, part.tensors, strict=True)]
            z = [torch.randn(32, one, generator=self._generator(2)) for one in numbers]
            noise = [one.noise(more) for one, more in zip(self.learnables, z, strict=True)]
        variance = sum(float(one.square().mean()) * one.shape[1] for one in noise)
        power = sum(float(np.square(one).mean()) * one.shape[1] for one in part.tensors)
        row = [self._step, self._beta, divergence, bound / math.log(2), self._loss, variance / power]
        self._log([row])

    def _log(self, rows: Sequence[Sequence[float]]) -> None:
        """In vivo, by stage; kept with the state, for a run that is killed and goes on."""
        for row in rows:
            self._rows.append(list(row))
            figures = dict(zip(WATCHED, row, strict=True))
            self.task.log.add(stage=self.name, **figures | {"step": int(row[0])})

    def settings(self) -> dict[str, float | int | str | None]:
        """What was told and found, for the noise's file."""
        return {"beta": self._beta, "gamma": self.task.gamma, "rate": self._rates[0]}

    # -- state --

    def keep(self) -> None:
        """Into the task's checkpoint."""
        arrays = {}
        for index, parameter in enumerate(self._parameters()):
            arrays[f"{index}"] = parameter.detach().numpy()
            state = self._adam.state[parameter]
            arrays[f"{index}.mean"] = state["exp_avg"].numpy()
            arrays[f"{index}.square"] = state["exp_avg_sq"].numpy()
            if self._bound_gradients:
                arrays[f"{index}.bound"] = self._bound_gradients[index].numpy()
        arrays["in_vivo"] = np.array(self._rows, dtype=np.float64).reshape(-1, len(WATCHED))
        facts = {"beta": self._beta, "loss": repr(self._loss), "bound": repr(self._bound_value)}
        facts["abandoned"] = self.abandoned
        self.task.checkpoint.put(self.name, arrays, step=self._step, **facts)

    def take_up(self) -> None:
        """The state that was kept under this name, where there is one."""
        found = self.task.checkpoint.get(self.name)
        if found is None:
            return
        arrays, facts = found
        self._step, self._beta, self._loss = int(facts["step"]), float(facts["beta"]), float(facts["loss"])
        self._bound_value, self.abandoned = float(facts["bound"]), bool(facts["abandoned"])
        self._log(arrays["in_vivo"].tolist())
        count = len(self._parameters())
        if "0.bound" in arrays:
            self._bound_gradients = [torch.from_numpy(arrays[f"{index}.bound"].copy()) for index in range(count)]
        for index, parameter in enumerate(self._parameters()):
            with torch.no_grad():
                parameter.copy_(torch.from_numpy(arrays[f"{index}"]))
            self._adam.state[parameter] = {
                "step": torch.tensor(float(self._step)),
                "exp_avg": torch.from_numpy(arrays[f"{index}.mean"].copy()),
                "exp_avg_sq": torch.from_numpy(arrays[f"{index}.square"].copy()),
            }

    def _parameters(self) -> list[torch.nn.Parameter]:
        return [one for group in self._adam.param_groups for one in group["params"]]


def half_log_det(whitened: Sequence[torch.Tensor]) -> torch.Tensor:
    """½ log det(I + Σ HᵀH) for rows H [r, n] of each crossing tensor, whose noises are independent."""
    gram = sum(one @ one.T for one in whitened)
    assert isinstance(gram, torch.Tensor)
    # Where it is no finite number there is no factor: NaN, which the learner reports with step and setting.
    factor, failed = torch.linalg.cholesky_ex(torch.eye(len(gram)) + gram)
    result: torch.Tensor = factor.diagonal().log().sum()
    return result if not failed else result * math.nan
