"""Noise for large crossing tensors: learned, written, read and drawn, each kind in a process of its own.

    OMP_NUM_THREADS=1 python benchmarks/large_tensors.py [--elements 25088 802816] [--kind laplace ...] [--steps 200]

25,088 elements are VGG-16's at its last pooling (512×7×7), 802,816 those of an early layer (64×112×112). What crosses
is a convolution's output behind its ReLU, of a small network that is trained here for a moment on digits (mnist,
enlarged inside the network). Its accuracy is its own, and so is what noise costs it; time, memory and bytes are those
of the size. The peak is of the whole process (`ru_maxrss`), mapped files included. Printed, not asserted.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from noise import collection
from noise.datasets import catalog
from noise.learning import learn
from noise.learning_options import options_for
from noise.memory import keep_freed
from noise.randomness import SystemRandom
from planner.noise_cost import NOISE_KINDS
from planner.planning import cut
from profiles.engine import set_threads
from profiles.errors import PlanError
from profiles.link import presets
from profiles.profiling import profile

#: Elements → the function below that makes the network, and the node that is cut behind.
NETWORKS = {25_088: ("late", "crossing"), 802_816: ("early", "crossing")}
#: What the small network sees of the training data.
TRAINED_STEPS, TRAINED_BATCH = 120, 16
DRAWS = 5


@lru_cache(maxsize=1)
def late() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """28×28 → 512×7×7."""
    network = nn.Sequential(
        OrderedDict(
            crossing=nn.Sequential(nn.Conv2d(1, 512, 4, stride=4), nn.ReLU()),
            rest=nn.Sequential(
                nn.Flatten(),
                nn.Linear(25_088, 64),
                nn.ReLU(),
                nn.Linear(64, 10),
            ),
        )
    )
    return _trained(network), (torch.zeros(1, 1, 28, 28),)


@lru_cache(maxsize=1)
def early() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """28×28 → 64×112×112; a strided convolution follows, for a pooling would be taken to the edge half."""
    network = nn.Sequential(
        OrderedDict(
            crossing=nn.Sequential(nn.Upsample(scale_factor=4), nn.Conv2d(1, 64, 3, padding=1), nn.ReLU()),
            rest=nn.Sequential(
                nn.Conv2d(64, 32, 8, stride=8),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Flatten(),
                nn.Linear(32 * 7 * 7, 10),
            ),
        )
    )
    return _trained(network), (torch.zeros(1, 1, 28, 28),)


def _trained(network: nn.Sequential) -> nn.Module:
    """The same weights every time, up to the order in which a processor adds."""
    random = torch.Generator().manual_seed(0)
    for one in network.parameters():
        fan = one[0].numel() if one.ndim > 1 else 0
        nn.init.normal_(one, std=(2 / fan) ** 0.5, generator=random) if fan else nn.init.zeros_(one)
    data = catalog.load_dataset("mnist").train
    adam = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(TRAINED_STEPS):
        rows = torch.randint(len(data) * 9 // 10, (TRAINED_BATCH,), generator=random).numpy()
        answers = network(torch.from_numpy(data.inputs[rows]))
        adam.zero_grad()
        functional.cross_entropy(answers, torch.from_numpy(data.labels[rows])).backward()
        adam.step()
    return network.eval()


class Stages:
    """Seconds of the wall by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start


