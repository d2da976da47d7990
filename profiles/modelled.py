"""Model → DeviceProfile of a device that is not here, or without running it: traced, never timed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from profiles import roofline
from profiles.device import DeviceFacts, DeviceProfile, ModelFacts, TimedNode
from profiles.errors import ProfileError
from profiles.graph import LayerGraph, Node
from profiles.layer_table import FEATURES
from profiles.models import load_model
from profiles.operator_facts import operator_facts
from profiles.predictor import Predictor
from profiles.predictor import read as read_predictor
from profiles.roofline import OperatorFacts
from profiles.trace import TracedNetwork, trace

#: What a traced node gives a predictor to learn from.
NODE_FEATURES = (*FEATURES, "kernel", "stride", "groups")


@dataclass(frozen=True)
class Modelled:
    """A profile and what its reader must know of it, a line each."""

    profile: DeviceProfile
    remarks: tuple[str, ...]


def profile_as(source: str, device: str, *, batch: int = 1) -> Modelled:
    """A model on a device of `presets/devices.json`, or of a user's own file of constants, by a roofline with launch
    overhead.

    source: zoo name, `package.module:function` or `.pt2` file. device: a preset's name, or a `.json` file's. Raises
    ProfileError or ArtifactError as `roofline.device` does, ModelError, TraceError.
    """
    constants = roofline.device(device)
    own = device.endswith(".json")
    name, origin = (Path(device).stem, Path(device).name) if own else (device, roofline.PRESETS)
    network = trace(load_model(source), batch=batch)
    facts = operator_facts(network)
    remarks = [
        f"{name} is modelled from {'the constants of ' + origin if own else 'published latencies'}, uncertainty "
        f"{constants.uncertainty}",
        f"fitted to: {constants.fit}",
        *(f"source: {one}" for one in constants.sources),
    ]
    if unknown := roofline.without_flops(network.graph, facts):
        remarks.append(f"FLOPs unknown for {named(unknown)}: priced by their bytes alone")
    facts_of_device = DeviceFacts(
        name=name,
        provenance="modelled",
        engine="torch",
        software=f"roofline with launch overhead, constants of {origin}; uncertainty {constants.uncertainty}",
    )
    times = roofline.node_times_ms(network.graph, facts, constants)
    return Modelled(assemble(network, facts_of_device, times), tuple(remarks))


def profile_predicted(source: str, path: Path, *, batch: int = 1) -> Modelled:
    """A model on the device whose layers a predictor learned, without running it.

    Operators that launch nothing cost nothing. A node whose kind has no model counts 0 and is reported, in
    the profile as well; a computational one is refused, since cuts are chosen by it.
    Raises ProfileError, ArtifactError (the predictor's file), ModelError, TraceError.
    """
    predictor = read_predictor(path)
    if unknown := [name for name in predictor.features if name not in NODE_FEATURES]:
        raise ProfileError(
            f"{path}: learned from {unknown[0]}, which a traced graph does not give; fit it with --features from "
            f"{', '.join(NODE_FEATURES[len(FEATURES) :])} or without"
        )
    network = trace(load_model(source), batch=batch)
    found = _predict(network, predictor)
    if needed := [name for name in found.no_model if network.graph.by_id[name].computational]:
        kind = network.graph.by_id[needed[0]].kind
        raise ProfileError(
            f"{path}: no model for kind {kind} (node {needed[0]!r}), it has {', '.join(predictor.kinds)}; "
            "fit it from a table that holds such layers"
        )
    missing = ", ".join(dict.fromkeys(network.graph.by_id[name].kind for name in found.no_model))
    remarks = [f"predicted by {path}, learned on {predictor.device or 'a device that its table does not name'}"]
    if found.no_model:
        remarks.append(f"no model for kind {missing}: {named(found.no_model)} counted as 0 ms")
    if found.no_flops:
        remarks.append(f"FLOPs unknown for {named(found.no_flops)}: predicted from their bytes alone")
    if found.outside:
        remarks.append(f"beyond the sizes the predictor learned from, so less sure: {named(found.outside)}")
    device = DeviceFacts(
        name=predictor.device or path.stem,
        provenance="modelled",
        engine="torch",
        software=f"predicted by {path.name}" + (f"; no model for {missing}, counted as 0" if missing else ""),
    )
    return Modelled(assemble(network, device, found.times_ms), tuple(remarks))


@dataclass(frozen=True)
class _Prediction:
    """times_ms of every node; ids of those without a model, of unknown FLOPs, and beyond the sizes learned from."""

    times_ms: dict[str, float]
    no_model: tuple[str, ...]
    no_flops: tuple[str, ...]
    outside: tuple[str, ...]


def _predict(network: TracedNetwork, predictor: Predictor) -> _Prediction:
    facts = operator_facts(network)
    times = dict.fromkeys((node.id for node in network.graph.nodes), 0.0)
    rows: dict[str, dict[str, list[float]]] = {}
    for name, of_node in facts.items():
        if of_node.launches:
            node = network.graph.by_id[name]
            features = node_features(network.graph, node, of_node)
            rows.setdefault(node.kind, {})[name] = [features[one] for one in predictor.features]
    no_model: list[str] = []
    outside: list[str] = []
    for kind, of_kind in rows.items():
        if kind not in predictor.kinds:
            no_model.extend(of_kind)
            continue
        model = predictor.kinds[kind]
        times |= dict(zip(of_kind, model.predict(list(of_kind.values())).tolist(), strict=True))
        outside.extend(name for name, row in of_kind.items() if not model.covers(row))
    return _Prediction(times, tuple(no_model), roofline.without_flops(network.graph, facts), tuple(outside))


def node_features(graph: LayerGraph, node: Node, facts: OperatorFacts) -> dict[str, float]:
    """A node as the predictor sees it, by `NODE_FEATURES`; unknown FLOPs are 0 here and reported."""
    values = (
        node.flops or 0,
        roofline.input_bytes(graph, node),
        roofline.output_bytes(graph, node),
        roofline.parameter_bytes(node),
        facts.kernel,
        facts.stride,
        facts.groups,
    )
    return dict(zip(NODE_FEATURES, map(float, values), strict=True))


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
