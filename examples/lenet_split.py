"""From a model to a running split: LeNet profiled, cut, noise learned within 1.5 points, MNIST's test set run.

    plan data fetch mnist
    python examples/lenet_split.py

Recorded on an AMD EPYC, 2 cores, torch 2.13 for CPUs, ONNX Runtime 1.32, on an idle machine. The link is emulated,
with a published one's figures; both halves run here, one thread each; ms are measured. Spread over two runs: what
is learned is the same by its seed; accuracy of the run 98.4 to 98.6 %, for its noise is drawn anew; 7.2 to 7.9 ms
measured, 7.2 to 7.3 predicted (15 to 19 measured with a load of 8 beside it).
"""

from noise import learn, load_dataset
from planner import cut
from profiles import presets, profile
from runtime import run


def main() -> None:
    device = profile("lenet", threads=1)
    plan = cut(device, device, presets()["wifi"], noise="channel")
    print(f"cut after {plan.cut.name}, {plan.predicted.upload_bytes} bytes sent: {plan.predicted.total_ms:.2f} ms")
    digits = load_dataset("mnist")
    learned = learn(plan, digits, budget_points=1.5, confident=True, seed=0)
    loss, (low, high) = learned.facts.accuracy.loss_points, learned.facts.accuracy.interval_points
    print(f"accuracy lost: {loss:.2f} points (95 %: {low:.2f} to {high:.2f}), of 1.5 allowed")
    print(f"an average digit tells at most {learned.facts.bound.bits:.2f} bits")
    record = run(plan, learned.noise, learned.facts, digits, samples=100)
    print(f"ran: {record.latency_ms.total.p50:.2f} ms measured, {record.predicted_ms.total:.2f} ms predicted")
    print(f"ran: {record.accuracy.noisy:.2f} % right, {record.accuracy.clean:.2f} % without noise")


if __name__ == "__main__":
    main()
