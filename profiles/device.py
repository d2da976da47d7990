"""DeviceProfile: what one device needs for every node of one network (`plan.profile/1`)."""

from functools import cached_property
from pathlib import Path
from typing import Literal

import msgspec

from profiles import artifact
from profiles.artifact import Count, NonNegative, Positive
from profiles.errors import ProfileError
from profiles.graph import LayerGraph, Node

Provenance = Literal["measured", "modelled", "imported"]


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which network. source: what `plan` loads it from again. weights: digest of the parameters' values."""

    name: str
    architecture: str
    source: str | None = None
    weights: str | None = None


class PowerMilliwatts(msgspec.Struct, frozen=True):
    busy: NonNegative
    idle: NonNegative


class MessageHandling(msgspec.Struct, frozen=True, kw_only=True):
    """What one request and its reply take on a device beside the time of their bytes on a link.

    request_sent_ms, reply_received_ms: as the edge, from the tensors to the bytes that have left, and from the bytes
    that have arrived to the tensors. request_received_ms, reply_sent_ms: likewise as the cloud.
    noise_ms: adding a small tensor's noise, drawn before, as the edge: what its FLOPs do not tell.
    request_bytes, reply_bytes: of HTTP and JSON headers around no tensor. tensor_bytes: what describing one adds.
    """

    request_sent_ms: NonNegative
    request_received_ms: NonNegative
    reply_sent_ms: NonNegative
    reply_received_ms: NonNegative
    request_bytes: Count
    reply_bytes: Count
    tensor_bytes: Count
    noise_ms: NonNegative = 0.0


class DeviceFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """message: None where nobody measured it; a message's handling then costs nothing."""

    name: str
    provenance: Provenance
    engine: str
    threads: Count | None = None
    software: str | None = None
    memory_bytes: Count | None = None
    power_mw: PowerMilliwatts | None = None
    message: MessageHandling | None = None

    @property
    def label(self) -> str:
        """Name, threads, provenance and engine, as every table shows them."""
        threads = f", {self.threads} thread{'s' if self.threads > 1 else ''}" if self.threads else ""
        return f"{self.name}{threads} ({self.provenance}, {self.engine})"


class TimedNode(Node, frozen=True, kw_only=True, omit_defaults=True):
    """A node and what it takes here: median and interquartile range over the repeats, scaled to the whole.

    receive_ms: what a cloud half that begins with its tensor needs to start, beyond the profile's start_ms.
    """

    time_ms: NonNegative
    time_ms_iqr: NonNegative | None = None
    receive_ms: NonNegative = 0.0


class PrefixCheck(msgspec.Struct, frozen=True):
    """Prefixes timed for real against the sums of their nodes' times; errors are relative to the measured ones."""

    prefixes: tuple[str, ...]
    median_relative_error: NonNegative
    largest_relative_error: NonNegative


#: Beyond this a profile does not tell what its halves will take.
DOUBTFUL = 0.1


class DeviceProfile(
    artifact.Artifact,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    dict=True,
    tag_field="schema",
    tag="plan.profile/1",
):
    """One network on one device: its graph, and the time of every node in milliseconds at `batch`.

    start_ms: what the cloud half of a cut network needs to start, beside its nodes' times; the whole's own start is
    the input's time.
    """

    model: ModelFacts
    batch: Count
    device: DeviceFacts
    whole_ms: Positive
    nodes: tuple[TimedNode, ...]
    start_ms: NonNegative = 0.0
    check: PrefixCheck | None = None

    @cached_property
    def graph(self) -> LayerGraph:
        """Raises ProfileError where the nodes make no graph."""
        return LayerGraph.of(self.nodes)

    @cached_property
    def time_ms(self) -> dict[str, float]:
        """Time of every node by its id, milliseconds."""
        return {node.id: node.time_ms for node in self.nodes}

    @classmethod
    def read(cls, path: Path | str) -> "DeviceProfile":
        """The profile in a file. Raises ArtifactError (the file), ProfileError (the graph in it), both naming it."""
        profile = artifact.read(Path(path), cls)
        try:
            require_whole(profile)
        except ProfileError as error:
            raise ProfileError(f"{path}: {error}") from error
        return profile

    @property
    def doubt(self) -> str | None:
        """What to say where the prefixes timed for real are far from the sums of their nodes, else None."""
        if self.check is None or self.check.largest_relative_error <= DOUBTFUL:
            return None
        return (
            f"{self.device.name}: prefixes timed for real are off by up to "
            f"{100 * self.check.largest_relative_error:.0f} % from the sums of their nodes; was the machine busy? "
            "Profile again when it is idle, or with more --seconds"
        )

    @cached_property
    def receive_ms(self) -> dict[str, float]:
        """By a node's id: what a cloud half takes more where that node's tensor is what it gets, milliseconds."""
        return {node.id: node.receive_ms for node in self.nodes}


def read(path: Path) -> DeviceProfile:
    """Raises ArtifactError (the file) or ProfileError (the graph in it), both naming the file."""
    return DeviceProfile.read(path)


def require_whole(profile: DeviceProfile) -> None:
    """A batch, an input, an output, and inputs that take nothing. Raises ProfileError for what is missing."""
    graph = profile.graph
    if not profile.batch:
        raise ProfileError("batch is 0, expected 1 or more")
    for kind, found in (("input", graph.inputs), ("output", graph.outputs)):
        if not found:
            raise ProfileError(f"the graph has no node of kind {kind!r}, expected at least one")
    for node in graph.nodes:
        if (node.kind == "input") != (not node.inputs) and node.kind in ("input", "output"):
            takes = f"takes {node.inputs[0]!r}" if node.inputs else "takes nothing"
            raise ProfileError(f"{node.kind} {node.id!r} {takes}; inputs take nothing, outputs what they put out")


def require_same_network(edge: DeviceProfile, cloud: DeviceProfile) -> None:
    """Both profiles must be of one network: architecture, batch and nodes. Raises ProfileError with what differs."""
    again = "profile the same model with the same --batch on both devices"
    if edge.model.architecture != cloud.model.architecture:
        raise ProfileError(
            f"the profiles are of two models: edge {edge.model.name} ({edge.model.architecture[:19]}), "
            f"cloud {cloud.model.name} ({cloud.model.architecture[:19]}); {again}"
        )
    if edge.batch != cloud.batch:
        raise ProfileError(f"the edge was profiled at batch {edge.batch}, the cloud at {cloud.batch}; {again}")
    theirs = cloud.graph.by_id
    if edge.graph.by_id.keys() != theirs.keys():
        odd = sorted(edge.graph.by_id.keys() ^ theirs.keys())
        raise ProfileError(f"only one of the profiles has node {odd[0]!r}; {again}")
    for node in edge.graph.nodes:
        for field in ("kind", "inputs", "shape", "dtype"):
            mine, other = getattr(node, field), getattr(theirs[node.id], field)
            if mine != other:
                raise ProfileError(f"node {node.id!r}: {field} is {mine} on the edge, {other} on the cloud; {again}")
    if edge.model.weights and cloud.model.weights and edge.model.weights != cloud.model.weights:
        raise ProfileError(
            "the profiles are of one network with two sets of weights; profile the same weights on both devices "
            "(a function must seed them or load them, so that every call returns the same)"
        )
