"""What was learned: the noise, what its file says of it, and what `plan learn --json` prints."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from noise import collection
from noise.collection import Accuracy, BoundFacts, NoiseFacts, TradeOff
from noise.mechanism import Mechanism
from noise.task import Found
from noise.tensors import footprint_bytes


class LearnResult(msgspec.Struct, frozen=True, kw_only=True):
    """What `plan learn --json` prints. snr_inverse: σ²(n) / E[a²] of sampled noise. bound_bits: the covariance bound.

    edge_flops_share: FLOPs of the noise over those of the edge half. seconds: of this run alone, where it continued
    another.
    """

    kind: str
    budget_points: float
    accuracy: Accuracy
    snr_inverse: float
    bound_bits: float | None
    mixture_bound_bits: float | None
    bound: BoundFacts | None
    mixture_bound: BoundFacts | None
    distributions: int
    elements: int
    crossing: tuple[str, ...]
    left_alone: tuple[str, ...]
    epochs: float
    learnable_parameters: int
    footprint_bytes: int
    edge_flops_share: float | None
    seconds: float
    curve: tuple[TradeOff, ...] = ()


@dataclass(frozen=True)
class Learned:
    """Noise, what its file says of it, and how it was found."""

    noise: Mechanism
    facts: NoiseFacts
    found: Found
    left_alone: tuple[str, ...]
    edge_flops_share: float | None
    seconds: float

    def write(self, path: Path | str) -> None:
        """The noise's file (safetensors), atomically. Raises ArtifactError where it cannot be put there."""
        collection.write(Path(path), self.noise, self.facts)

    def result(self) -> LearnResult:
        """What is printed of it."""
        facts = self.facts
        return LearnResult(
            kind=facts.kind,
            budget_points=facts.budget_points,
            accuracy=facts.accuracy,
            snr_inverse=facts.snr_inverse,
            bound_bits=facts.bound.bits if facts.bound else None,
            mixture_bound_bits=facts.mixture_bound.bits if facts.mixture_bound else None,
            bound=facts.bound,
            mixture_bound=facts.mixture_bound,
            distributions=self.noise.distributions,
            elements=self.noise.elements,
            crossing=tuple(one.node for one in facts.crossing),
            left_alone=self.left_alone,
            epochs=self.found.epochs,
            learnable_parameters=self.found.parameters,
            footprint_bytes=footprint_bytes(self.noise),
            edge_flops_share=self.edge_flops_share,
            seconds=self.seconds,
            curve=self.found.curve,
        )
