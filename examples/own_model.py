"""A module and arrays of one's own, no zoo and no data set by name: trained, kept, cut, protected, run.

    python examples/own_model.py

The module is kept as a .pt2 file, since the cloud's process must load the very same one.

Recorded on an AMD EPYC, 2 cores, torch 2.13 for CPUs, ONNX Runtime 1.32, on an idle machine. The link is emulated,
with a published one's figures; both halves run here; ms are measured. Spread over two runs: 6.5 to 7.2 ms measured,
7.2 to 7.3 predicted; the rest is the same by its seed.
"""

import tempfile
from pathlib import Path

import torch
from torch import nn

from noise import as_dataset, learn, options_for
from planner import cut
from profiles import presets, profile, save_model
from runtime import run


def trained(x: torch.Tensor, y: torch.Tensor) -> nn.Module:
    """x [n, 20], y [n]: which of the first three numbers is the largest."""
    module = nn.Sequential(nn.Linear(20, 50), nn.ReLU(), nn.Linear(50, 20), nn.ReLU(), nn.Linear(20, 3))
    optimiser = torch.optim.Adam(module.parameters(), lr=0.01)
    for _ in range(300):
        optimiser.zero_grad()
        nn.functional.cross_entropy(module(x), y).backward()
        optimiser.step()
    return module


def main() -> None:
    torch.manual_seed(0)
    x = torch.rand(20_000, 20)
    y = x[:, :3].argmax(1)
    data = as_dataset((x[:15_000], y[:15_000]), (x[15_000:], y[15_000:]), name="largest")
    with tempfile.TemporaryDirectory() as folder:
        source = save_model(trained(x[:15_000], y[:15_000]), x[:1], Path(folder, "largest.pt2"))
        device = profile(source, threads=1, seconds=1)
        plan = cut(device, device, presets()["wifi"], noise="gaussian")
        print(f"{plan.model.name} cut after {plan.cut.name}, {plan.predicted.upload_bytes} bytes sent")
        options = options_for("gaussian", steps=400)
        learned = learn(plan, data, kind="gaussian", budget_points=3, confident=True, options=options, seed=0)
        accuracy, bits = learned.facts.accuracy, learned.facts.bound.bits
        print(f"{accuracy.clean:.1f} % right, {accuracy.noisy:.1f} % with noise; tells at most {bits:.2f} bits")
        record = run(plan, learned.noise, learned.facts, data, samples=50)
        print(f"ran: {record.latency_ms.total.p50:.2f} ms measured, {record.predicted_ms.total:.2f} ms predicted")
        print(f"halves equal the whole: {record.equal_to_whole}, to {record.largest_difference:.0e}")


if __name__ == "__main__":
    main()
