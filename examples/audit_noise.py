"""What an adversary gets of two kinds of noise at the same loss of accuracy: LeNet on MNIST, attacked quickly.

    plan data fetch mnist
    python examples/audit_noise.py

Recorded on an AMD EPYC, 2 cores, torch 2.13 for CPUs, ONNX Runtime 1.32, with other programs beside it (load about
8). Three runs printed the same to the last digit, by their seed; the spread over seeds was not measured.

So weak an attack flatters the noise: `plan audit` without --quick tries until it stops improving. Reconstruction is
attacked, PSNR over 300 digits (higher is worse for privacy); the bound is proven, on average over this data.
"""

from dataclasses import replace

from noise import learn, load_dataset, options_for
from noise.auditing import QUICK, audit
from planner import cut
from profiles import presets, profile

EFFORT = replace(
    QUICK, name="small", seeds=1, train_rows=3000, test_rows=300, pairs=300, candidates=100, white_box_images=10,
    white_box_steps=20, queries=(1, 10),
)  # fmt: skip


def main() -> None:
    device = profile("lenet", threads=1, seconds=1)
    plan = cut(device, device, presets()["wifi"], at="conv3")
    digits = load_dataset("mnist")
    noises = {}
    for kind in ("laplace", "gaussian"):
        options = options_for(kind, count=5, steps=300)
        learned = learn(plan, digits, kind=kind, budget_points=1.5, options=options, seed=0)
        noises[kind] = learned.noise, learned.facts
    found = audit(plan, noises, digits, effort=EFFORT, seed=0)
    print(f"{plan.cut.name}, every kind loses {found.accuracy_loss_points:.2f} points")
    for name in ("floors", "clean", *noises):
        one = getattr(found, name)
        bound = one.information.bound_nats
        told = "no bound" if bound is None else f"bound {bound:.1f} nats"
        named = one.reidentification.top1
        print(f"{name:8} reconstructed {one.reconstruction.psnr_db:5.2f} dB, named {named:5.1f} % of 100, {told}")


if __name__ == "__main__":
    main()
