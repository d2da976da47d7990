"""Does the cut follow the link? An emulated link goes Wi-Fi, LTE, 3G, Wi-Fi; adapting beside every fixed cut.

    OMP_NUM_THREADS=1 python benchmarks/adaptation.py [MODEL] [--slower 7] [--inferences 20] [--wire float32]

The edge half runs in torch on one thread, the cloud half in ONNX Runtime on two, so that deeper cuts cost time and
save bytes. The edge is `--slower` times as slow as this machine: its half is computed so often, a stand-in for such a
board, and its profile's times are multiplied by the same number. Cuts are those of the plan's breakpoints; noise is a
Laplace of one fixed scale, a stand-in for learned noise (`prediction_error.stand_in`; latency knows no difference).

In every phase all run in turn over the same emulated link, one inference each, in an order drawn anew for each round
(halves share weights: who runs next finds them in the cache): the adapting edge and every fixed cut. Mark: the
adapting run's mean latency is within 10 % of the best fixed cut of each phase, which no run can know beforehand.
Printed, not asserted: run it on an idle machine (it takes three to four minutes with AlexNet).
"""

import argparse
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from prediction_error import NOISE_SCALE, stand_in

from noise import prepared
from noise.collection import Accuracy, Crossing, NoiseFacts
from noise.prepared import PreparedCuts
from planner.alternatives import at_cut, breakpoint_cuts
from planner.plan import Plan
from planner.planning import cut
from profiles import artifact
from profiles import link as links
from profiles.codec import Quantisation
from profiles.device import DeviceProfile
from profiles.engine import Engine
from profiles.profiling import profile
from runtime.adaptation import AdaptiveEdge
from runtime.adaptive_trial import CutNoise, adaptive_edge, wholes
from runtime.emulation import Order
from runtime.local import emulated_link, local_cloud
from runtime.sides import Agreement

PHASES = ("wifi", "lte", "3g", "wifi")
Array = NDArray[Any]


@dataclass(frozen=True)
class Slower:
    """An engine as on a board that is so many times as slow: it computes so often. A stand-in."""

    inner: Engine
    times: int

    @property
    def name(self) -> str:
        return self.inner.name

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        for _ in range(self.times - 1):
            self.inner.run(inputs)
        return self.inner.run(inputs)


def slower(measured: DeviceProfile, times: int) -> DeviceProfile:
    """The profile of a board that is so many times as slow."""
    nodes = tuple(msgspec.structs.replace(one, time_ms=times * one.time_ms) for one in measured.nodes)
    return msgspec.structs.replace(measured, nodes=nodes, whole_ms=times * measured.whole_ms)


def planned(model: str, *, times: int, wire: str, seconds: float) -> Plan:
    cloud = profile(model, engine="onnxruntime", threads=2, name="cloud", seconds=seconds)
    edge = profile(model, engine="torch", threads=1, name="edge", seconds=seconds)
    for one in (edge, cloud):
        print(f"{one.device.label}: whole {one.whole_ms:.1f} ms. {one.doubt or ''}")
    return cut(slower(edge, times), cloud, links.load(PHASES[0]), wire=wire, noise="laplace")


def prepare(plan: Plan, folder: Path) -> PreparedCuts:
    """Every cut's plan, in a folder that a server takes; it needs no noise."""
    artifact.write(folder / prepared.PLAN, plan)
    for number, name in enumerate(breakpoint_cuts(plan), start=1):
        artifact.write(prepared.place(folder, number, name) / prepared.PLAN, at_cut(plan, name))
    return prepared.read(folder)


def stand_in_noise(plan: Plan, agreed: Agreement) -> CutNoise:
    """Of one scale for every element, with levels for int8 that hold it."""
    noise = stand_in(plan, agreed)
    facts = NoiseFacts(
        kind="laplace",
        architecture=plan.model.architecture,
        weights=plan.model.weights or "",
        crossing=tuple(Crossing(one.node, one.row_shape(plan.settings.batch)) for one in plan.cut.crossing),
        wire=plan.settings.wire,
        quantisation={one.node: Quantisation(8 * NOISE_SCALE / 127, 0) for one in plan.cut.crossing},
        data="stand-in",
        budget_points=0.0,
        accuracy=Accuracy(None, 0.0, None, None, 0),
        snr_inverse=1.0,
        settings={},
    )
    return CutNoise(noise, facts, "stand-in")