def one(elements: int, kind: str, *, steps: int, count: int, budget_points: float) -> dict[str, object]:
    """Everything for one size and kind, in this process."""
    set_threads(1)
    keep_freed()  # for training, too
    stage = Stages()
    name, node = NETWORKS[elements]
    with stage("plan"):
        source = f"large_tensors:{name}"
        measured = profile(source, threads=1, seconds=0.3)
        at = [one.id for one in measured.graph.nodes if one.id.startswith(node) and one.elements == elements][-1]
        plan = cut(measured, measured, presets()["wifi"], at=at)
        assert [math.prod(tensor.shape) for tensor in plan.cut.crossing] == [elements]
        data = catalog.load_dataset("mnist")
    options = options_for(kind, count=count, gamma=None, equation=None, alpha=None, steps=steps, curve=False)
    with stage("learn"):
        learned = learn(plan, data, kind=kind, budget_points=budget_points, seed=0, options=options)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "noise.safetensors"
        with stage("write"):
            collection.write(path, learned.noise, learned.facts)
        size = path.stat().st_size
        with stage("read"):
            read, _ = collection.read(path)
    random = SystemRandom()
    read.draw(1, random)
    with stage("draw"):
        for _ in range(DRAWS):
            (drawn,) = read.draw(1, random)
    assert drawn.shape == (1, elements)
    assert np.isfinite(drawn).all()
    accuracy = learned.facts.accuracy
    return {
        "seconds": stage.seconds | {"draw": stage.seconds["draw"] / DRAWS},
        "peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "processor_s": time.process_time(),
        "file_bytes": size,
        "clean": accuracy.clean,
        "loss_points": accuracy.loss_points,
        "interval_points": accuracy.interval_points,
        "test_inputs": accuracy.n,
        "snr_inverse": learned.facts.snr_inverse,
        "bound_bits": learned.facts.bound.bits if learned.facts.bound else None,
    }


def row(elements: int, kind: str, found: dict[str, object]) -> str:
    """A line of the table."""
    if "error" in found:
        return f"| {elements:,} | {kind} | {found['error']} |"
    seconds: dict[str, float] = found["seconds"]  # type: ignore[assignment]
    low, high = found["interval_points"]  # type: ignore[misc]
    cells = [
        f"{elements:,}",
        kind,
        f"{seconds['learn']:.0f} ({found['processor_s']:.0f})",
        f"{seconds['write']:.2f}",
        f"{seconds['read']:.2f}",
        f"{1e3 * seconds['draw']:.1f}",
        f"{found['peak_bytes'] / 1e9:.1f}",  # type: ignore[operator]
        f"{found['file_bytes'] / 1e6:.2f}",  # type: ignore[operator]
        f"{found['loss_points']:.2f} ({low:.2f} to {high:.2f}) of {found['clean']:.1f} %, {found['test_inputs']:,}",
        f"{found['snr_inverse']:.3g}",
        "" if found["bound_bits"] is None else f"{found['bound_bits']:,.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def in_own_process(arguments: list[str]) -> dict[str, object]:
    """A peak is a process's, so each case has one."""
    done = subprocess.run([sys.executable, __file__, "--child", *arguments], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"large_tensors.py {' '.join(arguments)} ended with {done.returncode}")
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--elements", type=int, choices=NETWORKS, nargs="+", default=list(NETWORKS))
    parser.add_argument("--kind", choices=NOISE_KINDS, nargs="+", default=list(NOISE_KINDS))
    parser.add_argument("--steps", type=int, default=200, help="of learning")
    parser.add_argument("--count", type=int, default=20, help="distributions of laplace")
    parser.add_argument("--budget", type=float, default=1.5, help="percentage points")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    settings = {"steps": chosen.steps, "count": chosen.count, "budget": chosen.budget}
    if chosen.child:
        work: Callable[[], dict[str, object]] = lambda: one(  # noqa: E731
            chosen.elements[0],
            chosen.kind[0],
            steps=chosen.steps,
            count=chosen.count,
            budget_points=chosen.budget,
        )
        try:
            print(json.dumps(work()))
        except PlanError as error:
            print(json.dumps({"error": str(error)}))
        return
    catalog.fetch("mnist")
    print(f"torch {torch.__version__}, one thread, {settings}; measured here\n")
    print(
        "| n | kind | learned, s (processor, all) | written, s | read, s | drawn, ms | peak RSS, GB | file, MB "
        "| points lost (95 %) of, test inputs | 1/SNR | bound, bits |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for elements in chosen.elements:
        for kind in chosen.kind:
            asked = ["--elements", str(elements), "--kind", kind]
            asked += [part for name, value in settings.items() for part in (f"--{name}", str(value))]
            print(row(elements, kind, in_own_process(asked)), flush=True)


if __name__ == "__main__":
    main()
