"""Model → DeviceProfile: node times measured in place, inside the running network, scaled to the measured whole.

A node timed alone runs with a warm cache and no neighbours, and a sum of such times is not the network's. So the
network runs operator by operator with a clock reading between two; the readings cost time themselves, hence the
scaling. Whole, nodes and prefixes are timed in turn, so that a machine whose speed drifts drifts for all of them.

An inference of a split network comes after a wait for the network, when caches have gone cold and the processor
has gone to sleep: a small network then takes several times what a hot loop shows. So every timed run follows a
pause (`pause_ms`; 0 for back-to-back inferences).
"""

import os
import platform
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import fx

from profiles import halves
from profiles.device import DeviceFacts, DeviceProfile, ModelFacts, PrefixCheck, TimedNode
from profiles.engine import ENGINES, set_threads
from profiles.errors import ProfileError
from profiles.measure import repeats_for, summary, time_ns
from profiles.models import load_model
from profiles.trace import TracedNetwork, trace

Progress = Callable[[int, int], None]

WARM_UPS, LEAST_REPEATS, MOST_REPEATS, PREFIXES = 5, 10, 2000, 3
PAUSE_MS = 5.0


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
    """Load, trace and time a model on this device.

    source: zoo name, `package.module:function` or `.pt2` file. threads: of the CPU, None for all. seconds: about how
    long to measure. pause_ms: before every timed run. Raises ModelError, TraceError, or ProfileError for a device
    that is not here.
    """
    _require_device(device)
    in_force = set_threads(threads)
    network = trace(load_model(source), batch=batch)
    return measure_network(
        network,
        threads=in_force,
        device=device,
        name=name,
        seconds=seconds,
        pause_ms=pause_ms,
        progress=progress,
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
    synchronise = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
    whole = halves.whole(network).to(device)
    inputs = [value.to(device) for value in network.example]
    prefixes = {last: halves.part(network, *_prefix(network, last)).to(device) for last in _some_prefixes(network)}
    steps = _Steps(network, device)
    runs = [partial(module, *inputs) for module in (whole, *prefixes.values())]

    def once() -> tuple[list[int], list[int]]:
        time.sleep(pause_ms / 1000)
        nodes = steps.times_ns(inputs, synchronise)
        return nodes, [time_ns(run, synchronise, pause_ms=pause_ms) for run in runs]

    with torch.inference_mode():
        start = time.perf_counter_ns()
        for _ in range(WARM_UPS):
            once()
        turn_ns = (time.perf_counter_ns() - start) / WARM_UPS
        repeats = repeats_for(turn_ns, budget_s=seconds, least=LEAST_REPEATS, most=MOST_REPEATS)
        node_ns, run_ns = np.zeros((repeats, len(steps.order))), np.zeros((repeats, len(runs)))
        for turn in range(repeats):
            node_ns[turn], run_ns[turn] = once()
            progress(turn + 1, repeats)

    whole_ms = summary(run_ns[:, 0]).median_ms
    samples = [summary(column) for column in node_ns.T]
    scale = whole_ms / sum(sample.median_ms for sample in samples)
    timed = {steps.order[i]: (s.median_ms * scale, s.iqr_ms * scale) for i, s in enumerate(samples)}
    nodes = tuple(_timed(network, node.id, timed) for node in network.graph.nodes)
    measured = {last: summary(run_ns[:, 1 + i]).median_ms for i, last in enumerate(prefixes)}
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
        whole_ms=whole_ms,
        nodes=nodes,
        check=_check(network, nodes, measured),
    )


