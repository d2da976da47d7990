"""How a network that attacks is trained: pairs without end, as every step observes fresh noise."""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from profiles.errors import NoiseError

#: Rows of the attacker's data → what crosses for them, flattened [rows, n], with fresh noise at every call.
Observe = Callable[[Tensor], Tensor]

#: The share of the attacker's own data, at its end, by which it sees whether it still improves.
VALIDATION = 0.1

#: Rows that are observed at once where nothing is learned: large tensors would not all fit in memory.
ROWS = 2000

#: An element that varies less than this share of the one that varies most counts as constant.
CONSTANT = 1e-6


@dataclass(frozen=True, kw_only=True)
class Strength:
    """How hard an attack tries; printed beside its result, as a weak attack flatters the noise.

    A cycle is `epochs` passes over the data under a one-cycle rate. After the first, cycles follow until one gains
    less than `least_gain` on the validation data (dB of a decoder, points of a classifier), or there were `cycles`.
    """

    width: int
    hidden_layers: int
    epochs: int
    batch: int
    learning_rate: float
    cycles: int = 1
    least_gain: float = 0.05

    @property
    def words(self) -> str:
        """For print: what was trained, and for how long at most."""
        often = f"up to {self.cycles} times {self.epochs}" if self.cycles > 1 else f"{self.epochs}"
        return (
            f"{self.hidden_layers} layers of {self.width}, {often} epochs in batches of {self.batch} at a rate of "
            f"{self.learning_rate:g}"
        )


@dataclass(frozen=True)
class Training:
    """How it went. scores: on validation data after each cycle. stopped_improving: False where cycles ran out."""

    strength: Strength
    seed: int
    scores: tuple[float, ...]
    stopped_improving: bool
    seconds: float

    @property
    def epochs(self) -> int:
        return self.strength.epochs * len(self.scores)

    @property
    def words(self) -> str:
        """For print: how hard it tried."""
        how = "until it gained nothing more" if self.stopped_improving else "not until it stopped improving"
        one = self.strength
        return f"{one.hidden_layers} layers of {one.width}, {self.epochs} epochs, {how}"


def perceptron(sample: Tensor, outputs: int, strength: Strength) -> nn.Sequential:
    """A multilayer perceptron from tensors like `sample` [rows, n], standardised by its statistics, to `outputs`.

    Layer normalisation lets it learn at a rate several times higher: as much in a quarter of the epochs.
    """
    layers: list[nn.Module] = [_Standardised(sample)]
    inputs = sample.shape[1]
    for _ in range(strength.hidden_layers):
        layers += [nn.Linear(inputs, strength.width), nn.LayerNorm(strength.width), nn.GELU()]
        inputs = strength.width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


class _Standardised(nn.Module):
    mean: Tensor
    deviation: Tensor

    def __init__(self, sample: Tensor) -> None:
        super().__init__()
        deviation = sample.std(dim=0)
        varies = deviation > CONSTANT * deviation.max()
        self.register_buffer("mean", sample.mean(dim=0))
        self.register_buffer("deviation", torch.where(varies, deviation, torch.ones_like(deviation)))

    def forward(self, observed: Tensor) -> Tensor:
        return (observed - self.mean) / self.deviation


def split_rows(count: int) -> tuple[Tensor, Tensor]:
    """Rows that the attack learns from, and those by which it is judged while learning: the last tenth."""
    validation = max(1, int(count * VALIDATION))
    rows = torch.arange(count)
    return rows[: count - validation], rows[count - validation :]


def train(
    network: nn.Module,
    *,
    loss: Callable[[Tensor], Tensor],
    score: Callable[[], float],
    rows: Tensor,
    strength: Strength,
    seed: int,
) -> Training:
    """Adam on `loss(rows of a batch)`; leaves the weights of the best cycle in the network.

    score: what is to be raised, on validation data. Raises NoiseError where the loss is no number.
    """
    start = time.perf_counter()
    shuffle = torch.Generator().manual_seed(seed)
    scores: list[float] = []
    best = copy.deepcopy(network.state_dict())
    stopped = False
    while len(scores) < strength.cycles and not stopped:
        _cycle(network, loss, rows, strength, shuffle)
        now = score()
        if not scores or now > max(scores):
            best = copy.deepcopy(network.state_dict())
        stopped = bool(scores) and now < max(scores) + strength.least_gain
        scores.append(now)
    network.load_state_dict(best)
    return Training(strength, seed, tuple(scores), stopped, time.perf_counter() - start)


def _cycle(
    network: nn.Module,
    loss: Callable[[Tensor], Tensor],
    rows: Tensor,
    strength: Strength,
    shuffle: torch.Generator,
) -> None:
    batch = min(strength.batch, len(rows))
    steps = len(rows) // batch
    optimiser = torch.optim.Adam(network.parameters(), lr=strength.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=strength.learning_rate, total_steps=strength.epochs * steps + 1
    )
    for epoch in range(strength.epochs):
        order = rows[torch.randperm(len(rows), generator=shuffle)]
        for step in range(steps):
            value = loss(order[step * batch : (step + 1) * batch])
            if not bool(torch.isfinite(value)):
                raise NoiseError(
                    f"the attack's loss is {value.item()} at epoch {epoch + 1}, step {step + 1}, rate "
                    f"{strength.learning_rate:g}; lower its learning rate, and check that what crosses is finite"
                )
            optimiser.zero_grad()
            value.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()


def apply(network: nn.Module, observed: Tensor) -> Tensor:
    """The network's output for tensors [rows, n], a part at a time."""
    with torch.inference_mode():
        return torch.cat([network(part) for part in torch.split(observed, ROWS)])


def apply_fresh(network: nn.Module, observe: Observe, rows: Tensor) -> Tensor:
    """The network's output for what is observed now of the given rows, a part at a time."""
    return torch.cat([apply(network, observe(part)) for part in torch.split(rows, ROWS)])
