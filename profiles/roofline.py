"""Devices that are not here: what an operator takes there, by a roofline with launch overhead. No torch.

The model: a launch costs a constant; then an operator is held up either by arithmetic or by memory, whichever takes
longer (Williams et al., "Roofline", 2009):

    time_ms = overhead_ms + 1000 · max(flops / (peak_flops · efficiency), bytes / (bandwidth · memory_efficiency))

`presets/devices.json` holds the constants, their sources, and how far the model is off published latencies. What
comes out is *modelled*, never measured.
"""

import importlib.resources
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec

from profiles import artifact
from profiles.artifact import NonNegative, Positive
from profiles.errors import ProfileError
from profiles.graph import LayerGraph, Node

PRESETS = "profiles/presets/devices.json"

#: Which efficiency of `presets/devices.json` an operator's products reach. `conv3x3`: dense, 3×3, stride 1.
Efficiency = Literal["conv3x3", "conv", "depthwise"]

_FREE_KINDS = frozenset({"input", "output"})


@dataclass(frozen=True)
class OperatorFacts:
    """What the graph does not tell of an operator.

    launches: whether it runs a kernel; a view of its argument does not. efficiency: of its products, by the form of
    the convolution. kernel, groups, stride: of a convolution or a pooling, 0 for all others; kernel is its area.
    """

    launches: bool = True
    efficiency: Efficiency = "conv"
    kernel: int = 0
    stride: int = 0
    groups: int = 0


class DeviceConstants(msgspec.Struct, frozen=True, kw_only=True):
    """One device of `presets/devices.json`; rates at float32 and full clock.

    fit, uncertainty, sources: where the constants come from and how far to trust them.
    """

    peak_flops: Positive
    bandwidth_bytes_per_s: Positive
    memory_efficiency: Positive
    overhead_ms: NonNegative
    efficiency: dict[Efficiency, Positive]
    fit: str
    uncertainty: str
    sources: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]

    def time_ms(self, *, flops: int | None, moved_bytes: int, efficiency: Efficiency) -> float:
        """One launch. flops: 2 a multiply-add, None where unknown: then memory alone sets the time."""
        products_s = (flops or 0) / (self.peak_flops * self.efficiency[efficiency])
        memory_s = moved_bytes / (self.bandwidth_bytes_per_s * self.memory_efficiency)
        return self.overhead_ms + 1000 * max(products_s, memory_s)


class _Presets(msgspec.Struct):
    devices: dict[str, DeviceConstants]


def devices() -> dict[str, DeviceConstants]:
    """The modelled devices by name."""
    text = importlib.resources.files("profiles").joinpath("presets", "devices.json").read_bytes()
    return msgspec.json.decode(text, type=_Presets).devices


def device(name: str) -> DeviceConstants:
    """A preset by its name, or the constants in a user's own file, whose name ends in `.json`.

    Raises ProfileError for a name that is not there or constants that cannot be, ArtifactError where no file is.
    """
    if name.endswith(".json"):
        return _own(Path(name))
    known = devices()
    if name not in known:
        raise ProfileError(f"no modelled device {name!r}; there are: {', '.join(known)}, or a .json of constants")
    return known[name]


def _own(path: Path) -> DeviceConstants:
    data = artifact.read_bytes(path, what="a device's constants as JSON")
    try:
        found = msgspec.json.decode(data, type=DeviceConstants)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        reason = str(error).replace("`", "")
        raise ProfileError(f"{path}: {reason}; expected the constants of one device, as in {PRESETS}") from error
    if lacking := [one for one in get_args(Efficiency) if one not in found.efficiency]:
        raise ProfileError(f"{path}: efficiency has no {lacking[0]!r}; expected {', '.join(get_args(Efficiency))}")
    return found


def node_times_ms(
    graph: LayerGraph, facts: Mapping[str, OperatorFacts], constants: DeviceConstants
) -> dict[str, float]:
    """Modelled time of every node by its id.

    facts: of the operators; one that is missing launches a kernel, and its products are those of `conv`. Inputs,
    outputs and operators that launch nothing cost nothing.
    """
    times = {}
    for node in graph.nodes:
        of_node = facts.get(node.id, OperatorFacts())
        times[node.id] = 0.0
        if node.kind not in _FREE_KINDS and of_node.launches:
            moved = input_bytes(graph, node) + parameter_bytes(node) + output_bytes(graph, node)
            times[node.id] = constants.time_ms(flops=node.flops, moved_bytes=moved, efficiency=of_node.efficiency)
    return times


def without_flops(graph: LayerGraph, facts: Mapping[str, OperatorFacts]) -> tuple[str, ...]:
    """Ids of the operators that run a kernel of unknown FLOPs: only their bytes are priced."""
    return tuple(
        node.id
        for node in graph.nodes
        if node.flops is None and node.kind not in _FREE_KINDS and facts.get(node.id, OperatorFacts()).launches
    )


def input_bytes(graph: LayerGraph, node: Node) -> int:
    """Bytes of the tensors that come in, each once, at float32 or their own integer type."""
    return sum(_tensor_bytes(graph, graph.by_id[name]) for name in dict.fromkeys(node.inputs))


def output_bytes(graph: LayerGraph, node: Node) -> int:
    """Bytes that an operator puts out; where it puts out several tensors, of those that are used."""
    return _tensor_bytes(graph, node)


def parameter_bytes(node: Node) -> int:
    """Bytes of parameters read: all of them, but of an embedding only the rows looked up."""
    whole = node.parameter_bytes or 0
    return min(whole, node.bytes) if node.kind == "embedding" else whole


def _tensor_bytes(graph: LayerGraph, node: Node) -> int:
    if node.dtype != "tuple":
        return node.bytes
    return sum(graph.by_id[name].bytes for name in _items(graph, node))


def _items(graph: LayerGraph, node: Node) -> Iterable[str]:
    return (name for name in graph.consumers[node.id] if graph.by_id[name].op == "getitem")
