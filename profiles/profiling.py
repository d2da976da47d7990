"""Model → DeviceProfile: node times measured in place, inside the running network, solved to fit timed halves.

A node timed alone runs with a warm cache and no neighbours, and a sum of such times is not the network's. So the
network runs operator by operator with a clock reading between two, which says how a segment's time is shared over
its nodes; what a segment takes is solved for from halves that run as they will run (`segments`). Whole, nodes and
halves are timed in turn, so that a machine whose speed drifts drifts for all of them.

An inference of a split network comes after a wait for the network, when caches have gone cold and the processor
has gone to sleep: a small network then takes several times what a hot loop shows. So every timed run follows a
pause (`pause_ms`; 0 for back-to-back inferences).
"""

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from numpy.typing import NDArray

from profiles import halves
from profiles.device import DeviceFacts, DeviceProfile, ModelFacts, PrefixCheck, TimedNode
from profiles.engine import TorchEngine, set_threads
from profiles.handling import with_handling
from profiles.host import device_name, memory_bytes, require_device
from profiles.measure import is_short, repeats_for, summary, time_ns
from profiles.models import load_model
from profiles.segments import SegmentTimes, fit_segments, linear_cuts, share
from profiles.stepping import Steps
from profiles.trace import TracedNetwork, trace

Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]

WARM_UPS, LEAST_REPEATS, MOST_REPEATS = 1, 6, 2000
#: Linear cuts whose halves are timed: as many as the time allows between these. Prefixes of them held out as a check.
LEAST_CUTS, MOST_CUTS, PREFIXES = 3, 12, 3
PAUSE_MS = 20.0
#: Of exchanging messages with a process here, at most; the scatter of its medians is then a few hundredths of a ms.
MOST_HANDLING_S = 3.0


def profile(
    source: str,
    *,
    threads: int | None = None,
    batch: int = 1,
    device: str = "cpu",
    name: str | None = None,
    seconds: float = 4.0,
    pause_ms: float = PAUSE_MS,
    progress: Progress = lambda done, of: None,
) -> DeviceProfile:
    """Load, trace and time a model on this device, and what a message takes on it.

    source: zoo name, `transformers:CLASS`, `package.module:function` or `.pt2` file. threads: of the CPU, None for
    all. seconds: about how long to measure, or as long as the least turns take. pause_ms: before every timed run.
    Raises ModelError, TraceError, or ProfileError for a device that is not here.
    """
    require_device(device)
    in_force = set_threads(threads)
    network = trace(load_model(source), batch=batch)
    made = measure_network(
        network,
        threads=in_force,
        device=device,
        name=name,
        seconds=seconds,
        pause_ms=pause_ms,
        progress=progress,
    )
    whole, inputs = TorchEngine(halves.whole(network), device=device), list(network.example)
    return with_handling(
        made, lambda: whole.compute(inputs), seconds=min(seconds / 4, MOST_HANDLING_S), pause_ms=pause_ms
    )


def measure_network(
    network: TracedNetwork,
    *,
    threads: int,
    device: str,
    name: str | None,
    seconds: float,
    pause_ms: float,
    progress: Progress,
) -> DeviceProfile:
    """Time a traced network; as `profile`, for one who has it already."""
    times = _measure(network, device=device, seconds=seconds, pause_ms=pause_ms, progress=progress)
    return DeviceProfile(
        model=ModelFacts(
            name=network.model.name,
            architecture=network.architecture,
            source=network.model.source,
            weights=network.model.weights,
        ),
        batch=network.batch,
        device=DeviceFacts(
            name=name or device_name(device),
            provenance="measured",
            engine="torch" if device == "cpu" else "torch-cuda",
            threads=threads if device == "cpu" else None,
            software=f"torch {torch.__version__}, {platform.system()} {platform.machine()}",
            memory_bytes=memory_bytes(device),
        ),
        whole_ms=times.whole_ms,
        start_ms=times.segments.start_ms,
        nodes=_timed(network, times),
        check=_check(network, times),
    )


@dataclass(frozen=True)
class _Times:
    """What was measured, a row each turn, ns. nodes [turns, operators in `order`]; whole [turns]; prefixes, suffixes
    [turns, cuts]. edges: the nodes before each cut."""

    order: tuple[str, ...]
    cuts: tuple[str, ...]
    edges: tuple[frozenset[str], ...]
    nodes: Floats
    whole: Floats
    prefixes: Floats
    suffixes: Floats

    @property
    def whole_ms(self) -> float:
        return summary(self.whole).median_ms

    def of(self, turns: slice) -> "_Times":
        """Some of the turns alone."""
        parts = (self.nodes[turns], self.whole[turns], self.prefixes[turns], self.suffixes[turns])
        return _Times(self.order, self.cuts, self.edges, *parts)

    @cached_property
    def alone_ms(self) -> dict[str, float]:
        """Operator → median in place."""
        return dict(zip(self.order, map(float, np.median(self.nodes, axis=0) / 1e6), strict=True))

    @cached_property
    def inner(self) -> tuple[tuple[str, ...], ...]:
        """The operators of each segment before, between and behind the cuts."""
        made, before = [], frozenset[str]()
        for edge in (*self.edges, frozenset(self.order)):
            made.append(tuple(name for name in self.order if name in edge and name not in before))
            before = edge
        return tuple(made)

    @cached_property
    def segments(self) -> SegmentTimes:
        return fit_segments(
            whole_ms=self.whole_ms,
            prefixes_ms=np.median(self.prefixes, axis=0) / 1e6,
            suffixes_ms=np.median(self.suffixes, axis=0) / 1e6,
            alone_ms=[sum(self.alone_ms[name] for name in names) for names in self.inner],
        )

    def fitted_ms(self, network: TracedNetwork) -> dict[str, float]:
        """Node → milliseconds: a segment's time, solved for from the halves, is shared as its nodes are in place."""
        graph, found = network.graph, self.segments
        fitted = dict.fromkeys(graph.by_id, 0.0)
        # Starting is the input's, not the first layers'.
        start_ms = min(found.start_ms, float(found.inner_ms[0]))
        inner_ms = [float(found.inner_ms[0]) - start_ms, *map(float, found.inner_ms[1:])]
        for segment_ms, names in zip(inner_ms, self.inner, strict=True):
            shares = share(segment_ms, np.array([self.alone_ms[name] for name in names]))
            fitted |= dict(zip(names, map(float, shares), strict=True))
        fitted[graph.inputs[0].id] = start_ms
        return fitted


