"""A folder of prepared cuts (`plan learn --breakpoints`): one network's plans for several links, each with its noise.

    DIR/plan.json                           the plan that they were made from
    DIR/1-relu3/plan.json                   the same plan at the cut that is best on the slowest links
    DIR/1-relu3/noise.safetensors           its noise; a server needs no noise and is given none
    DIR/2-pool1/...                         the next, towards faster links

No torch here.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from planner import plan as plans
from planner.plan import Plan
from profiles.errors import ArtifactError

PLAN, NOISE = "plan.json", "noise.safetensors"
#: What a folder of `plan split` has beside a plan, or was to have.
_HALF = ("half.json", "half.onnx")


@dataclass(frozen=True)
class PreparedPlan:
    """One cut's plan, and where its noise is, or would be."""

    plan: Plan
    noise: Path


@dataclass(frozen=True)
class PreparedCuts:
    """plan: that they were made from. cuts: by name, the plan's own among them, from slow links to fast ones."""

    plan: Plan
    cuts: dict[str, PreparedPlan]


def is_prepared(path: Path) -> bool:
    """Whether a folder of prepared cuts lies there, as far as its files' names tell."""
    return path.is_dir() and (path / PLAN).is_file() and not any((path / one).exists() for one in _HALF)


def place(folder: Path, number: int, cut: str) -> Path:
    """The folder of one cut, under a name that every file system takes."""
    safe = re.sub(r"[^A-Za-z0-9._+-]", "_", cut)
    return folder / f"{number}-{safe[:100]}"


def read(folder: Path) -> PreparedCuts:
    """Raises ArtifactError where it is no such folder, or its plans are not one network's cuts."""
    if not is_prepared(folder):
        raise ArtifactError(f"{folder}: no folder of prepared cuts; make one with `plan learn PLAN --breakpoints`")
    plan = plans.read(folder / PLAN)
    cuts: dict[str, PreparedPlan] = {}
    for file in sorted(folder.glob(f"*/{PLAN}"), key=_number):
        one = plans.read(file)
        if one.cut.name in cuts:
            raise ArtifactError(f"{file}: a second plan for the cut at {one.cut.name}; remove one of the two")
        _require_same_network(plan, one, origin=file)
        cuts[one.cut.name] = PreparedPlan(one, file.with_name(NOISE))
    if not cuts:
        raise ArtifactError(
            f"{folder}: one plan and no prepared cuts; give the plan's file, {folder / PLAN}, or the folder above"
        )
    if plan.cut.name not in cuts:
        raise ArtifactError(
            f"{folder}: {', '.join(cuts)} prepared, the plan's own cut at {plan.cut.name} is not; "
            "go on with `plan learn PLAN --breakpoints`"
        )
    return PreparedCuts(plan, cuts)


def _number(file: Path) -> tuple[int, str]:
    number, _, rest = file.parent.name.partition("-")
    return (int(number) if number.isascii() and number.isdigit() else 0, rest)


def _require_same_network(plan: Plan, one: Plan, *, origin: Path) -> None:
    for what, theirs, ours in (
        ("architecture", one.model.architecture, plan.model.architecture),
        ("weights", one.model.weights, plan.model.weights),
        ("wire", one.settings.wire, plan.settings.wire),
        ("batch", one.settings.batch, plan.settings.batch),
    ):
        if theirs != ours:
            raise ArtifactError(
                f"{origin}: {what} {theirs}, the other plans of the folder have {ours}; prepare the folder anew"
            )