class _Steps:
    """The network one operator at a time, with a clock reading after each that is a node."""

    def __init__(self, network: TracedNetwork, device: str) -> None:
        self._network = network
        self._graph = list(network.module.graph.nodes)
        names = {node: name for name, node in network.fx_nodes.items() if network.graph.by_id[name].kind != "output"}
        self._names = names
        self.order = [names[node] for node in self._graph if node in names and node.op == "call_function"]
        self._module = network.module.to(device)
        self._last_use = _last_uses(self._graph)
        self._constants = {
            node: _attribute(self._module, str(node.target)) for node in self._graph if node.op == "get_attr"
        }

    def times_ns(self, inputs: Sequence[torch.Tensor], synchronise: Callable[[], None]) -> list[int]:
        values: dict[fx.Node, Any] = dict(self._constants)
        waiting, times = list(inputs), []
        clock = time.perf_counter_ns
        for node in self._graph:
            if node.op == "placeholder":
                values[node] = waiting.pop(0)
            elif node.op == "call_function":
                args: Any = fx.node.map_arg(node.args, values.__getitem__)
                kwargs: Any = fx.node.map_arg(node.kwargs, values.__getitem__)
                target: Any = node.target
                synchronise()
                start = clock()
                result = target(*args, **kwargs)
                synchronise()
                if node in self._names:
                    times.append(clock() - start)
                values[node] = result
                for done in self._last_use.get(node, ()):
                    del values[done]
        return times


def _last_uses(graph: Sequence[fx.Node]) -> dict[fx.Node, list[fx.Node]]:
    """What may be freed after each operator, so that memory is that of the running network."""
    last: dict[fx.Node, fx.Node] = {}
    for node in graph:
        for used in node.all_input_nodes:
            last[used] = node
    freed: dict[fx.Node, list[fx.Node]] = {}
    for used, node in last.items():
        if used.op == "call_function":
            freed.setdefault(node, []).append(used)
    return freed


def _attribute(module: torch.nn.Module, target: str) -> object:
    value: object = module
    for step in target.split("."):
        value = getattr(value, step)
    return value


def _some_prefixes(network: TracedNetwork) -> list[str]:
    """The tensors after which a prefix is timed: spread evenly over the computational nodes."""
    # Not the last: its prefix is nearly the whole, to which the times are scaled.
    layers = [node.id for node in network.graph.nodes if node.computational][:-1]
    if len(layers) < 2:
        return layers
    places = np.linspace(0, len(layers) - 1, num=min(PREFIXES, len(layers)))
    return list(dict.fromkeys(layers[int(place)] for place in places))


def _prefix(network: TracedNetwork, last: str) -> tuple[list[str], list[str]]:
    return [node.id for node in network.graph.inputs], [last]


def _timed(network: TracedNetwork, name: str, timed: dict[str, tuple[float, float]]) -> TimedNode:
    node = network.graph.by_id[name]
    time_ms, iqr_ms = timed.get(name, (0.0, None))
    fields = {field: getattr(node, field) for field in node.__struct_fields__}
    return TimedNode(**fields, time_ms=time_ms, time_ms_iqr=iqr_ms)


def _check(network: TracedNetwork, nodes: Sequence[TimedNode], measured: dict[str, float]) -> PrefixCheck | None:
    if not measured:
        return None
    times = {node.id: node.time_ms for node in nodes}
    errors = [
        abs(sum(times[name] for name in network.graph.with_needs([last])) - found) / found
        for last, found in measured.items()
    ]
    return PrefixCheck(tuple(measured), float(np.median(errors)), max(errors))


def _require_device(device: str) -> None:
    kind = device.partition(":")[0]
    if kind not in ENGINES.values():
        raise ProfileError(f"--device {device}: expected cpu or cuda, which the run knows as well")
    if kind == "cuda" and not torch.cuda.is_available():
        raise ProfileError(f"--device {device}: torch {torch.__version__} sees no CUDA device here; use --device cpu")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ProfileError(f"--device {device}: {str(error).splitlines()[0]}; use cpu or cuda") from error


def device_name(device: str) -> str:
    """The processor's own name for itself."""
    if device.startswith("cuda"):
        return str(torch.cuda.get_device_name(device))
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        for line in facts.read_text(errors="replace").splitlines():
            if line.startswith(("model name", "Model")):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or "unknown processor"


def memory_bytes(device: str) -> int | None:
    """The device's memory, where the system tells."""
    if device.startswith("cuda"):
        return int(torch.cuda.get_device_properties(device).total_memory)
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