def _measure(network: TracedNetwork, *, device: str, seconds: float, pause_ms: float, progress: Progress) -> _Times:
    synchronise = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
    steps = Steps(network, device)
    tensors = [value.to(device) for value in network.example]
    inputs = list(network.example)
    with torch.inference_mode():
        rough = np.median([steps.times_ns(tensors, synchronise) for _ in range(3)], axis=0)
    whole_ms = float(rough.sum()) / 1e6
    # A turn runs each operator and the whole, and for each cut both halves, which together are one more whole.
    fitting = int(1000 * seconds / (LEAST_REPEATS + WARM_UPS) / (whole_ms + 2 * pause_ms)) - 2
    most = min(max(fitting, LEAST_CUTS), MOST_CUTS)
    cuts, edges = _cuts(network, dict(zip(steps.order, map(float, rough), strict=True)), most=most)
    made = [halves.split(network, edge) for edge in edges]
    engines = [TorchEngine(half, device=device) for one in made for half in (one.edge, one.cloud)]
    whole = TorchEngine(halves.whole(network), device=device)
    crossing = [engine.compute(inputs)[: len(one.crossing)] for engine, one in zip(engines[::2], made, strict=True)]
    given = [side for tensors_sent in crossing for side in (inputs, tensors_sent)]
    # As the split will run: what crosses comes from the memory of the CPU and goes there.
    runs = [
        partial(whole.compute, inputs),
        *(partial(engine.compute, side) for engine, side in zip(engines, given, strict=True)),
    ]

    after_itself = [is_short(time_ns(run, synchronise)) for run in runs]

    def once() -> tuple[list[int], list[int]]:
        time.sleep(pause_ms / 1000)
        with torch.inference_mode():
            nodes = steps.times_ns(tensors, synchronise)
        return nodes, [
            time_ns(run, synchronise, pause_ms=pause_ms, after_itself=short)
            for run, short in zip(runs, after_itself, strict=True)
        ]

    start = time.perf_counter_ns()
    for _ in range(WARM_UPS):
        once()
    turn_ns = (time.perf_counter_ns() - start) / WARM_UPS
    repeats = repeats_for(turn_ns, budget_s=seconds, least=LEAST_REPEATS, most=MOST_REPEATS)
    node_ns, run_ns = np.zeros((repeats, len(steps.order))), np.zeros((repeats, len(runs)))
    for turn in range(repeats):
        node_ns[turn], run_ns[turn] = once()
        progress(turn + 1, repeats)
    return _Times(tuple(steps.order), cuts, edges, node_ns, run_ns[:, 0], run_ns[:, 1::2], run_ns[:, 2::2])


def _cuts(
    network: TracedNetwork, time_ns: dict[str, float], *, most: int
) -> tuple[tuple[str, ...], tuple[frozenset[str], ...]]:
    """Linear cuts whose halves are timed, and the nodes before each."""
    graph = network.graph
    cuts = tuple(linear_cuts(graph, most=most, weight=[time_ns.get(node.id, 0.0) for node in graph.nodes]))
    return cuts, tuple(graph.with_needs([cut, *(node.id for node in graph.inputs)]) for cut in cuts)


def _timed(network: TracedNetwork, times: _Times) -> tuple[TimedNode, ...]:
    fitted = times.fitted_ms(network)
    receive_ms = dict(zip(times.cuts, map(float, times.segments.receive_ms), strict=True))
    alone = {name: summary(column) for name, column in zip(times.order, times.nodes.T, strict=True)}
    made = []
    for node in network.graph.nodes:
        fields = {field: getattr(node, field) for field in node.__struct_fields__}
        spread = alone.get(node.id)
        iqr_ms = None
        if spread is not None:
            iqr_ms = spread.iqr_ms * fitted[node.id] / spread.median_ms if spread.median_ms else 0.0
        made.append(
            TimedNode(
                **fields,
                time_ms=fitted[node.id],
                time_ms_iqr=iqr_ms,
                receive_ms=receive_ms.get(node.id, 0.0),
            )
        )
    return tuple(made)


def _check(network: TracedNetwork, times: _Times) -> PrefixCheck | None:
    """Prefixes timed in every second turn, against node times fitted to the other turns."""
    if not times.cuts or len(times.whole) < 4:
        return None
    fitted, held_out = times.of(slice(0, None, 2)).fitted_ms(network), times.of(slice(1, None, 2))
    places = sorted({int(place) for place in np.linspace(0, len(times.cuts) - 1, num=PREFIXES)})
    errors = []
    for place in places:
        found = summary(held_out.prefixes[:, place]).median_ms
        errors.append(abs(sum(fitted[name] for name in times.edges[place]) - found) / found)
    return PrefixCheck(tuple(times.cuts[place] for place in places), float(np.median(errors)), max(errors))
