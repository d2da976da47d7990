"""What the user names → what is served or run: a plan's file, a folder of one half, a folder of prepared cuts.

A half needs no torch. Prepared cuts need the plan's model.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from noise import prepared
from planner import plan as plans
from planner.plan import Plan
from profiles.errors import ArtifactError, PlanError
from runtime.folders import NOISE, cloud_side, edge_side
from runtime.sides import EdgeSide, require_cut

if TYPE_CHECKING:
    from runtime.cloud import ServedModel


def to_serve(path: Path, *, with_reference: bool, threads: int | None) -> "dict[str, ServedModel]":
    """Served models by name. threads: None for as planned. Raises what reading the one or the other raises."""
    if path.is_dir():
        if with_reference:
            raise PlanError(f"{path}: --with-reference needs the whole model; serve the plan's file with it")
        if prepared.is_prepared(path):
            return _prepared_to_serve(path, threads=threads)
        _, side = cloud_side(path, threads=threads)
        return {side.name: side.served()}
    plan = plans.read(path)
    require_cut(plan)
    from profiles.engine import set_threads
    from runtime.serving import served_models

    set_threads(threads or plan.cloud.threads)
    return served_models(plan, with_reference=with_reference, threads=threads)


def _prepared_to_serve(path: Path, *, threads: int | None) -> "dict[str, ServedModel]":
    found = prepared.read(path)
    require_cut(found.plan)
    from profiles.engine import set_threads
    from runtime.serving import prepared_models

    set_threads(threads or found.plan.cloud.threads)
    return prepared_models(found, threads=threads)


def to_run(path: Path, *, server: str | None, whole: bool = False) -> tuple[Plan, EdgeSide | None]:
    """The plan, and the edge side of a folder (None: it is to be made from the plan's model). whole: the run needs
    all of the network."""
    if path.is_dir():
        if prepared.is_prepared(path):
            raise PlanError(f"{path}: prepared cuts; run the plan that they are of, with --adapt {path}")
        if whole:
            raise PlanError(
                f"{path}: the edge's half alone, and --fallback edge needs the whole network; run the plan's file, "
                "where its model is"
            )
        if server is None:
            raise PlanError(
                f"{path}: the edge's half alone, with no cloud to start here; say where it is with --server"
            )
        return edge_side(path)
    plan = plans.read(path)
    require_cut(plan)
    return plan, None


def files_of(path: Path) -> list[Path]:
    """What is read there, and must not be written over."""
    return list(path.iterdir()) if path.is_dir() else [path]


def noise_for(path: Path, given: Path | None) -> Path:
    """The noise file: as given, else the folder's own. Raises ArtifactError where there is none."""
    if given is not None:
        return given
    if path.is_dir() and (path / NOISE).is_file():
        return path / NOISE
    raise ArtifactError(f"{path}: nothing is sent without noise; give --noise FILE, learned with `plan learn`")
