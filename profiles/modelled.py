"""Model → DeviceProfile of a device that is not here, or without running it: traced, never timed."""

from collections.abc import Mapping
from dataclasses import dataclass

from profiles import roofline
from profiles.device import DeviceFacts, DeviceProfile, ModelFacts, TimedNode
from profiles.errors import ProfileError
from profiles.models import load_model
from profiles.operator_facts import operator_facts
from profiles.trace import TracedNetwork, trace

PRESETS = "profiles/presets/devices.json"


@dataclass(frozen=True)
class Modelled:
    """A profile and what its reader must know of it, a line each."""

    profile: DeviceProfile
    remarks: tuple[str, ...]


def profile_as(source: str, device: str, *, batch: int = 1) -> Modelled:
    """A model on a device of `presets/devices.json`, by a roofline with launch overhead.

    source: zoo name, `package.module:function` or `.pt2` file. Raises ProfileError for a device that is not in the
    presets, ModelError, TraceError.
    """
    constants = roofline.device(device)
    network = trace(load_model(source), batch=batch)
    facts = operator_facts(network)
    remarks = [
        f"{device} is modelled from published latencies, uncertainty {constants.uncertainty}",
        f"fitted to: {constants.fit}",
        *(f"source: {one}" for one in constants.sources),
    ]
    if unknown := roofline.without_flops(network.graph, facts):
        remarks.append(f"FLOPs unknown for {named(unknown)}: priced by their bytes alone")
    facts_of_device = DeviceFacts(
        name=device,
        provenance="modelled",
        engine="torch",
        software=f"roofline with launch overhead, constants of {PRESETS}; uncertainty {constants.uncertainty}",
    )
    times = roofline.node_times_ms(network.graph, facts, constants)
    return Modelled(assemble(network, facts_of_device, times), tuple(remarks))


def assemble(network: TracedNetwork, device: DeviceFacts, times_ms: Mapping[str, float]) -> DeviceProfile:
    """A profile whose whole is the sum of its nodes. Raises ProfileError where nothing takes time."""
    whole_ms = sum(times_ms.values())
    if not whole_ms > 0:
        raise ProfileError(f"{network.model.source}: no operator of it takes time on {device.name}; is it a network?")
    nodes = tuple(
        TimedNode(**{field: getattr(node, field) for field in node.__struct_fields__}, time_ms=times_ms[node.id])
        for node in network.graph.nodes
    )
    model = ModelFacts(
        name=network.model.name,
        architecture=network.architecture,
        source=network.model.source,
        weights=network.model.weights,
    )
    return DeviceProfile(model=model, batch=network.batch, device=device, whole_ms=whole_ms, nodes=nodes)


def named(ids: tuple[str, ...], most: int = 5) -> str:
    """`3 nodes (a, b, c)`, the first few by name."""
    more = ", …" if len(ids) > most else ""
    return f"{len(ids)} node{'s' if len(ids) > 1 else ''} ({', '.join(ids[:most])}{more})"