def measure(plan: Plan, cuts: PreparedCuts, folder: Path, *, times: int, inferences: int) -> None:
    made = {name: one.edge for name, one in wholes(cuts).items()}
    sides = {name: replace(one, engine=Slower(one.engine, times)) for name, one in made.items()}
    noises = {name: stand_in_noise(one.plan, sides[name].agreed) for name, one in cuts.cuts.items()}
    example = sides[plan.cut.name].example
    with ExitStack() as stack:
        server = stack.enter_context(local_cloud(plan, None, prepared=folder))
        url, order = stack.enter_context(emulated_link(plan.link, server))
        opened = adaptive_edge(url, cuts, sides, noises, start=plan.cut.name, prior=plan.link)
        edge = stack.enter_context(opened)
        runs: list[dict[str, list[float]]] = []
        random = np.random.default_rng(0)
        print(f"\n{'phase':8}{'adapting':>12}" + "".join(f"{name[:14]:>16}" for name in sides))
        for phase in PHASES:
            order(Order(link=links.load(phase)))
            runs.append(one_phase(edge, example, inferences, random))
            means = {name: float(np.mean(took)) for name, took in runs[-1].items()}
            print(f"{phase:8}" + f"{means['']:12.1f}" + "".join(f"{means[name]:16.1f}" for name in sides), flush=True)
        show(runs, edge)


def one_phase(
    edge: AdaptiveEdge, example: Sequence[Array], inferences: int, random: np.random.Generator
) -> dict[str, list[float]]:
    """Milliseconds of each inference by cut; of the adapting edge under the empty name."""
    took: dict[str, list[float]] = {name: [] for name in ("", *edge.halves)}
    for _ in range(inferences):
        for name in random.permutation(list(took)):
            took[name].append((edge.halves[name].half if name else edge).infer(example).total_ms)
            if not name:
                edge.settle()
    return took


def show(runs: Sequence[dict[str, list[float]]], edge: AdaptiveEdge) -> None:
    found = edge.record()
    mean = {name: float(np.mean([np.mean(one[name]) for one in runs])) for name in runs[0]}
    best = float(np.mean([min(np.mean(took) for name, took in one.items() if name) for one in runs]))
    count = sum(len(one[""]) for one in runs)
    print(f"{'all':8}{mean['']:12.1f}" + "".join(f"{mean[name]:16.1f}" for name in edge.halves))
    print(f"the best fixed cut of each phase: {best:.1f} ms; adapting takes {mean[''] / best:.3f} of it (mark: 1.10)")
    print(f"with its {found.pings} pings, which hide where there is time between inputs: ", end="")
    print(f"{(mean[''] + found.pings_ms / count) / best:.3f}")
    for one in found.changes:
        print(
            f"  after {one.inference:3}: {one.from_cut} -> {one.to_cut} "
            f"({one.uplink_mbps:.2f} Mbps, {one.rtt_ms:.1f} ms)"
        )
    winners = {min((name for name in one if name), key=lambda name: float(np.mean(one[name]))) for one in runs}
    if len(winners) < 2:
        print("one cut was the best in all phases: nothing to adapt to; take another --slower")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="alexnet")
    parser.add_argument("--slower", type=int, default=7, help="how many times as slow as this machine the edge is")
    parser.add_argument("--inferences", type=int, default=20, help="of each cut, in each phase")
    parser.add_argument("--wire", default="float32", choices=("float32", "float16", "int8"))
    parser.add_argument("--seconds", type=float, default=6.0, help="of profiling, each side")
    chosen = parser.parse_args()
    plan = planned(chosen.model, times=chosen.slower, wire=chosen.wire, seconds=chosen.seconds)
    for one in plan.breakpoints:
        print(f"  {one.uplink_mbps_from:8.2f} to {one.uplink_mbps_to:8.2f} Mbps: {one.cut}")
    with tempfile.TemporaryDirectory(prefix="plan-adaptation-") as name:
        folder = Path(name)
        measure(plan, prepare(plan, folder), folder, times=chosen.slower, inferences=chosen.inferences)


if __name__ == "__main__":
    main()
