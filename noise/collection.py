"""The file of learned noise (`plan.noise/1`): safetensors, its facts in the metadata. No torch, no pickle.

It is bound to architecture, weights, crossing tensors and wire, never to a plan file: a plan made anew with the same
cut takes the same noise.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from noise.laplace import LaplaceNoise, OrderedLaplace
from noise.mechanism import Mechanism
from planner.plan import Plan
from profiles import artifact
from profiles.artifact import Count, NonNegative, Positive
from profiles.errors import ArtifactError, NoiseError

SCHEMA = "plan.noise/1"
#: Indices packed at a time: whole bytes, and little memory.
PACKED = 2**18


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


class NoiseFacts(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag=SCHEMA):
    """What the noise is for and how it was made. settings: what learning was told or found."""

    kind: str
    architecture: str
    weights: str
    crossing: tuple[Crossing, ...]
    wire: str
    data: str
    budget_points: NonNegative
    accuracy: Accuracy
    snr_inverse: Positive
    settings: dict[str, float | int | str | None]


def write(path: Path, noise: Mechanism, facts: NoiseFacts) -> int:
    """Write a collection atomically; its footprint in bytes as Table 3 counts it: the packed orders.

    Two numbers a distribution and the header come on top.
    """
    tensors: dict[str, NDArray[Any]] = {}
    assert isinstance(noise, LaplaceNoise)
    for node, one in noise.tensors.items():
        tensors[f"{node}.loc"] = one.loc
        tensors[f"{node}.scale"] = one.scale
        tensors[f"{node}.order"] = pack_order(one.order)
    fields = msgspec.to_builtins(facts)
    metadata = {key: value if isinstance(value, str) else json.dumps(value) for key, value in fields.items()}
    artifact.write_bytes(path, save(tensors, metadata=metadata))
    return sum(array.nbytes for name, array in tensors.items() if name.endswith(".order"))


def read(path: Path) -> tuple[LaplaceNoise, NoiseFacts]:
    """Raises ArtifactError for a file that is no noise collection, is cut short or contradicts itself."""
    artifact.read_bytes(path, what=f"a {SCHEMA} file")
    try:
        with safe_open(path, framework="np") as archive:
            metadata = archive.metadata() or {}
            arrays = {key: archive.get_tensor(key) for key in archive.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ArtifactError(f"{path}: not a whole safetensors file ({error}); learn the noise anew") from error
    facts = _facts(path, metadata)
    try:
        return LaplaceNoise({one.node: _distributions(arrays, one) for one in facts.crossing}), facts
    except (KeyError, ValueError) as error:
        raise ArtifactError(
            f"{path}: tensor {error} is missing or of the wrong form; learn the noise anew"
        ) from error


def _facts(path: Path, metadata: dict[str, str]) -> NoiseFacts:
    if metadata.get("schema") != SCHEMA:
        raise ArtifactError(f"{path}: got schema {metadata.get('schema')!r} in its metadata, expected {SCHEMA!r}")
    plain = {"schema", "kind", "architecture", "weights", "wire", "data"}
    try:
        fields = {key: value if key in plain else json.loads(value) for key, value in metadata.items()}
        facts = msgspec.convert(fields, NoiseFacts)
    except (ValueError, msgspec.ValidationError) as error:
        raise ArtifactError(f"{path}: metadata: {error}; learn the noise anew") from error
    if facts.kind != "laplace":
        raise ArtifactError(f"{path}: noise of kind {facts.kind!r}, expected laplace")
    return facts


def _distributions(arrays: dict[str, NDArray[Any]], tensor: Crossing) -> OrderedLaplace:
    loc, scale, packed = (arrays[f"{tensor.node}.{part}"] for part in ("loc", "scale", "order"))
    elements = int(np.prod(tensor.shape))
    if not len(loc):
        raise ValueError(f"{tensor.node}.loc")
    order = unpack_order(packed, distributions=len(loc), elements=elements)
    if loc.shape != scale.shape or not np.isfinite(loc).all() or not (np.isfinite(scale) & (scale > 0)).all():
        raise ValueError(f"{tensor.node}.scale")
    if (np.sort(order, axis=1) != np.arange(elements)).any():
        raise ValueError(f"{tensor.node}.order")
    return OrderedLaplace(loc, scale, order)


def index_bits(elements: int) -> int:
    """⌈log2 n⌉: bits an index takes."""
    return max(1, (elements - 1).bit_length())


def pack_order(order: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Indices [d, n] at ⌈log2 n⌉ bits each, most significant first: 20 of n = 120 take 2,100 bytes."""
    bits = index_bits(order.shape[1])
    shifts = np.arange(bits - 1, -1, -1)
    flat = order.reshape(-1, 1)
    parts = (flat[start : start + PACKED] >> shifts & 1 for start in range(0, len(flat), PACKED))
    return np.concatenate([np.packbits(part.astype(np.uint8).reshape(-1)) for part in parts])


def unpack_order(packed: NDArray[np.uint8], *, distributions: int, elements: int) -> NDArray[np.int64]:
    """The inverse of `pack_order`. Raises ValueError where the bytes are too few."""
    bits = index_bits(elements)
    total = distributions * elements * bits
    if packed.dtype != np.uint8 or packed.ndim != 1 or len(packed) != -(-total // 8):
        raise ValueError("order")
    weights = 1 << np.arange(bits - 1, -1, -1, dtype=np.int64)
    order = np.empty(distributions * elements, dtype=np.int64)
    for start in range(0, len(order), PACKED):
        count = min(PACKED, len(order) - start)
        first = start * bits // 8
        part = np.unpackbits(packed[first : first + PACKED * bits // 8], count=count * bits)
        order[start : start + count] = part.reshape(-1, bits).astype(np.int64) @ weights
    return order.reshape(distributions, elements)


def require_match(facts: NoiseFacts, plan: Plan, *, origin: str) -> None:
    """The noise must be for this plan's network, weights, cut and wire. Raises NoiseError with what differs."""
    again = "learn noise for this plan with `plan learn`"
    planned = tuple(Crossing(one.node, one.row_shape(plan.settings.batch)) for one in plan.cut.crossing)
    if facts.architecture != plan.model.architecture:
        raise NoiseError(f"{origin}: learned for another network than {plan.model.name}; {again}")
    if plan.model.weights is not None and facts.weights != plan.model.weights:
        raise NoiseError(f"{origin}: learned for other weights of {plan.model.name}; {again}")
    if facts.crossing != planned:
        theirs = "+".join(one.node for one in facts.crossing)
        raise NoiseError(f"{origin}: learned for the cut at {theirs}, the plan cuts at {plan.cut.name}; {again}")
    if facts.wire != plan.settings.wire:
        raise NoiseError(f"{origin}: learned for wire {facts.wire}, the plan sends {plan.settings.wire}; {again}")
