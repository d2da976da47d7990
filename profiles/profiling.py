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
from functools import partial
from typing import Any

import msgspec
import numpy as np
import torch

from profiles import engine_choice, halves, onnx_profiling
from profiles.board import LEAST_CUTS, LEAST_REPEATS, MOST_REPEATS, WARM_UPS, Timed
from profiles.device import DeviceFacts, DeviceProfile, ModelFacts, PrefixCheck, TimedNode
from profiles.engine import OnnxEngine, TorchEngine, set_threads
from profiles.errors import ModelError
from profiles.handling import with_handling
from profiles.host import device_name, memory_bytes, require_device
from profiles.measure import Sample, is_short, repeats_for, summary, time_ns
from profiles.models import load_model
from profiles.onnx_export import to_onnx
from profiles.segments import linear_cuts, segments_of
from profiles.stepping import Steps
from profiles.trace import TracedNetwork, trace

Progress = Callable[[int, int], None]

#: Linear cuts whose halves are timed: as many as the time allows up to this.
MOST_CUTS = 12
PAUSE_MS = 20.0
#: Of exchanging messages with a process here, at most; the scatter of its medians is then a few hundredths of a ms.
MOST_HANDLING_S = 3.0


def profile(
    source: str,
    *,
    engine: str = "auto",
    threads: int | None = None,
    batch: int = 1,
    device: str = "cpu",
    name: str | None = None,
    seconds: float = 4.0,
    pause_ms: float = PAUSE_MS,
    progress: Progress = lambda done, of: None,
    say: Callable[[str], None] = lambda line: None,
) -> DeviceProfile:
    """Load, trace and time a model on this device, and what a message takes on it.

    source: zoo name, `transformers:CLASS`, `package.module:function` or `.pt2` file. engine: `torch`, `onnxruntime`,
    or `auto` for the one that runs the whole network faster. threads: of the CPU, None for all. seconds: about how
    long to measure, or as long as the least turns take. pause_ms: before every timed run. say: told, in a sentence,
    how the engine was chosen.
    Raises ModelError, TraceError, or ProfileError for an engine or a device that is not here.
    """
    require_device(device)
    engine_choice.require_engine(engine, device=device)
    in_force = set_threads(threads)
    network = trace(load_model(source), batch=batch)
    free = engine == "auto"
    if free:
        engine = engine_choice.faster_engine(network, threads=in_force, device=device, pause_ms=pause_ms, say=say)
    settings: Any = {"threads": in_force, "name": name, "seconds": seconds, "pause_ms": pause_ms}
    made = None
    if engine == "onnxruntime":
        try:
            made = onnx_profiling.measure_network(network, **settings, progress=progress)
        except ModelError as error:  # a piece may have no form as ONNX though the whole has
            if not free:
                raise
            engine = "torch"
            say(f"engine torch: {error}")
    if made is None:
        made = measure_network(network, **settings, device=device, progress=progress)
    computing = _computing(network, engine, threads=in_force, device=device)
    return with_handling(made, computing, seconds=min(seconds / 4, MOST_HANDLING_S), pause_ms=pause_ms)


def _computing(network: TracedNetwork, engine: str, *, threads: int, device: str) -> Callable[[], object]:
    """The whole network, once, in the engine that was profiled."""
    whole, example = halves.whole(network), list(network.example)
    if engine != "onnxruntime":
        return partial(TorchEngine(whole, device=device).compute, example)
    ids = ([node.id for node in network.graph.inputs], [node.id for node in network.graph.outputs])
    data = to_onnx(whole, example, any_rows=network.dynamic_batch, inputs=ids[0], outputs=ids[1], check=False)
    return partial(OnnxEngine(data, threads=threads).run, [one.numpy() for one in example])


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
    check = times.timed.check()
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
        whole_ms=times.timed.whole_ms,
        start_ms=times.timed.fit().start_ms,
        nodes=_nodes(network, times),
        check=None if check is None else msgspec.convert(check, PrefixCheck),
    )


@dataclass(frozen=True)
class _Times:
    """timed: whole and halves. alone: an operator's times in place."""

    timed: Timed
    alone: dict[str, Sample]


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
    rough_ns = dict(zip(steps.order, map(float, rough), strict=True))
    graph, inputs_needed = network.graph, [node.id for node in network.graph.inputs]
    cuts = linear_cuts(graph, most=most, weight=[rough_ns.get(node.id, 0.0) for node in graph.nodes])
    made = [halves.split(network, graph.with_needs([cut, *inputs_needed])) for cut in cuts]
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
    alone = {name: summary(column) for name, column in zip(steps.order, node_ns.T, strict=True)}
    segments = segments_of(graph, cuts, steps.order)
    in_place_ms = {name: one.median_ms for name, one in alone.items()}
    run_ms = run_ns / 1e6
    return _Times(
        Timed(cuts, segments, in_place_ms, run_ms[:, 0], run_ms[:, 1::2], run_ms[:, 2::2]),
        alone,
    )


def _nodes(network: TracedNetwork, times: _Times) -> tuple[TimedNode, ...]:
    timed = times.timed
    start_ms, fitted = timed.operators_ms()
    fitted[network.graph.inputs[0].id] = start_ms
    receive_ms = dict(zip(timed.cuts, map(float, timed.fit().receive_ms), strict=True))
    made = []
    for node in network.graph.nodes:
        fields = {field: getattr(node, field) for field in node.__struct_fields__}
        taken_ms, spread = fitted.get(node.id, 0.0), times.alone.get(node.id)
        iqr_ms = None
        if spread is not None:
            iqr_ms = spread.iqr_ms * taken_ms / spread.median_ms if spread.median_ms else 0.0
        made.append(
            TimedNode(**fields, time_ms=taken_ms, time_ms_iqr=iqr_ms, receive_ms=receive_ms.get(node.id, 0.0))
        )
    return tuple(made)
