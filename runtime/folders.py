"""A folder with one half of a cut (`plan split`), read without torch: `half.json`, `half.onnx`, `plan.json`.

Nothing of a folder is executed but what ONNX Runtime makes of `half.onnx`. What it says of itself is checked before
it is used: digest, tensors, and once the half's own answer.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from noise.network_inputs import NetworkInput
from planner import plan as plans
from planner.plan import Plan
from profiles import artifact, codec
from profiles.artifact import Count
from profiles.device import ModelFacts
from profiles.engine import Engine, OnnxEngine
from profiles.errors import ArtifactError, PlanError
from runtime.external_data import require_self_contained
from runtime.identity import identity_of
from runtime.sides import Agreement, CloudSide, EdgeSide, HalfTensor

Array = NDArray[Any]

FACTS, HALF, PLAN, NOISE = "half.json", "half.onnx", "plan.json", "noise.safetensors"
AGAIN = "write it anew with `plan split`"


class HalfFacts(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="plan.half/1"):
    """One half of a cut.

    inputs: of the network; of the edge's half alone. shared_weights: names of weights that both halves hold. threads:
    as it was planned. digest: of `half.onnx`.
    """

    side: Literal["edge", "cloud"]
    model: ModelFacts
    cut: str
    agreed: Agreement
    inputs: tuple[NetworkInput, ...] = ()
    shared_weights: tuple[str, ...] = ()
    threads: Count | None = None
    digest: str

    @property
    def takes(self) -> tuple[str, ...]:
        """Names of the tensors that the half takes, in order."""
        if self.side == "edge":
            return tuple(one.node for one in self.inputs)
        return tuple(one.node for one in self.agreed.crossing)

    @property
    def returns(self) -> tuple[HalfTensor, ...]:
        """The tensors that the half returns, in order."""
        known = {one.node: one for one in (*self.agreed.crossing, *self.agreed.outputs)}
        return tuple(known[name] for name in (self.agreed.from_edge if self.side == "edge" else self.agreed.on_cloud))


def edge_side(folder: Path) -> tuple[Plan, EdgeSide]:
    """Raises ArtifactError where the folder holds no edge half, or one that is not whole; ProfileError where ONNX
    Runtime is missing."""
    facts, plan, engine = _read(folder, "edge")
    random = np.random.default_rng(0)
    example = tuple(one.made_up(facts.agreed.batch, random) for one in facts.inputs)
    _require_works(engine, facts, example, origin=folder / HALF)
    return plan, EdgeSide(facts.agreed, engine, facts.inputs, example, identity_of(plan))


def cloud_side(folder: Path, *, threads: int | None = None) -> tuple[Plan, CloudSide]:
    """threads: None for as planned. Raises as `edge_side`."""
    facts, plan, engine = _read(folder, "cloud", threads=threads)
    example = [np.zeros(one.shape, one.dtype) for one in facts.agreed.crossing]
    _require_works(engine, facts, example, origin=folder / HALF)
    return plan, CloudSide(facts.agreed, engine, facts.model.name, identity_of(plan))


def _read(
    folder: Path, side: Literal["edge", "cloud"], *, threads: int | None = None
) -> tuple[HalfFacts, Plan, OnnxEngine]:
    if not (folder / FACTS).exists() and (folder / side / FACTS).exists():
        raise ArtifactError(f"{folder}: holds both halves, expected one; give {folder / side}")
    facts = artifact.read(folder / FACTS, HalfFacts)
    if facts.side != side:
        raise ArtifactError(f"{folder}: the {facts.side}'s half, expected the {side}'s; give the folder {side}/")
    plan = plans.read(folder / PLAN)
    _require_consistent(facts, plan, origin=str(folder / FACTS))
    data = artifact.read_bytes(folder / HALF, what=f"the {side}'s half")
    if (found := artifact.digest(data)) != facts.digest:
        raise ArtifactError(f"{folder / HALF}: {found[:19]}…, {FACTS} says {facts.digest[:19]}…; {AGAIN}")
    require_self_contained(data, origin=str(folder / HALF))
    try:
        engine = OnnxEngine(data, threads=threads or facts.threads)
    except PlanError as error:
        raise type(error)(f"{folder / HALF}: {error}") from error
    expected = (facts.takes, tuple(one.node for one in facts.returns))
    if (engine.inputs, engine.outputs) != expected:
        raise ArtifactError(
            f"{folder / HALF}: {', '.join(engine.inputs)} → {', '.join(engine.outputs)}, {FACTS} says "
            f"{', '.join(expected[0])} → {', '.join(expected[1])}; {AGAIN}"
        )
    return facts, plan, engine


def _require_consistent(facts: HalfFacts, plan: Plan, *, origin: str) -> None:
    """The manifest by itself, and beside the plan."""
    agreed = facts.agreed
    named = {one.node for one in agreed.outputs}
    if not set(agreed.on_cloud) <= named or not set(agreed.beside) <= {one.node for one in agreed.crossing}:
        raise ArtifactError(f"{origin}: agreed.on_cloud or agreed.beside names a tensor that is not there; {AGAIN}")
    if facts.side == "edge" and not facts.inputs:
        raise ArtifactError(f"{origin}: no inputs, expected those of the network; {AGAIN}")
    tensors: list[HalfTensor | NetworkInput] = [*agreed.crossing, *agreed.outputs, *facts.inputs]
    for one in tensors:
        if one.dtype not in codec.DATATYPES:
            raise ArtifactError(
                f"{origin}: {one.node} is {one.dtype[:40]}, expected one of {', '.join(codec.DATATYPES)}"
            )
    if (facts.model.architecture, facts.model.weights) != (plan.model.architecture, plan.model.weights):
        raise ArtifactError(f"{origin}: of another model than {PLAN} beside it; {AGAIN}")
    agreed.require_planned(plan, origin=origin)


def _require_works(engine: Engine, facts: HalfFacts, example: Sequence[Array], *, origin: Path) -> None:
    """Run the half once: it must take what it is to be given, and return what is expected of it."""
    try:
        answers = engine.run(example)
    except Exception as error:  # ONNX Runtime's own classes derive from Exception alone
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ArtifactError(
            f"{origin}: does not run on what {FACTS} says it takes ({first[:160]}); {AGAIN}"
        ) from error
    for one, answer in zip(facts.returns, answers, strict=True):
        if (objection := one.contract(any_rows=False).objection(answer)) is not None:
            raise ArtifactError(f"{origin}: returned {objection}; {AGAIN}")
