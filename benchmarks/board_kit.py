"""Does a kit's script agree with the command? Both time the whole network, turn about, in processes of their own.

    python benchmarks/board_kit.py [MODEL ...] [--rounds N] [--seconds S]

The script runs in a Python that finds nothing of ours; the command is `plan profile --engine onnxruntime`. One thread
each. Medians over the rounds are compared. Printed, not asserted.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

MODELS = ("lenet", "cifar10", "svhn", "resnet18")


def whole_ms(command: list[str], out: Path, *, folder: Path | None = None) -> float:
    subprocess.run([*command, "--out", str(out)], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return float(json.loads(out.read_text())["whole_ms"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", default="4")
    chosen = parser.parse_args()
    print(f"{'model':12} {'script ms':>10} {'command ms':>11} {'script / command':>17}   spread of the ratio")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for model in chosen.models:
            kit = folder / model
            subprocess.run(["plan", "profile", model, "--kit", kit], check=True, stdout=subprocess.DEVNULL)
            limits = ["--threads", "1", "--seconds", chosen.seconds]
            rows = []
            for _ in range(chosen.rounds):
                script = [sys.executable, "-I", "profile_here.py", *limits]
                command = ["plan", "profile", model, "--engine", "onnxruntime", *limits]
                rows.append((whole_ms(script, folder / "a.json", folder=kit), whole_ms(command, folder / "b.json")))
            theirs, ours = np.median(rows, axis=0)
            ratios = [one / other for one, other in rows]
            print(
                f"{model:12} {theirs:10.4f} {ours:11.4f} {theirs / ours:17.3f}   "
                f"{min(ratios):.3f} to {max(ratios):.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
