"""How fast the exact cut is found: the solver alone, and `plan cut` as a whole process. Printed, not asserted.

    python benchmarks/cut_search.py

Solver: one minimum cut of an operator graph with random times, the median and the largest over several draws of
times; networkx' own minimum cut of the same network stands beside it at 800 nodes. Process: user and system time of
`plan cut` started anew, with its breakpoints and its table of candidates.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import networkx
import numpy as np

from planner.cost import CostModel
from planner.legality import CutRules
from planner.mincut import FlowNetwork, Terms
from planner.search import Search
from profiles import artifact
from profiles.device import DeviceFacts, DeviceProfile, ModelFacts, TimedNode
from profiles.graph import Kind
from profiles.link import presets

DRAWS = 12


class Drawn:
    """A network under construction: sizes and times at random, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[TimedNode] = []

    def add(self, kind: Kind, *inputs: str) -> str:
        name = f"{kind}{len(self.nodes)}"
        size = 4 * int(self.rng.integers(200, 60_000))
        layer = kind in ("convolution", "linear", "matmul")
        self.nodes.append(
            TimedNode(
                id=name,
                kind=kind,
                inputs=inputs,
                shape=(1, size // 4),
                dtype="float32",
                bytes=size,
                encoded_bytes=size // 4 if kind == "input" else None,
                parameter_bytes=int(self.rng.integers(10_000)) if layer else 0,
                time_ms=0.0 if kind in ("input", "output") else float(self.rng.exponential(0.2 if layer else 0.02)),
            )
        )
        return name


def residual(count: int, seed: int) -> list[TimedNode]:
    """Blocks of two convolutions with a skip around them."""
    made = Drawn(seed)
    last = made.add("convolution", made.add("input"))
    while len(made.nodes) < count - 2:
        skip = last
        for _ in range(2):
            last = made.add("activation", made.add("normalisation", made.add("convolution", last)))
        last = made.add("join", last, skip)
    made.add("output", made.add("linear", last))
    return made.nodes


def dense(count: int, seed: int) -> list[TimedNode]:
    """Blocks of up to twelve layers, each of which takes all that went before it in the block."""
    made = Drawn(seed)
    last = made.add("convolution", made.add("input"))
    while len(made.nodes) < count - 2:
        tensors = [last]
        for _ in range(12):
            joined = made.add("join", *tensors) if len(tensors) > 1 else last
            tensors.append(made.add("convolution", made.add("activation", made.add("normalisation", joined))))
        last = made.add("pooling", made.add("convolution", made.add("join", *tensors)))
    made.add("output", made.add("linear", last))
    return made.nodes


def attention(count: int, seed: int) -> list[TimedNode]:
    """Encoder layers: queries, keys and values from one tensor, two products, two skips."""
    made = Drawn(seed)
    last = made.add("linear", made.add("input"))
    while len(made.nodes) < count - 2:
        normed = made.add("normalisation", last)
        query, key, value = (made.add("reshape", made.add("linear", normed)) for _ in range(3))
        weights = made.add("activation", made.add("matmul", query, key))
        mixed = made.add("linear", made.add("reshape", made.add("matmul", weights, value)))
        last = made.add("join", last, mixed)
        inner = made.add("activation", made.add("linear", made.add("normalisation", last)))
        last = made.add("join", last, made.add("linear", inner))
    made.add("output", made.add("linear", last))
    return made.nodes


SHAPES: dict[str, Callable[[int, int], list[TimedNode]]] = {
    "residual": residual,
    "dense": dense,
    "attention": attention,
}


def profile(nodes: list[TimedNode], name: str) -> DeviceProfile:
    return DeviceProfile(
        model=ModelFacts(name="drawn", architecture=f"sha256:{len(nodes)}"),
        batch=1,
        device=DeviceFacts(name=name, provenance="imported", engine="torch"),
        whole_ms=sum(node.time_ms for node in nodes),
        nodes=tuple(nodes),
    )


def pair(shape: str, count: int, seed: int) -> tuple[DeviceProfile, DeviceProfile]:
    """One network on an edge and a cloud: ten times as fast, or (every second draw) as fast, node by node otherwise.

    Two devices of one speed are the hard case: most nodes are contested, and flow has to go far.
    """
    nodes = SHAPES[shape](count, seed)
    ratios = np.random.default_rng(seed).uniform(*((0.05, 0.15), (0.2, 1.8))[seed % 2], len(nodes))
    theirs = [
        msgspec.structs.replace(node, time_ms=node.time_ms * float(ratio))
        for node, ratio in zip(nodes, ratios, strict=True)
    ]
    return profile(nodes, "edge"), profile(theirs, "cloud")


def drawn(shape: str, count: int, seed: int) -> Search:
    """A search over one draw, at one of several bandwidths."""
    edge, cloud = pair(shape, count, seed)
    link = msgspec.structs.replace(presets()["wifi"], uplink_mbps=(1.1, 18.88, 200.0, 1000.0)[seed % 4])
    return Search(CutRules(edge.graph), CostModel(edge, cloud, link))


def solver_ms(shape: str, count: int) -> list[float]:
    """Milliseconds of one minimum cut, for several draws; what does not depend on times is made before."""
    took = []
    for seed in range(DRAWS):
        search = drawn(shape, count, seed)
        terms = search.sums.latency()
        search.least(terms)
        began = time.perf_counter()
        search.least(terms)
        took.append(1000 * (time.perf_counter() - began))
    return took


def networkx_ms(shape: str, count: int) -> list[float]:
    """The same network of capacities, in networkx' own minimum cut (its default, preflow-push)."""
    took = []
    for seed in range(3):
        search = drawn(shape, count, seed)
        arrows = flow_graph(search.rules, search.sums.latency())
        began = time.perf_counter()
        networkx.minimum_cut(arrows, "source", "sink")
        took.append(1000 * (time.perf_counter() - began))
    return took


def flow_graph(rules: CutRules, terms: Terms) -> networkx.DiGraph:
    """Source side = edge, as `planner.mincut` has it; the last layer is pinned to the cloud."""
    group = FlowNetwork(rules).group_of
    arrows = networkx.DiGraph()
    pinned = {int(group[index]) for index, node in enumerate(rules.graph.nodes) if node.id in rules.last_layers}
    for vertex in range(int(group.max()) + 1):
        on_edge, on_cloud = terms.edge[group == vertex].sum(), terms.cloud[group == vertex].sum()
        arrows.add_edge("source", vertex, capacity=float(on_cloud))
        arrows.add_edge(vertex, "sink", **({} if vertex in pinned else {"capacity": float(on_edge)}))
    place = {node.id: index for index, node in enumerate(rules.graph.nodes)}
    for index, node in enumerate(rules.graph.nodes):
        tail = int(group[index])
        for user in rules.graph.consumers[node.id]:
            head = int(group[place[user]])
            if head != tail:
                arrows.add_edge(tail, ("tensor", index), capacity=float(terms.cross[index]))
                arrows.add_edge(("tensor", index), head)
                arrows.add_edge(head, tail)
                if node.id in rules.private:
                    arrows.add_edge(tail, head)
    for node in rules.graph.inputs:
        arrows.add_edge("source", int(group[place[node.id]]))
    return arrows


def process_s(edge: Path, cloud: Path, *options: str) -> tuple[float, dict[str, Any]]:
    """Seconds of CPU, user and system, of `plan cut` started anew; and its plan."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "runtime.cli", "cut", str(edge), str(cloud), "--link", "wifi", "--json"]
    done = subprocess.run([*command, *options], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nodes", type=int, nargs="+", default=[800, 10_000])
    counts: list[int] = parser.parse_args().nodes
    print(f"{'solver alone':<14}{'nodes':>8}{'median ms':>12}{'largest':>10}{'networkx':>10}{'ratio':>8}")
    for count in counts:
        for shape in SHAPES:
            took = solver_ms(shape, count)
            middle = statistics.median(took)
            line = f"{shape:<14}{count:>8}{middle:>12.1f}{max(took):>10.1f}"
            if count <= 1000:
                theirs = statistics.median(networkx_ms(shape, count))
                line += f"{theirs:>10.0f}{theirs / middle:>7.0f}×"
            print(line, flush=True)
    print(f"\n{'plan cut':<14}{'nodes':>8}{'CPU s':>12}{'candidates':>12}{'breakpoints':>13}")
    with tempfile.TemporaryDirectory() as folder:
        edge, cloud = Path(folder, "edge.json"), Path(folder, "cloud.json")
        for count in (40, *counts):
            for shape in SHAPES:
                for path, made in zip((edge, cloud), pair(shape, count, 0), strict=True):
                    artifact.write(path, made)
                spent, plan = min((process_s(edge, cloud) for _ in range(2)), key=lambda one: one[0])
                cuts = f"{len(plan['candidates']):>12}{len(plan['breakpoints']):>13}"
                print(f"{shape:<14}{count:>8}{spent:>12.2f}{cuts}", flush=True)


if __name__ == "__main__":
    main()
