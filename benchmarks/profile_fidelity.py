"""Are profiles true? Both halves of every legal cut, timed, against the sums that a plan would price them with.

    OMP_NUM_THREADS=1 python benchmarks/profile_fidelity.py [MODEL ...] [--seconds S] [--rounds N] [--threads N]

Each network is profiled as `plan profile` does; then the halves of all its legal cuts run in turn, with the whole
network in every round. The machine's speed drifts between the two; `corrected` takes that out, by the whole network's
time now over its time in the profile. Printed, not asserted.
"""

import argparse
import time
from collections.abc import Iterator
from functools import partial

import numpy as np

from planner.legality import CutRules
from profiles import halves
from profiles.device import DeviceProfile
from profiles.engine import TorchEngine, set_threads
from profiles.models import load_model
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


def timed_ms(network: TracedNetwork, cuts: list[frozenset[str]], *, rounds: int) -> tuple[float, np.ndarray]:
    """Median of the whole, and of edge and cloud half of every cut [cuts, 2], milliseconds."""
    inputs = [value.numpy() for value in network.example]
    runs = [partial(TorchEngine(halves.whole(network)).run, inputs)]
    for cut in cuts:
        made = halves.split(network, cut)
        edge, cloud = TorchEngine(made.edge), TorchEngine(made.cloud)
        crossing = edge.run(inputs)[: len(made.crossing)]
        runs += [partial(edge.run, inputs), partial(cloud.run, crossing)]
    times = np.zeros((rounds + 1, len(runs)))
    for turn in range(rounds + 1):
        for place, run in enumerate(runs):
            time.sleep(PAUSE_MS / 1000)
            start = time.perf_counter_ns()
            run()
            times[turn, place] = (time.perf_counter_ns() - start) / 1e6
    found = np.median(times[1:], axis=0)
    return float(found[0]), found[1:].reshape(-1, 2)


def predicted_ms(profile: DeviceProfile, cuts: list[frozenset[str]]) -> np.ndarray:
    """What a plan says of edge and cloud half of every cut [cuts, 2]."""
    total = sum(profile.time_ms.values())
    edge = np.array([sum(profile.time_ms[name] for name in cut) for cut in cuts])
    return np.stack([edge, total - edge + profile.start_ms], axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    threads = set_threads(chosen.threads)
    print(f"{threads} thread(s); relative error of predicted against measured halves")
    print(f"{'model':12} {'cuts':>5} {'whole ms':>9} {'drift':>6}   raw median   max   corrected median   max")
    everything = []
    for name in chosen.models:
        network = trace(load_model(name))
        profile = measure_network(
            network,
            threads=threads,
            device="cpu",
            name=None,
            seconds=chosen.seconds,
            pause_ms=PAUSE_MS,
            progress=lambda *_: None,
        )
        cuts = sorted(legal_cuts(CutRules(network.graph)), key=len)
        whole_ms, measured = timed_ms(network, cuts, rounds=chosen.rounds)
        drift = whole_ms / profile.whole_ms
        raw = np.abs(predicted_ms(profile, cuts) / measured - 1)
        corrected = np.abs(drift * predicted_ms(profile, cuts) / measured - 1)
        everything.append(corrected.ravel())
        print(
            f"{name:12} {len(cuts):5d} {whole_ms:9.3f} {drift:6.3f}   {100 * np.median(raw):8.1f} % "
            f"{100 * raw.max():5.1f} %   {100 * np.median(corrected):14.1f} % {100 * corrected.max():5.1f} %",
            flush=True,
        )
    together = np.concatenate(everything)
    print(f"all {len(together)} halves, corrected: median {100 * np.median(together):.1f} %, ", end="")
    print(f"largest {100 * together.max():.1f} %, {100 * np.mean(together <= 0.1):.1f} % of them within 10 %")


if __name__ == "__main__":
    main()
