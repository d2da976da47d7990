"""How fast is noise learned? The plain way and ours, side by side, on LeNet at 120 elements and the real digits.

    OMP_NUM_THREADS=2 python benchmarks/noise_learning.py [--repeats R] [--steps N] [--count K] [--budget P]

plain: one noise tensor after another, the edge half run on the images in every step, as the paper's procedure reads.
ours: the edge half runs once over the data, and all tensors are learned as one batch. Both take the same steps of the
same batch with the same loss, Equation 4; the time of running the edge half once is counted to ours. They alternate,
so that both see the same machine. Then the whole of learning is timed: search, collection, gates. Printed, not
asserted.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from noise import laplace, laplace_learning
from noise.cut_network import CutNetwork
from noise.datasets import catalog
from noise.datasets.records import Dataset
from noise.descent import Descent, Run
from noise.gaussian_kinds import learn_channel, learn_gaussian
from noise.gaussian_schedule import GaussianSchedule
from noise.laplace_learning import Schedule
from noise.objective import alpha_at, equation_4
from noise.randomness import SeededRandom
from noise.task import Budget, Task
from noise.threads import threads_for
from planner.plan import Plan
from planner.planning import cut
from profiles.engine import set_threads
from profiles.link import presets
from profiles.profiling import profile

ALPHA, LEARNING_RATE, BATCH, MULTIPLE = 0.0001, 0.01, 128, 1.5
#: Tensors that the plain way learns in one repeat: it takes the same time for each.
PLAIN_TENSORS = 2


@dataclass(frozen=True)
class Bench:
    """What is timed. learn: the whole of a kind's learning, for a seed."""

    plan: Plan
    data: Dataset
    cut: CutNetwork
    steps: int
    count: int
    budget_points: float

    def task(self, seed: int) -> Task:
        """With the edge half run over training data and hold-out."""
        train = self.cut.activations(self.data.without_holdout(), origin=self.data.name)
        holdout = self.cut.activations(self.data.holdout(), origin=self.data.name)
        return Task(self.cut, train, holdout, Budget(self.budget_points), seed)


def plain(bench: Bench, *, tensors: int, seed: int) -> list[np.ndarray]:
    """One tensor after another; every step takes images through the edge half."""
    split, learned = bench.data.without_holdout(), []
    scale = MULTIPLE * rms_of(bench)
    for index in range(tensors):
        random = SeededRandom(seed, index)
        start = scale * laplace.quantile(random.uniform((1, bench.cut.elements)))
        noise = torch.tensor(start, dtype=torch.float32, requires_grad=True)
        optimiser = torch.optim.Adam([noise], lr=LEARNING_RATE * scale)
        for step in range(bench.steps):
            rows = random.integers(len(split), BATCH)
            labels = torch.from_numpy(split.labels[rows])
            (crossing,) = bench.cut.edge.run([split.inputs[rows]])
            noisy = torch.from_numpy(crossing.reshape(BATCH, -1)) + noise
            logits = bench.cut.logits([noisy])[None]
            loss = equation_4(logits, labels, [noise], alpha=alpha_at(step, alpha=ALPHA))
            optimiser.zero_grad()
            loss.sum().backward()
            optimiser.step()
        learned.append(noise.detach().numpy()[0])
    return learned


def ours(bench: Bench, *, tensors: int, seed: int) -> list[np.ndarray]:
    descent = Descent(bench.task(seed), 4, BATCH, LEARNING_RATE)
    return list(descent.run(Run("bench", 0, tensors, MULTIPLE, ALPHA, bench.steps))[0])


def rms_of(bench: Bench) -> float:
    (crossing,) = bench.cut.edge.run([bench.data.train.inputs[:1000]])
    return float(np.sqrt((crossing**2).mean()))


def whole_laplace(bench: Bench, *, seed: int) -> None:
    schedule = Schedule(steps=bench.steps, alpha=ALPHA)
    laplace_learning.learn(bench.task(seed), count=bench.count, schedule=schedule)


def whole_gaussian(bench: Bench, *, seed: int) -> None:
    learn_gaussian(bench.task(seed), schedule=GaussianSchedule())


def whole_channel(bench: Bench, *, seed: int) -> None:
    learn_channel(bench.task(seed), schedule=GaussianSchedule())


#: The whole of learning, by kind: what it makes, and how.
WHOLE: dict[str, tuple[str, Callable[..., None]]] = {
    "laplace": ("{count} distributions", whole_laplace),
    "gaussian": ("a covariance", whole_gaussian),
    "channel": ("a map and a covariance", whole_channel),
}


def seconds(work: Callable[[], object]) -> np.ndarray:
    """On the wall, and of the processor: [2]."""
    start = np.array([time.perf_counter(), time.process_time()])
    work()
    return np.array([time.perf_counter(), time.process_time()]) - start


def spread(rows: Sequence[np.ndarray], form: str = ".3f") -> str:
    """Median, and smallest to largest, of each column."""
    return " | ".join(
        f"{statistics.median(column):{form}} ({min(column):{form}} to {max(column):{form}})"
        for column in np.array(rows).T
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300, help="iterations for each tensor")
    parser.add_argument("--count", type=int, default=20, help="distributions of laplace")
    parser.add_argument("--budget", type=float, default=1.5, help="percentage points")
    parser.add_argument("--kind", choices=WHOLE, action="append", help="default: all")
    chosen = parser.parse_args()
    catalog.fetch("mnist")
    threads = torch.get_num_threads()
    measured = profile("lenet", threads=1, seconds=0.3)
    set_threads(threads)
    plan = cut(measured, measured, presets()["wifi"], at="conv3")
    network = CutNetwork.of(plan)
    bench = Bench(plan, catalog.load_dataset("mnist"), network, chosen.steps, chosen.count, chosen.budget)
    print(f"LeNet, {network.elements} elements, mnist, {chosen.steps} steps of {BATCH}; measured here")
    print(f"{torch.get_num_threads()} thread(s), torch {torch.__version__}, {chosen.repeats} repeats\n")
    print("Seconds: median (smallest to largest).\n")
    print("| what | tensors | wall s a tensor | processor s a tensor |\n|---|---|---|---|")
    slow, fast = [], []
    tensors = int(chosen.count * Schedule().spare)
    for seed in range(chosen.repeats):
        slow.append(seconds(lambda: plain(bench, tensors=PLAIN_TENSORS, seed=seed)) / PLAIN_TENSORS)  # noqa: B023
        fast.append(seconds(lambda: ours(bench, tensors=tensors, seed=seed)) / tensors)  # noqa: B023
    print(f"| plain: one by one, edge half in every step | {PLAIN_TENSORS} | {spread(slow)} |")
    print(f"| ours: activations kept, one batch | {tensors} | {spread(fast)} |")
    ratios = [one / other for one, other in zip(slow, fast, strict=True)]
    print(f"| plain / ours | | {spread(ratios, '.1f')} |\n")
    print("| the whole of learning | what | wall s | processor s |\n|---|---|---|---|")
    for kind in chosen.kind or WHOLE:
        what, learn = WHOLE[kind]
        with threads_for(network):
            taken = [seconds(lambda: learn(bench, seed=seed)) for seed in range(chosen.repeats)]  # noqa: B023
        print(f"| {kind} | {what.format(count=chosen.count)} | {spread(taken, '.1f')} |")


if __name__ == "__main__":
    main()
