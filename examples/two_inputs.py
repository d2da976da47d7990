"""A network of one's own with two inputs, an image and a vector of readings, joined in the middle; and its data.

    python examples/two_inputs.py

does, with gaussian noise and fewer steps, what these commands do:

    plan profile examples.two_inputs:net --out edge.json
    plan cut edge.json edge.json --link wifi --at squeeze+right.1 --out plan.json
    plan learn plan.json --data examples.two_inputs:data --noise channel --out noise.safetensors
    plan run plan.json --noise noise.safetensors

Both crossing tensors, of the image and of the readings, are learned noise for together. Your own inputs go by name in
an .npz: plan run plan.json --noise noise.safetensors --input both.npz --output answers.npy

Recorded on an AMD EPYC, 2 cores, torch 2.13 for CPUs, ONNX Runtime 1.32, on an idle machine. The
link is emulated, with a published one's figures; both halves run here; the network is not trained. Spread over two
runs: 7.5 to 7.6 ms measured, 7.4 to 7.6 predicted; what is learned is the same by its seed.
"""

from typing import Any

import numpy as np
import torch
from torch import nn

from noise import learn, load_dataset, options_for
from planner import cut
from profiles import presets, profile
from runtime import run


class TwoInputs(nn.Module):
    """image [n, 3, 64, 64] and readings [n, 32] → logits [n, 6]."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Sequential(
            nn.Conv2d(3, 16, 5, stride=2), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU(), nn.Flatten()
        )
        self.right = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
        self.squeeze = nn.Linear(32 * 14 * 14, 64)
        self.head = nn.Sequential(nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 6))

    def forward(self, image: torch.Tensor, readings: torch.Tensor) -> torch.Tensor:
        return self.head(torch.cat([self.squeeze(self.left(image)), self.right(readings)], dim=1))


def net() -> tuple[nn.Module, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    return TwoInputs(), {"image": torch.rand(1, 3, 64, 64), "readings": torch.rand(1, 32)}


def data() -> Any:
    """Patches of colour, and readings; arrays by the names of forward's parameters. The network is not trained:
    labels are its own answers, for those inputs that it tells apart as clearly as a trained one would."""
    random = np.random.default_rng(0)
    image = 4 * random.standard_normal((4000, 3, 4, 4), dtype=np.float32).repeat(16, 2).repeat(16, 3)
    readings = 4 * random.standard_normal((4000, 32), dtype=np.float32)
    module = net()[0].eval()
    with torch.inference_mode():
        best = module(torch.from_numpy(image), torch.from_numpy(readings)).topk(2)
    clear = (best.values[:, 1] - best.values[:, 0]).argsort()[:1500].sort().values.numpy()
    given = {"image": image[clear], "readings": readings[clear]}
    labels = best.indices[:, 0].numpy()[clear]
    halves = slice(0, 1000), slice(1000, None)
    return tuple(({name: one[rows] for name, one in given.items()}, labels[rows]) for rows in halves)


def main() -> None:
    device = profile("examples.two_inputs:net", threads=1, seconds=1)
    plan = cut(device, device, presets()["wifi"], at="squeeze+right.1")
    print(f"crossing: {', '.join(f'{one.node} {list(one.shape)}' for one in plan.cut.crossing)}")
    given, options = load_dataset("examples.two_inputs:data"), options_for("gaussian", steps=200)
    learned = learn(plan, given, kind="gaussian", budget_points=10, options=options, seed=0)
    accuracy, bits = learned.facts.accuracy, learned.facts.bound.bits
    print(f"{accuracy.noisy:.1f} % answered as without noise; both tensors tell at most {bits:.2f} bits")
    record = run(plan, learned.noise, learned.facts, given, samples=50)
    print(f"ran: {record.latency_ms.total.p50:.2f} ms measured, {record.predicted_ms.total:.2f} ms predicted")


if __name__ == "__main__":
    main()
