"""Cuts that were explored: noise learned at each, and what an adversary got of it (`plan.explored/1`).

    DIR/explored.json                    all of them, and what was left out
    DIR/edge.json, cloud.json, link.json what they were priced with
    DIR/1-conv3/plan.json                the plan at one of them
    DIR/1-conv3/noise.safetensors        its noise (of another kind than the default: noise-KIND.safetensors)
    DIR/1-conv3/audit.json               what attacks got of it (audit-KIND.json)

No torch here.
"""

from dataclasses import replace
from pathlib import Path

import msgspec

from planner.cost import CostModel
from planner.noise_cost import HIDDEN
from planner.plan import Cut, PlannedDevice, Predicted
from profiles import artifact
from profiles.artifact import Count, NonNegative
from profiles.device import DeviceProfile, ModelFacts
from profiles.errors import ArtifactError, CutError
from profiles.link import LinkProfile

FILE = "explored.json"

Interval = tuple[float, float]


class Attacked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What attacks got from one inference, the strongest of each sort; null: not tried. What these got: no bound.

    psnr_db, ssim: mean over reconstructed inputs. top1: percent of inputs named among `candidates`. attributes:
    private label → percent. clean_psnr_db, floor_psnr_db: the same attack without noise; the mean image of the class.
    """

    psnr_db: float | None = None
    ssim: float | None = None
    top1: float | None = None
    candidates: Count | None = None
    attributes: dict[str, float] = {}
    clean_psnr_db: float | None = None
    floor_psnr_db: float | None = None
    quick: bool = False
    seeds: Count = 1


class ExploredCut(Cut, frozen=True, kw_only=True, omit_defaults=True):
    """A cut with noise of one kind.

    predicted: with the explored devices and link. accuracy_loss_points, interval_points: of test inputs under sampled
    noise. bound_bits: proven, of I(x; a') (null: nothing is proven); mixture_bound_bits: a tighter one.
    linear, hidden: of a channel, the form of its map, which decides what it costs the edge.
    folder, noise_file, audit_file: relative to the record's. unbeaten: on the Pareto front (`dominance`).
    """

    predicted: Predicted
    noise: str
    linear: bool = False
    hidden: Count | None = None
    accuracy_loss_points: float | None
    interval_points: Interval | None = None
    test_inputs: Count = 0
    snr_inverse: NonNegative | None = None
    bound_bits: float | None = None
    bound_interval_bits: Interval | None = None
    bound_form: str | None = None
    mixture_bound_bits: float | None = None
    attacked: Attacked | None = None
    folder: str
    noise_file: str
    audit_file: str | None = None
    unbeaten: bool = False

    def cost(self, model: CostModel) -> CostModel:
        """The model with this cut's own noise."""
        return replace(model, noise=self.noise, linear=self.linear, hidden=self.hidden or HIDDEN)


class LeftOut(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A cut without noise of that kind, and why. asked: how noise was looked for (`noise.learning.asked_for`)."""

    name: str
    folder: str
    noise: str
    reason: str
    asked: str | None = None


class Explored(
    artifact.Artifact, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag="plan.explored/1"
):
    """What was explored of one network. complete: whether all that was asked for is there."""

    model: ModelFacts
    data: str
    budget_points: NonNegative
    edge: PlannedDevice
    cloud: PlannedDevice
    link: LinkProfile
    wire: str = "float32"
    cuts: tuple[ExploredCut, ...]
    left_out: tuple[LeftOut, ...] = ()
    complete: bool = True


def read(folder: Path) -> Explored:
    """The record of a folder, or of the file itself. Raises ArtifactError, naming file and field."""
    file = folder / FILE if folder.is_dir() else folder
    if folder.is_dir() and not file.is_file():
        below = sorted(one.parent.name for one in folder.glob(f"*/{FILE}"))
        hint = f"; take one of its folders: {', '.join(below)}" if below else "; make one with `plan explore`"
        raise ArtifactError(f"{folder}: no {FILE} in it{hint}")
    return artifact.read(file, Explored)


def write(folder: Path, explored: Explored) -> None:
    artifact.write(folder / FILE, explored)


def require_network(explored: Explored, profile: DeviceProfile, *, wire: str) -> None:
    """What was explored must be the profiles' network, with the same wire. Raises CutError with what differs."""
    again = "explore it with `plan explore`"
    if explored.model.architecture != profile.model.architecture:
        raise CutError(f"--explored: of {explored.model.name}, the profiles are of {profile.model.name}; {again}")
    weights = {explored.model.weights, profile.model.weights} - {None}
    if len(weights) > 1:
        raise CutError(f"--explored: of other weights of {explored.model.name} than the profiles; {again}")
    if explored.wire != wire:
        raise CutError(
            f"--wire {wire}: what was explored sends {explored.wire}, and its noise is for that; give --wire "
            f"{explored.wire} or explore anew"
        )
