"""Are profiles true? Both halves of every legal cut, timed, against the sums that a plan would price them with.

    OMP_NUM_THREADS=1 python benchmarks/profile_fidelity.py [MODEL ...] [--seconds S] [--threads N] [--engine E]

Each network is profiled as `plan profile` does. After every turn of the profiling the halves of all legal cuts run
once, so that both see the same machine: its speed drifts by more than the profile's own error within a minute.
Medians over the turns are compared. Printed, not asserted.
"""

import argparse
from collections.abc import Iterator
from functools import partial

import numpy as np

from planner.cost import CostModel
from planner.legality import CutRules
from profiles import halves, onnx_profiling
from profiles.device import DeviceProfile
from profiles.engine import OnnxEngine, TorchEngine, set_threads
from profiles.link import presets
from profiles.measure import is_short, time_ns
from profiles.models import load_model
from profiles.onnx_export import to_onnx
from profiles.profiling import PAUSE_MS, measure_network
from profiles.trace import TracedNetwork, trace

MODELS = ("lenet", "cifar10", "svhn", "alexnet", "vgg16", "newsgroups", "resnet18")


def legal_cuts(rules: CutRules) -> Iterator[frozenset[str]]:
    """Every legal cut: glued groups join the edge in graph order, each only after what it needs."""
    heads, graph = list(rules.members), rules.graph
    waiting: list[tuple[int, frozenset[str]]] = [(0, frozenset())]
    while waiting:
        index, edge = waiting.pop()
        if index == len(heads):
            if rules.objection(edge) is None:
                yield edge
            continue
        if edge.issuperset(graph.by_id[heads[index]].inputs):
            waiting.append((index + 1, edge | frozenset(rules.members[heads[index]])))
        if heads[index] not in rules.forced_edge:
            waiting.append((index + 1, edge))


class Halves:
    """Edge and cloud half of every cut, to be run in rounds; times a row a round, milliseconds."""

    def __init__(self, network: TracedNetwork, cuts: list[frozenset[str]], *, engine: str, threads: int) -> None:
        inputs = list(network.example)
        self._runs = []
        for cut in cuts:
            made = halves.split(network, cut)
            edge, cloud = TorchEngine(made.edge), TorchEngine(made.cloud)
            crossing = edge.compute(inputs)[: len(made.crossing)]
            if engine == "torch":
                self._runs += [partial(edge.compute, inputs), partial(cloud.compute, crossing)]
                continue
            kept = [name for name in made.outputs if name not in made.on_cloud]
            sides = (
                (made.edge, inputs, [node.id for node in network.graph.inputs], [*made.crossing, *kept]),
                (made.cloud, crossing, made.crossing, made.on_cloud),
            )
            for module, example, names, wanted in sides:
                data = to_onnx(module, example, any_rows=made.any_rows, inputs=names, outputs=wanted, check=False)
                arrays = [value.numpy() for value in example]
                self._runs.append(partial(OnnxEngine(data, threads=threads).run, arrays))
        self._short = [is_short(time_ns(run, lambda: None)) for run in self._runs]
        self._rounds: list[list[float]] = []

    def round(self, *_: int) -> None:
        pairs = zip(self._runs, self._short, strict=True)
        ns = [time_ns(run, lambda: None, pause_ms=PAUSE_MS, after_itself=short) for run, short in pairs]
        self._rounds.append([one / 1e6 for one in ns])

    @property
    def rounds(self) -> int:
        return len(self._rounds)

    @property
    def median_ms(self) -> np.ndarray:
        """[cuts, 2]"""
        return np.median(self._rounds, axis=0).reshape(-1, 2)


def predicted_ms(profile: DeviceProfile, cuts: list[frozenset[str]]) -> np.ndarray:
    """What a plan says of edge and cloud half of every cut [cuts, 2]."""
    cost = CostModel(profile, profile, presets()["wifi"])
    rules = CutRules(profile.graph)
    prices = [cost.price(cut, rules.crossing(cut)) for cut in cuts]
    return np.array([(price.edge_ms, price.cloud_ms) for price in prices])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--engine", choices=("torch", "onnxruntime"), default="torch")
    parser.add_argument("--show", action="store_true", help="every cut")
    chosen = parser.parse_args()
    threads = set_threads(chosen.threads)
    print(f"{threads} thread(s), {chosen.engine}; relative error of predicted against measured halves")
    print(f"{'model':12} {'cuts':>5} {'turns':>6} {'whole ms':>9}   median    max   of halves over 1 ms: max")
    everything = []
    for name in chosen.models:
        network = trace(load_model(name))
        cuts = sorted(legal_cuts(CutRules(network.graph)), key=len)
        timed = Halves(network, cuts, engine=chosen.engine, threads=threads)
        settings = {"threads": threads, "name": None, "seconds": chosen.seconds, "pause_ms": PAUSE_MS}
        if chosen.engine == "torch":
            profile = measure_network(network, **settings, device="cpu", progress=timed.round)
        else:
            profile = onnx_profiling.measure_network(network, **settings, progress=timed.round)
        measured = timed.median_ms
        errors = np.abs(predicted_ms(profile, cuts) / measured - 1)
        everything.append(errors.ravel())
        large = errors[measured > 1].max(initial=0.0)
        print(
            f"{name:12} {len(cuts):5d} {timed.rounds:6d} {profile.whole_ms:9.3f}   {100 * np.median(errors):4.1f} %  "
            f"{100 * errors.max():4.1f} %   {100 * large:20.1f} %",
            flush=True,
        )
        if chosen.show:
            for cut, (edge, cloud), (edge_ms, cloud_ms) in zip(cuts, errors, measured, strict=True):
                sent = "+".join(node.id for node in CutRules(network.graph).crossing(cut))
                print(f"    {sent:34.34} {edge_ms:8.3f} {100 * edge:5.1f} %  {cloud_ms:8.3f} {100 * cloud:5.1f} %")
    together = np.concatenate(everything)
    print(f"all {len(together)} halves: median {100 * np.median(together):.1f} %, ", end="")
    print(f"largest {100 * together.max():.1f} %, {100 * np.mean(together <= 0.1):.1f} % of them within 10 %")


if __name__ == "__main__":
    main()
