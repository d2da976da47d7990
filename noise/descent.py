"""Noise tensors learned together: Adam on the noise alone, many tensors as one batch, one run of steps.

Weights and topology never change: gradients reach the noise and nothing else. Every random number is derived from
(seed, run, tensor or step), never from what was drawn before, so that a run that was killed goes on as if it had not
been.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from noise import laplace, objective
from noise.linear_head import LinearHead
from noise.objective import Equation, alpha_at
from noise.private_classifier import PrivateClassifier
from noise.randomness import SeededRandom
from noise.task import Task
from profiles.errors import NoiseError

Array = NDArray[Any]

#: What one step of learning may hold at most. Of large tensors fewer are learned at a time, then on fewer inputs.
STEP_BYTES = 2**29
#: Elements of a batch's crossing tensors at most, beyond LEAST_INPUTS inputs: steps on large tensors take long.
BATCH_ELEMENTS, LEAST_INPUTS = 1_000_000, 4
#: Elements of the noise that is learned at a time: each takes its gradient and Adam's moments too.
GROUP_ELEMENTS = 8_000_000
#: Forward pass, its gradient, and copies on the way.
COPIES = 3


@dataclass(frozen=True)
class Run:
    """One run of steps. name: its stage. number: of its random numbers. multiple: the starting b over the
    activations' root mean square. alpha: of Equations 3 to 5; Equation 11's λ is 1 / α."""

    name: str
    number: int
    tensors: int
    multiple: float
    alpha: float
    steps: int


@dataclass(frozen=True)
class Descent:
    """learning_rate: Adam's, in units of the starting b, so that it does not matter what unit activations have."""

    task: Task
    equation: Equation
    batch: int
    learning_rate: float
    private: PrivateClassifier | None = None

    @cached_property
    def rms(self) -> list[float]:
        """√E[a²] of each crossing tensor's elements."""
        squares = [sum(_squares(part.tensors[j]) for part in self.task.train) for j, _ in self._tensors]
        return [
            max(math.sqrt(one / tensor.size), 1e-12) for one, (_, tensor) in zip(squares, self._tensors, strict=True)
        ]

    @cached_property
    def scales(self) -> list[float]:
        """b_y: Laplace scale of each crossing tensor's elements, by their variance."""
        found = []
        for (j, one), rms in zip(self._tensors, self.rms, strict=True):
            mean = sum(float(part.tensors[j].sum(dtype=np.float64)) for part in self.task.train) / one.size
            found.append(math.sqrt(max(rms**2 - mean**2, 1e-30) / 2))
        return found

    @property
    def power(self) -> float:
        """E[a²], summed over the elements of all crossing tensors."""
        return sum(rms**2 * float(one.shape[1]) for (_, one), rms in zip(self._tensors, self.rms, strict=True))

    @property
    def _tensors(self) -> list[tuple[int, Array]]:
        return list(enumerate(self.task.train.tensors))

    @cached_property
    def head(self) -> LinearHead | None:
        """The cloud half's first operators, where they are linear. Equation 5 reads the noisy tensors themselves."""
        return LinearHead.of(self.task.cut) if self.private is None else None

    @cached_property
    def clean(self) -> list[torch.Tensor] | None:
        """What the head makes of the training data, where it is kept."""
        return None if self.head is None else self.head.kept(self.task.train)

    @cached_property
    def _row_bytes(self) -> int:
        """What an input takes while it is learned from: all of the cloud half's tensors."""
        cut = self.task.cut
        graph = cut.network.graph
        cloud = set(graph.by_id) - graph.with_needs(cut.halves.crossing)
        inner = int(sum(graph.by_id[name].elements for name in cloud)) // cut.network.batch
        return 4 * COPIES * (inner if self.head else inner + cut.elements)

    @property
    def inputs(self) -> int:
        """Inputs in a batch: as asked, or as many as fit."""
        small = self.batch if self.clean else max(LEAST_INPUTS, BATCH_ELEMENTS // self.task.cut.elements)
        return max(1, min(self.batch, small, STEP_BYTES // self._row_bytes))

    @property
    def together(self) -> int:
        """Tensors that are learned at a time."""
        return max(1, min(STEP_BYTES // (self._row_bytes * self.inputs), GROUP_ELEMENTS // self.task.cut.elements))

    def run(self, run: Run, start: Sequence[Array] | None = None) -> list[Array]:
        """Learn from fresh Laplace tensors, or from start: for each crossing tensor [tensors, n].

        Raises NoiseError with step and settings where the loss is no number.
        """
        groups = []
        for first in range(0, run.tensors, self.together):
            which = range(first, min(first + self.together, run.tensors))
            begun = [one[which.start : which.stop] for one in start] if start else self._fresh(run, which)
            groups.append(_Group(self, run, which, begun).learned())
        if len(groups) == 1:
            return groups[0]
        return [np.concatenate(parts) for parts in zip(*groups, strict=True)]

    def _fresh(self, run: Run, which: range) -> list[Array]:
        """Elements of Laplace(0, multiple × RMS), as Section 2 starts."""
        made: list[list[Array]] = [[] for _ in self.rms]
        for index in which:
            random = SeededRandom(self.task.seed, 3, 1, run.number, index)
            for rows, (_, one), rms in zip(made, self._tensors, self.rms, strict=True):
                drawn = laplace.quantile(random.uniform((one.shape[1],)))
                rows.append((run.multiple * rms * drawn).astype(np.float32))
        return [np.stack(rows) for rows in made]


@dataclass
class _Group:
    """Those tensors of a run that are learned at a time. rows: in vivo, to be logged."""

    descent: Descent
    run: Run
    which: range
    start: list[Array]

    def learned(self) -> list[Array]:
        checkpoint, name = self.descent.task.checkpoint, f"{self.run.name}-{self.which.start}"
        kept = checkpoint.get(name)
        begun, state = (0, None) if kept is None else (int(kept[1]["step"]), kept[0])
        if state is not None and begun == self.run.steps:
            self._log(state["in_vivo"])
            return [state[f"noise{j}"] for j in range(len(self.start))]
        self._begin(state, begun)
        for step in range(begun, self.run.steps):
            if checkpoint.due:
                checkpoint.put(name, self._state(), step=step)
            self._step(step)
        self.optimiser.zero_grad()
        learned = [one.detach().numpy() for one in self.noise]
        finished = {f"noise{j}": one for j, one in enumerate(learned)} | {"in_vivo": self._in_vivo()}
        checkpoint.put(name, finished, step=self.run.steps)
        return learned

    def _begin(self, state: dict[str, Array] | None, begun: int) -> None:
        descent = self.descent
        values = self.start if state is None else [state[f"noise{j}"] for j in range(len(self.start))]
        self.noise = [torch.tensor(one, requires_grad=True) for one in values]
        rates = [descent.learning_rate * self.run.multiple * rms for rms in descent.rms]
        self.optimiser = torch.optim.Adam(
            [{"params": [one], "lr": rate} for one, rate in zip(self.noise, rates, strict=True)]
        )
        self.rows: list[list[float]] = []
        if state is not None:
            for j, one in enumerate(self.noise):
                moments = {key: torch.tensor(state[f"{key}{j}"]) for key in ("exp_avg", "exp_avg_sq")}
                self.optimiser.state[one] = {"step": torch.tensor(float(begun)), **moments}
            self._log(state["in_vivo"])
            self.rows = state["in_vivo"].tolist()

    def _step(self, step: int) -> None:
        descent, run = self.descent, self.run
        train = descent.task.train
        random = SeededRandom(descent.task.seed, 3, 2, run.number, step)
        rows = random.integers(len(train), descent.inputs)
        labels = torch.from_numpy(train.labels[rows])
        logits, noisy = self._answers(rows)
        alpha = run.alpha if descent.equation == 11 else alpha_at(step, alpha=run.alpha)
        loss = self._loss(logits, labels, noisy, rows, alpha)
        if not bool(torch.isfinite(loss).all()):
            raise NoiseError(
                f"learning gave NaN or infinity at step {step} with b = {run.multiple:.3g} × RMS, "
                f"alpha {run.alpha:g}, rate {descent.learning_rate:g}; lower --alpha"
            )
        if descent.task.log.wanted:
            right = float((logits.detach().argmax(2) == labels).double().mean())
            row = [step, run.multiple, alpha, float(loss.detach().mean()), 100 * right, self._snr_inverse()]
            self.rows.append(row)
            self._log(np.array([row]))
        self.optimiser.zero_grad()
        loss.sum().backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()

    def _answers(self, rows: Array) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Logits [k, b, classes] of some training rows under every noise tensor; where the cloud half's head is not
        opened, the noisy tensors [k · b, n] too."""
        descent, train, k = self.descent, self.descent.task.train, len(self.which)
        beside = [np.tile(one[rows], (k, *[1] * (one.ndim - 1))) for one in train.beside]
        if descent.head is not None:
            if descent.clean is None:
                clean = descent.head.clean([one[rows] for one in train.tensors])
            else:
                clean = [one[torch.from_numpy(rows)] for one in descent.clean]
            return descent.head.logits(clean, self.noise, beside).reshape(k, len(rows), -1), []
        noisy = [
            (torch.from_numpy(one[rows])[None] + more[:, None]).flatten(0, 1)
            for one, more in zip(train.tensors, self.noise, strict=True)
        ]
        return descent.task.cut.logits(noisy, beside).reshape(k, len(rows), -1), noisy

    def _loss(
        self, logits: torch.Tensor, labels: torch.Tensor, noisy: list[torch.Tensor], rows: Array, alpha: float
    ) -> torch.Tensor:
        """The equation asked for. With α = 0 all of them are the cross-entropy, and Equation 5's private term."""
        descent = self.descent
        match descent.equation:
            case 5:
                assert descent.private is not None
                private = descent.private.logits(noisy).reshape(*logits.shape[:2], -1)
                hidden = torch.from_numpy(descent.private.labels[rows])
                gamma = descent.task.gamma
                return objective.equation_5(logits, labels, private, hidden, self.noise, alpha=alpha, gamma=gamma)
            case 3:
                return objective.equation_3(logits, labels, self.noise, alpha=alpha)
            case 11 if alpha > 0:
                scales = descent.scales
                return objective.equation_11(logits, labels, self.noise, scales=scales, weight=1 / alpha)
            case _:
                return objective.equation_4(logits, labels, self.noise, alpha=alpha)

    def _snr_inverse(self) -> float:
        """σ²(n) / E[a²] of the learned tensors, the mean over them."""
        elements = self.descent.task.cut.elements
        with torch.no_grad():
            variance = float(objective.variance(self.noise).mean())
        return variance * elements / self.descent.power

    def _in_vivo(self) -> Array:
        return np.array(self.rows, dtype=np.float64).reshape(-1, 6)

    def _state(self) -> dict[str, Array]:
        """What goes on from here; copies, as Adam works in place."""
        state: dict[str, Array] = {"in_vivo": self._in_vivo()}
        for j, one in enumerate(self.noise):
            state[f"noise{j}"] = one.detach().numpy().copy()
            moments = self.optimiser.state.get(one) or {
                "exp_avg": torch.zeros_like(one),
                "exp_avg_sq": torch.zeros_like(one),
            }
            state |= {f"{key}{j}": moments[key].detach().numpy().copy() for key in ("exp_avg", "exp_avg_sq")}
        return state

    def _log(self, rows: Array) -> None:
        """In vivo, as Figure 5 has it."""
        for step, multiple, alpha, loss, accuracy, snr_inverse in rows:
            self.descent.task.log.add(
                run=self.run.name,
                step=int(step),
                multiple=multiple,
                alpha=alpha,
                loss=loss,
                accuracy=accuracy,
                snr_inverse=snr_inverse,
            )


def _squares(tensor: Array) -> float:
    return float(np.square(tensor, dtype=np.float64).sum())
