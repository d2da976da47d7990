"""The file of learned noise (`plan.noise/1`): safetensors, its facts in the metadata. No torch, no pickle.

It is bound to architecture, weights, crossing tensors and wire, never to a plan file: a plan made anew with the same
cut takes the same noise.
"""

import json
from pathlib import Path

import msgspec
from safetensors import SafetensorError, safe_open

from noise.archive import packed
from noise.mechanism import Mechanism
from noise.tensors import KINDS, from_arrays, to_arrays
from planner.plan import Plan
from profiles import artifact, codec
from profiles.artifact import Count, NonNegative, Positive
from profiles.codec import Quantisation
from profiles.errors import ArtifactError, NoiseError

SCHEMA = "plan.noise/1"


class Crossing(msgspec.Struct, frozen=True):
    """A crossing tensor that the noise is for; shape without the batch."""

    node: str
    shape: tuple[Count, ...]


class Accuracy(msgspec.Struct, frozen=True):
    """Percent of n test inputs. loss_points: clean − noisy; interval_points: its paired 95 % interval (low, high)."""

    clean: float | None
    noisy: float
    loss_points: float | None
    interval_points: tuple[float, float] | None
    n: int


class BoundFacts(msgspec.Struct, frozen=True):
    """An upper bound on I(x; a') in bits, with the 95 % interval of its sampling error.

    form: `covariance` (proven for any distribution of that covariance), `held-out` (its mean over held-out inputs
    under a Gaussian fitted on training rows, where that is more) or `mixture` (one Gaussian a class). repeats: the
    same bound for so many inferences of one input with fresh noise each. rows: training and held-out rows it was
    computed from.
    """

    bits: float
    interval_bits: tuple[float, float]
    form: str
    rows: tuple[int, int]
    repeats: dict[str, float] = {}


class TradeOff(msgspec.Struct, frozen=True):
    """A point of the trade-off (Figure 7): points of accuracy lost on held-out data, and how strong the noise was
    there. bound_bits: the covariance bound of that noise, where its kind has one."""

    loss_points: float
    snr_inverse: NonNegative
    bound_bits: float | None = None


class NoiseFacts(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag=SCHEMA):
    """What the noise is for and how it was made. settings: what learning was told or found. bound, mixture_bound:
    null for `laplace`, whose support moves with the input. quantisation: for int8 alone, the levels of each float
    tensor that crosses. curve: the whole trade-off, where it was asked for."""

    kind: str
    architecture: str
    weights: str
    crossing: tuple[Crossing, ...]
    wire: str
    quantisation: dict[str, Quantisation] | None = None
    data: str
    budget_points: NonNegative
    accuracy: Accuracy
    snr_inverse: Positive
    bound: BoundFacts | None = None
    mixture_bound: BoundFacts | None = None
    settings: dict[str, float | int | str | None]
    curve: tuple[TradeOff, ...] = ()


def write(path: Path, noise: Mechanism, facts: NoiseFacts) -> None:
    """Write noise atomically; the same noise gives the same bytes."""
    fields = msgspec.to_builtins(facts)
    if facts.quantisation is None:
        del fields["quantisation"]
    if not facts.curve:
        del fields["curve"]
    artifact.write_bytes(path, packed(to_arrays(noise), fields))


def read(path: Path) -> tuple[Mechanism, NoiseFacts]:
    """Raises ArtifactError for a file that is no noise, is cut short or contradicts itself."""
    artifact.read_bytes(path, what=f"a {SCHEMA} file")
    try:
        with safe_open(path, framework="np") as archive:
            metadata = archive.metadata() or {}
            arrays = {key: archive.get_tensor(key) for key in archive.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ArtifactError(f"{path}: not a whole safetensors file ({error}); learn the noise anew") from error
    facts = _facts(path, metadata)
    try:
        return from_arrays(facts.kind, arrays, {one.node: one.shape for one in facts.crossing}), facts
    except (KeyError, ValueError) as error:
        raise ArtifactError(
            f"{path}: tensor {error} is missing or of the wrong form; learn the noise anew"
        ) from error


def read_noise(path: Path | str) -> tuple[Mechanism, NoiseFacts]:
    """Learned noise and what its file says of it, as `run` and `audit` take them. Raises ArtifactError as `read`."""
    return read(Path(path))


def read_facts(path: Path) -> NoiseFacts:
    """What a file says of its noise; the noise itself is not read. Raises ArtifactError as `read` does."""
    try:
        with safe_open(path, framework="np") as archive:
            return _facts(path, archive.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise ArtifactError(f"{path}: not a whole safetensors file ({error}); learn the noise anew") from error


def _facts(path: Path, metadata: dict[str, str]) -> NoiseFacts:
    if metadata.get("schema") != SCHEMA:
        raise ArtifactError(f"{path}: got schema {metadata.get('schema')!r} in its metadata, expected {SCHEMA!r}")
    plain = {"schema", "kind", "architecture", "weights", "wire", "data"}
    try:
        fields = {key: value if key in plain else json.loads(value) for key, value in metadata.items()}
        facts = msgspec.convert(fields, NoiseFacts)
    except (ValueError, msgspec.ValidationError) as error:
        raise ArtifactError(f"{path}: metadata: {error}; learn the noise anew") from error
    if facts.kind not in KINDS:
        raise ArtifactError(f"{path}: noise of kind {facts.kind!r}, expected one of {', '.join(KINDS)}")
    return facts


def require_match(facts: NoiseFacts, plan: Plan, *, origin: str) -> None:
    """The noise must be for this plan's network, weights, cut and wire. Raises NoiseError with what differs."""
    again = "learn noise for this plan with `plan learn`"
    named = {one.node for one in facts.crossing}
    # What needs no noise is known where the network is at hand (`CutNetwork.beside`), and checked there once more.
    planned = tuple(
        Crossing(one.node, one.row_shape(plan.settings.batch))
        for one in plan.cut.crossing
        if codec.is_float(one.dtype) and (one.node in named or not plan.settings.public_inputs)
    )
    if facts.architecture != plan.model.architecture:
        raise NoiseError(f"{origin}: learned for another network than {plan.model.name}; {again}")
    if plan.model.weights is not None and facts.weights != plan.model.weights:
        raise NoiseError(f"{origin}: learned for other weights of {plan.model.name}; {again}")
    if facts.crossing != planned:
        theirs = "+".join(one.node for one in facts.crossing)
        raise NoiseError(f"{origin}: learned for the cut at {theirs}, the plan cuts at {plan.cut.name}; {again}")
    if facts.wire != plan.settings.wire:
        raise NoiseError(f"{origin}: learned for wire {facts.wire}, the plan sends {plan.settings.wire}; {again}")
    quantised = [one.node for one in plan.cut.crossing if facts.wire == "int8" and codec.is_float(one.dtype)]
    if lacking := [node for node in quantised if node not in (facts.quantisation or {})]:
        raise NoiseError(f"{origin}: has no int8 scale for {lacking[0]}; learn the noise anew with `plan learn`")
