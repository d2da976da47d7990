"""What an audit found (`plan.audit/1`): percent, dB and nats; null where a figure does not exist for these data."""

from pathlib import Path

import msgspec

from profiles import artifact
from profiles.artifact import Count, NonNegative

Interval = tuple[float, float]

#: Ways of reconstructing: trained on pairs; the distribution named first; through the known edge half.
DECODER, NAMED, WHITE_BOX = "decoder", "decoder after naming", "white box"


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One way of reconstructing. attack: decoder, decoder after naming, white box, ... queries: inferences of the
    same input that the adversary saw. Intervals: 95 %, over `seeds` attacks. images: that it was judged on; of the
    white box few, and its figures are the decoder's on all and the gain on these. strength: how hard it tried, in
    words."""

    attack: str
    psnr_db: float
    ssim: float | None
    psnr_interval_db: Interval | None = None
    ssim_interval: Interval | None = None
    seeds: Count = 1
    images: Count
    queries: Count = 1
    strength: str | None = None
    stopped_improving: bool | None = None


class Reconstruction(msgspec.Struct, frozen=True, kw_only=True):
    """psnr_db, ssim: of the strongest attempt from a single query (mean over images, peak 1)."""

    psnr_db: float
    ssim: float | None
    attack: str
    attempts: tuple[Attempt, ...] = ()


class Reidentification(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which of n candidates was it. top1: percent of queries named right, the strongest attack. bound_top1: what no
    adversary exceeds, percent, where the noise's density is known. by_queries: top1 after 1, 10, 100 inferences."""

    top1: float
    n: Count
    attack: str
    interval: Interval | None = None
    bound_top1: float | None = None
    by_queries: dict[str, float] = {}


class Elimination(msgspec.Struct, frozen=True, kw_only=True):
    """By order: mean number of the candidates that remain possible, and how often the true one does, percent."""

    remaining: NonNegative
    candidates: Count
    true_remains: float


class Naming(msgspec.Struct, frozen=True, kw_only=True):
    """The informed attack's first step: percent of queries whose distribution is named right; noise variance left
    after its expected noise is subtracted, percent of what it was."""

    right: float
    variance_left: float


class Attribute(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """accuracy, label_alone: percent; the second from the public label alone. by_queries: accuracy after several."""

    accuracy: float
    label_alone: float
    interval: Interval | None = None
    seeds: Count = 1
    by_queries: dict[str, float] = {}
    strength: str | None = None
    stopped_improving: bool | None = None


class Information(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """I(x; a'). Estimates: ite (the paper's), ksg. Lower bounds: infonce (learned; never above infonce_cap = ln N),
    contrast (with the density as critic). Proven upper bounds: bound (covariance; of laplace the ordered Laplace's),
    mixture_bound. k, n, dimensions, scaling, seed: what the estimates depend on. by_queries: bound and mixture."""

    ite_nats: float | None
    ksg_nats: float | None
    infonce_nats: float | None
    bound_nats: float | None
    mixture_bound_nats: float | None
    k: Count | None
    n: Count | None
    dimensions: Count | None
    infonce_cap_nats: float | None = None
    infonce_interval_nats: Interval | None = None
    contrast_nats: float | None = None
    contrast_interval_nats: Interval | None = None
    bound_interval_nats: Interval | None = None
    bound_form: str | None = None
    mixture_interval_nats: Interval | None = None
    bound_by_queries: dict[str, float] = {}
    mixture_by_queries: dict[str, float] = {}
    scaling: str | None = None
    seed: int | None = None
    remarks: tuple[str, ...] = ()


class Audited(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an adversary gets of one thing that could cross. attributes: name → percent, details beside. gain: on the
    noise of the file, so that all that is compared loses the same accuracy."""

    reconstruction: Reconstruction | None
    reidentification: Reidentification | None
    attributes: dict[str, float]
    information: Information
    attribute_details: dict[str, Attribute] = {}
    elimination: Elimination | None = None
    naming: Naming | None = None
    accuracy_loss_points: float | None = None
    gain: float | None = None
    noise: str | None = None


class Audit(artifact.Artifact, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag="plan.audit/1"):
    """floors: what is got without the tensor: the mean image of the true class, and guessing by the label alone.

    accuracy_loss_points: of the test inputs, the same for every noise here.
    """

    model: str
    cut: str
    data: str
    accuracy_loss_points: float
    clean: Audited
    floors: Audited
    laplace: Audited | None = None
    gaussian: Audited | None = None
    channel: Audited | None = None
    architecture: str | None = None
    weights: str | None = None
    wire: str = "float32"
    quick: bool = False
    seeds: Count = 1
    seed: int = 0
    seconds: NonNegative | None = None
    settings: dict[str, float | int | str | None] = msgspec.field(default_factory=dict)


def read(path: Path) -> Audit:
    """Raises ArtifactError, naming file and field."""
    return artifact.read(path, Audit)


def write(path: Path, audit: Audit) -> None:
    artifact.write(path, audit)
