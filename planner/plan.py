"""Plan: a cut, what it costs, and what else was considered (`plan.plan/1`)."""

from pathlib import Path
from typing import Any, Literal

import msgspec

from profiles import artifact
from profiles.artifact import Count, NonNegative
from profiles.device import DeviceFacts, ModelFacts
from profiles.link import LinkProfile

Wire = Literal["float32", "float16", "int8"]
Objective = Literal["latency", "energy", "throughput", "edge-compute"]


class CrossingTensor(msgspec.Struct, frozen=True):
    """A tensor produced on the edge and used on the cloud; sent once. bytes: at float32, or its own integer type."""

    node: str
    shape: tuple[Count, ...]
    dtype: str
    bytes: Count

    def row_shape(self, batch: int) -> tuple[int, ...]:
        """The shape of one inference's share, the batch left out.

        A tensor whose first dimension is not the batch (time first, a batch folded with something) is whole one
        inference's share, at batch 1.
        """
        return self.shape[1:] if self.shape[:1] == (batch,) else self.shape


class Predicted(msgspec.Struct, frozen=True, kw_only=True):
    """What one inference costs, part by part; None where the profiles do not say."""

    edge_ms: NonNegative
    noise_ms: NonNegative
    uplink_ms: NonNegative
    cloud_ms: NonNegative
    downlink_ms: NonNegative
    total_ms: NonNegative
    upload_bytes: Count
    edge_memory_bytes: Count | None = None
    energy_mj: NonNegative | None = None
    throughput_per_s: NonNegative | None = None


class Cut(msgspec.Struct, frozen=True):
    """name: the crossing tensors' node ids in graph order, joined by `+`."""

    name: str
    edge_nodes: tuple[str, ...]
    crossing: tuple[CrossingTensor, ...]


class Candidate(Cut, frozen=True):
    """A cut and its price."""

    predicted: Predicted


class References(msgspec.Struct, frozen=True):
    """Always shown, never chosen unless asked for."""

    cloud_only: Predicted
    edge_only: Predicted


class Breakpoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """From one uplink bandwidth to another (Mbps, downlink held fixed) this cut is the best.

    latency_ms_from, latency_ms_to: its latency there; linear in 1 / bandwidth in between.
    """

    uplink_mbps_from: NonNegative
    uplink_mbps_to: NonNegative
    cut: str
    latency_ms_from: NonNegative | None = None
    latency_ms_to: NonNegative | None = None


class PlannedDevice(DeviceFacts, frozen=True, kw_only=True, omit_defaults=True):
    """A device of the plan; profile: digest of the profile's file."""

    profile: str | None = None


class ParetoFront(msgspec.Struct, frozen=True):
    """Names of the candidates that no legal cut beats in latency, upload bytes and edge compute alike.

    complete: whether these are all of them.
    """

    cuts: tuple[str, ...]
    complete: bool


class Settings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was asked of the planner. top: names of the best cuts, best first, where several were asked for.

    noise_share: FLOPs of the noise over those of the edge half, both of the chosen cut. gap: relative distance of
    the chosen cut's cost from the solver's proven bound, where a mixed-integer program chose it; 0 is proved optimal.
    """

    wire: Wire = "float32"
    noise: str | None = None
    noise_share: NonNegative | None = None
    batch: Count = 1
    at: str | None = None
    public_inputs: tuple[str, ...] = ()
    constraints: dict[str, Any] = {}
    top: tuple[str, ...] = ()
    pareto: ParetoFront | None = None
    gap: NonNegative | None = None


class Plan(artifact.Artifact, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag="plan.plan/1"):
    """Where a network is cut between two devices, what that is predicted to cost, and what else there is.

    cut: what stays on the edge, and the tensors that cross. predicted: milliseconds, bytes and millijoules of one
    inference. references: cloud-only and edge-only. candidates: other cuts, in graph order. breakpoints: the best cut
    by uplink, 0.1 to 1000 Mbps. settings: what was asked for.
    """

    model: ModelFacts
    objective: Objective
    edge: PlannedDevice
    cloud: PlannedDevice
    link: LinkProfile
    cut: Cut
    predicted: Predicted
    references: References
    candidates: tuple[Candidate, ...]
    breakpoints: tuple[Breakpoint, ...]
    settings: Settings


def read(path: Path) -> Plan:
    """Raises ArtifactError, naming file and field."""
    return artifact.read(path, Plan)
