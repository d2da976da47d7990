"""Nine networks through the whole of planning: traced, profiled, cut for three links, split and held to the whole.

    OMP_NUM_THREADS=1 python benchmarks/networks.py [MODEL ...] [--seconds S]

Each is profiled here (measured, one thread as both devices) and for a TX2 and a Titan Xp (modelled), cut for Wi-Fi,
LTE and 3G with both, and split at the cut that was chosen and at five random legal cuts, those that send the most
tensors. Both halves run on the example's inputs; the difference is against the user's own module, relative to the
largest value. Printed; it stops where halves and whole differ by more than 1e-5.
"""

import argparse
import random
from collections.abc import Iterable

from planner.constraints import Constraints
from planner.legality import CutRules
from planner.planning import cut
from profiles import halves
from profiles.engine import EagerEngine, TorchEngine, set_threads
from profiles.link import presets
from profiles.modelled import profile_as
from profiles.models import load_model
from profiles.profiling import PAUSE_MS, measure_network
from profiles.trace import TracedNetwork, trace

MODELS = {
    "lenet": "lenet",
    "alexnet": "alexnet",
    "vgg16": "vgg16",
    "resnet50": "resnet50",
    "mobilenet-v2": "mobilenet-v2",
    "densenet121": "densenet121",
    "vit-b-16": "transformers:ViTForImageClassification",
    "bert-base": "transformers:BertForSequenceClassification",
    "two-inputs": "examples.two_inputs:net",
}
#: Inputs that may cross as they are.
PUBLIC = {"bert-base": frozenset({"attention_mask"})}
LINKS = ("wifi", "lte", "3g")


def random_cuts(rules: CutRules, count: int) -> list[frozenset[str]]:
    """Legal cuts by closures of random nodes: those that send the most tensors."""
    choice, names = random.Random(0), [node.id for node in rules.graph.nodes if node.kind != "output"]
    drawn = {
        frozenset().union(*(rules.closure(name) for name in choice.sample(names, choice.randint(1, 4))))
        for _ in range(200)
    }
    legal = [edge for edge in drawn if rules.objection(edge) is None]
    return sorted(legal, key=lambda edge: (-len(rules.crossing(edge)), sorted(edge)))[:count]


def largest_difference(network: TracedNetwork, cuts: Iterable[frozenset[str]]) -> float:
    inputs = [value.numpy() for value in network.example]
    expected, worst = EagerEngine(network).run(inputs), 0.0
    for edge_nodes in cuts:
        made = halves.split(network, edge_nodes)
        from_edge = TorchEngine(made.edge).run(inputs)
        answers = TorchEngine(made.cloud).run(from_edge[: len(made.crossing)])
        worst = max(worst, halves.require_equal(expected, made.joined(from_edge, answers)))
    return worst


def trial(name: str, source: str, *, seconds: float) -> None:
    network = trace(load_model(source))
    here = measure_network(
        network,
        threads=1,
        device="cpu",
        name="here",
        seconds=seconds,
        pause_ms=PAUSE_MS,
        progress=lambda *_: None,
    )
    boards = [profile_as(source, board).profile for board in ("tx2-gpu", "titan-xp")]
    public = Constraints(public_inputs=PUBLIC.get(name, frozenset()))
    plans = [cut(*pair, presets()[link], constraints=public) for pair in ((here, here), boards) for link in LINKS]
    # How a split computes has nothing to do with what may be seen: with all inputs public there are more cuts.
    rules = CutRules(network.graph, frozenset(node.id for node in network.graph.inputs))
    drawn = random_cuts(rules, 5)
    sent = [len(rules.crossing(edge)) for edge in drawn]
    worst = largest_difference(network, [*{frozenset(plan.cut.edge_nodes) for plan in plans}, *drawn])
    check = here.check.largest_relative_error if here.check else float("nan")
    print(f"{name}: {len(network.graph)} nodes; whole {here.whole_ms:.2f} ms measured here, ", end="")
    print(f"{boards[0].whole_ms:.1f} and {boards[1].whole_ms:.2f} ms modelled; prefixes off by {100 * check:.1f} %")
    for plan in plans:
        gain = plan.references.cloud_only.total_ms / plan.predicted.total_ms
        where = "measured" if plan.edge.name == "here" else "modelled"
        print(f"    {where} {plan.link.name:5} {plan.cut.name:40.60} {plan.predicted.total_ms:9.2f} ms  {gain:5.2f}×")
    print(f"    random cuts send {sent} tensors; largest difference {worst:.1e}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(MODELS))
    parser.add_argument("--seconds", type=float, default=3.0)
    chosen = parser.parse_args()
    set_threads(1)
    for name in chosen.models:
        trial(name, MODELS[name], seconds=chosen.seconds)


if __name__ == "__main__":
    main()
