"""A measured run that follows the link: single inferences of a test set, at whichever prepared cut is best by then.

As `trial`, but that nothing is batched, so accuracy is of the inferences that were timed, and that cloud-only, of
which one would have to know the link at each moment, is not measured.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from noise import collection
from noise.accuracy import compare
from noise.collection import Accuracy, NoiseFacts
from noise.datasets.records import Dataset
from noise.keyed import DrawKey
from noise.mechanism import Mechanism
from noise.prepared import PreparedCuts
from planner.cost import on_link
from planner.plan import Plan
from profiles import artifact
from profiles.errors import NoiseError
from profiles.link import LinkProfile
from runtime.adaptation import AdaptiveEdge, PreparedHalf
from runtime.connecting import connect
from runtime.edge import Inference
from runtime.parts import measured_parts
from runtime.reach import HERE, Reach
from runtime.record import RunRecord
from runtime.recording import Measured, recorded
from runtime.sides import EdgeSide, prepared_name
from runtime.trial import Progress, Watch

if TYPE_CHECKING:
    from runtime.whole import WholeNetwork

Array = NDArray[Any]


@dataclass(frozen=True)
class CutNoise:
    """One prepared cut's noise. digest: of its file."""

    noise: Mechanism
    facts: NoiseFacts
    digest: str

    @classmethod
    def read(cls, file: Path, plan: Plan) -> "CutNoise":
        """Raises ArtifactError, NoiseError where it is no noise for that plan."""
        noise, facts = collection.read(file)
        collection.require_match(facts, plan, origin=str(file))
        return cls(noise, facts, artifact.digest(file.read_bytes()))

    def key(self, secret: bytes | None) -> DrawKey | None:
        """Every cut's draws are their own, since the noise file's digest is in the key."""
        return None if secret is None else DrawKey(secret, self.digest)


def noises(prepared: PreparedCuts, plan: Plan, own: Path | None = None) -> dict[str, CutNoise]:
    """The noise of every prepared cut. own: the file for the plan's own cut, else the folder's.

    Raises NoiseError where the plan is not one of the folder's, ArtifactError where a noise file is missing.
    """
    if plan.cut.name not in prepared.cuts or plan.model.architecture != prepared.plan.model.architecture:
        raise NoiseError(
            f"--adapt: prepared for {prepared.plan.model.name} cut at {', '.join(prepared.cuts)}; the plan is "
            f"{plan.model.name} cut at {plan.cut.name}; prepare its own with `plan learn PLAN --breakpoints`"
        )
    if plan.settings.wire != prepared.plan.settings.wire or plan.settings.batch != prepared.plan.settings.batch:
        raise NoiseError("--adapt: prepared for another wire or batch than the plan's; prepare its own cuts")
    given = {plan.cut.name: own} if own is not None else {}
    return {name: CutNoise.read(given.get(name, one.noise), one.plan) for name, one in prepared.cuts.items()}


def wholes(prepared: PreparedCuts) -> "dict[str, WholeNetwork]":
    """Every cut's halves, of a network that is traced once. Raises as `WholeNetwork.of`."""
    from runtime import whole  # needs torch and the model

    made, network = dict[str, whole.WholeNetwork](), None
    for name, one in prepared.cuts.items():
        made[name] = whole.WholeNetwork.of(one.plan, network=network)
        network = made[name].cut.network
    return made


@contextmanager
def adaptive_edge(
    url: str,
    prepared: PreparedCuts,
    made: Mapping[str, EdgeSide],
    learned: Mapping[str, CutNoise],
    *,
    start: str,
    prior: LinkProfile,
    reach: Reach = HERE,
    secret: bytes | None = None,
) -> Iterator[AdaptiveEdge]:
    """Every cut with a connection of its own, warm. secret: draws are keyed by it and the input, else fresh.

    Raises PeerError where the server does not serve all cuts.
    """
    with ExitStack() as stack:
        halves = {}
        for name, side in made.items():
            plan, one = prepared.cuts[name].plan, learned[name]
            served = msgspec.structs.replace(plan.model, name=prepared_name(plan.model.name, name))
            named = msgspec.structs.replace(plan, model=served)
            client = stack.enter_context(connect(url, named, side, reach))
            half = side.half(one.noise, client, quantisation=one.facts.quantisation, key=one.key(secret), timing=True)
            halves[name] = PreparedHalf(plan, stack.enter_context(half), client)
        edge = AdaptiveEdge(halves, start=start, prior=prior)
        edge.warm_up(made[start].example)
        yield edge


def run(
    plan: Plan,
    prepared: PreparedCuts,
    folder: Path,
    learned: Mapping[str, CutNoise],
    data: Dataset,
    *,
    reach: Reach = HERE,
    secret: bytes | None = None,
    samples: int = 300,
    watch: Watch = lambda done: None,
    progress: Progress = lambda done, of: None,
) -> RunRecord:
    """As `trial.run`, beginning at the plan's cut. folder: the prepared one, for a local cloud."""
    made = wholes(prepared)
    sides = {name: one.edge for name, one in made.items()}
    start = plan.cut.name
    inputs = sides[start].fitting(data.test.inputs, origin=data.name)
    inputs = tuple(one[: samples * plan.settings.batch] for one in inputs)
    difference, clean = made[start].held_against(inputs)
    difference = max(difference, *(one.difference(inputs) for one in made.values()))
    used, classes, singles = reach.link_of(plan), list[Array](), list[Inference]()
    with ExitStack() as stack:
        url = stack.enter_context(reach.cloud(plan, prepared=folder))
        opened = adaptive_edge(
            url, prepared, sides, learned, start=start, prior=plan.link, reach=reach, secret=secret
        )
        edge = stack.enter_context(opened)
        for done, count in answered(edge, inputs, sides[start]):
            singles.append(done)
            classes.append(done.outputs[0].argmax(1)[:count])
            watch(done)
            progress(min(len(singles) * plan.settings.batch, len(clean)), len(clean))
        return _record(
            plan,
            learned[start].facts,
            singles,
            edge,
            compare(clean, np.concatenate(classes), data.test.labels[: len(clean)]),
            link=used,
            reach=reach,
            draw="fresh" if secret is None else "keyed",
            difference=difference,
        )


def answered(edge: AdaptiveEdge, inputs: Sequence[Array], side: EdgeSide) -> Iterator[tuple[Inference, int]]:
    """One inference of the planned batch after the other, in order, and how many of its rows count."""
    for part, count in side.batches(inputs, most=side.agreed.batch):
        yield edge.infer(part), count
        edge.settle()


def _record(
    plan: Plan,
    facts: NoiseFacts,
    singles: Sequence[Inference],
    edge: AdaptiveEdge,
    accuracy: Accuracy,
    *,
    link: LinkProfile,
    reach: Reach,
    draw: Literal["fresh", "keyed"],
    difference: float,
) -> RunRecord:
    predicted = on_link(plan.predicted, planned=plan.link, link=link, message=edge.message)
    parts = measured_parts(singles, predicted.uplink_ms, predicted.downlink_ms, one_clock=reach.local)
    record = recorded(
        plan,
        facts,
        Measured(singles, (), parts, None, None),
        predicted,
        link,
        accuracy,
        reach=reach,
        draw=draw,
        difference=difference,
        engines=(plan.edge.engine, edge.halves[edge.current].client.platform.removeprefix("plan_")),
        retries=sum(one.client.retries_made for one in edge.halves.values()),
        standby=None,
    )
    # A link that changes under several cuts has no one limit.
    return msgspec.structs.replace(record, limit_ms=None, adaptation=edge.record())
