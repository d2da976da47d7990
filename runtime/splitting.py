"""A plan and its model → two folders, with what each side needs and no more."""

from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Literal

import msgspec
import torch
from torch import fx

from noise import collection
from noise.cut_network import CutNetwork
from planner.plan import Plan
from profiles import artifact
from runtime.folders import FACTS, HALF, NOISE, PLAN, HalfFacts
from runtime.serving import agreement_of, cloud_onnx, edge_onnx


@dataclass(frozen=True)
class SplitPlan:
    """What was written. edge_bytes, cloud_bytes: of all files of a folder. shared_weights: names of weights that both
    halves hold."""

    edge: Path
    cloud: Path
    edge_bytes: int
    cloud_bytes: int
    shared_weights: tuple[str, ...]


def split(plan: Plan, out: Path, *, noise: Path | None = None) -> SplitPlan:
    """Write `out/edge/` and `out/cloud/`, both or neither. noise: a file that is copied to the edge's folder alone.

    Raises ArtifactError (`out` holds something), NoiseError (noise for another plan), ModelError (no form as ONNX).
    """
    if noise is not None:
        _, facts = collection.read(noise)
        collection.require_match(facts, plan, origin=str(noise))
    with artifact.new_folder(out) as folder:
        cut = CutNetwork.of(plan)
        shared = shared_weights(cut.halves.edge, cut.halves.cloud)
        _write(folder / "edge", "edge", plan, cut, edge_onnx(plan, cut), shared)
        _write(folder / "cloud", "cloud", plan, cut, cloud_onnx(plan, cut), shared)
        if noise is not None:
            artifact.write_bytes(folder / "edge" / NOISE, artifact.read_bytes(noise, what="a noise file"))
    edge, cloud = out / "edge", out / "cloud"
    return SplitPlan(edge, cloud, _size(edge), _size(cloud), shared)


def shared_weights(edge: fx.GraphModule, cloud: fx.GraphModule) -> tuple[str, ...]:
    """Names of the tensors that both halves hold: by the same name, or tied under two."""
    here, there = _held(edge), _held(cloud)
    memory = {one.untyped_storage().data_ptr() for one in there.values() if one.numel()}
    tied = (name for name, one in here.items() if name in there or one.untyped_storage().data_ptr() in memory)
    return tuple(sorted(tied))


def _held(half: fx.GraphModule) -> dict[str, torch.Tensor]:
    names = {str(node.target) for node in half.graph.find_nodes(op="get_attr")}
    held = {name: attrgetter(name)(half) for name in names}
    return {name: one for name, one in held.items() if isinstance(one, torch.Tensor)}


def _write(
    folder: Path, side: Literal["edge", "cloud"], plan: Plan, cut: CutNetwork, half: bytes, shared: tuple[str, ...]
) -> None:
    facts = HalfFacts(
        side=side,
        # Where the model was loaded from is nothing to a side that does not have it.
        model=msgspec.structs.replace(plan.model, source=None),
        cut=plan.cut.name,
        agreed=agreement_of(plan, cut),
        inputs=cut.inputs if side == "edge" else (),
        shared_weights=shared,
        threads=(plan.edge if side == "edge" else plan.cloud).threads,
        digest=artifact.digest(half),
    )
    artifact.write_bytes(folder / HALF, half)
    artifact.write(folder / PLAN, msgspec.structs.replace(plan, model=facts.model))
    artifact.write(folder / FACTS, facts)


def _size(folder: Path) -> int:
    return sum(one.stat().st_size for one in folder.iterdir())
