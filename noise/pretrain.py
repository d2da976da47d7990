"""Trains the zoo's networks, so that there is something to protect: `python -m noise.pretrain lenet`.

The last tenth of the training data is left out: it judges the noise later, and a network that had learned it by
heart would judge too kindly.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import nn
from torch.nn import functional

from noise.datasets import catalog
from noise.datasets.records import Split
from profiles import artifact
from profiles.zoo.catalog import ZOO

EPOCHS, BATCH, LEARNING_RATE = 20, 128, 2e-3


def pretrain(network: nn.Module, data: Split, *, seed: int, epochs: int = EPOCHS) -> None:
    """Adam with a one-cycle rate; digits shifted by up to two pixels, as LeNet's authors did."""
    torch.manual_seed(seed)
    order = np.random.default_rng(seed)
    inputs, labels = torch.from_numpy(data.inputs), torch.from_numpy(data.labels)
    steps = epochs * (len(data) // BATCH)
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=LEARNING_RATE, total_steps=steps)
    network.train()
    for epoch in range(epochs):
        shuffled = order.permutation(len(data))
        for start in range(0, len(data) - BATCH + 1, BATCH):
            rows = torch.from_numpy(shuffled[start : start + BATCH])
            across, down = (int(value) for value in order.integers(-2, 3, size=2))
            batch = torch.roll(inputs[rows], (across, down), dims=(2, 3))
            loss = functional.cross_entropy(network(batch), labels[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        print(f"epoch {epoch + 1}/{epochs}: last loss {loss.item():.4f}", flush=True)  # noqa: T201
    network.eval()


def accuracy_percent(network: nn.Module, data: Split) -> float:
    with torch.inference_mode():
        found = torch.cat([network(part).argmax(1) for part in torch.split(torch.from_numpy(data.inputs), 1000)])
    return 100 * float((found == torch.from_numpy(data.labels)).double().mean())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m noise.pretrain", description=__doc__)
    parser.add_argument("model", choices=[name for name, entry in ZOO.items() if entry.weights])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="default: the zoo's own, in a checkout")
    arguments = parser.parse_args()
    entry = ZOO[arguments.model]
    torch.manual_seed(arguments.seed)
    network = entry.untrained()
    data = catalog.load_dataset(entry.data)
    pretrain(network, data.without_holdout(), seed=arguments.seed)
    found = accuracy_percent(network, data.test)
    out = arguments.out or Path("profiles", "zoo", "weights", str(entry.weights))
    facts = {"trained_on": entry.data, "seed": str(arguments.seed), "test_accuracy_percent": f"{found:.2f}"}
    artifact.write_bytes(out, save(network.state_dict(), metadata=facts))
    print(f"{found:.2f} % of {len(data.test)} test inputs; {out}")  # noqa: T201


if __name__ == "__main__":
    main()
