"""The user's own inputs, from a file to a file."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noise.collection import NoiseFacts
from noise.keyed import DrawKey
from noise.mechanism import Mechanism
from noise.network_inputs import NetworkInput, in_order
from planner.cost import on_link
from planner.message_cost import MessageCost
from planner.plan import Plan
from profiles import artifact
from profiles.errors import DataError, PeerError
from runtime.connecting import connect
from runtime.edge import EdgeHalf, Inference
from runtime.fallback import LocalAnswer, StandbyEdge
from runtime.pace import Pace
from runtime.reach import HERE, Reach
from runtime.sides import EdgeSide
from runtime.stream import Stream, Streaming
from runtime.trial import BATCH, Progress

Array = NDArray[Any]


@dataclass(frozen=True)
class Answered:
    """inputs: how many were answered. fallbacks, errors: as a `StandbyEdge` counts, calls of up to `BATCH` inputs."""

    inputs: int
    fallbacks: int = 0
    errors: int = 0


def run(
    plan: Plan,
    noise: Mechanism,
    facts: NoiseFacts,
    source: Path,
    target: Path,
    *,
    side: EdgeSide | None = None,
    reach: Reach = HERE,
    key: DrawKey | None = None,
    streaming: Streaming | None = None,
    fallback: bool = False,
    tell: Callable[[str], None] = lambda line: None,
    progress: Progress = lambda done, of: None,
) -> Answered:
    """Inputs from a file through the split network, the first output to an .npy; nothing is written where one fails.

    source: an .npy [n, ...]; of a network with several inputs an .npz with one such array for each, by its name.
    side: the edge's, of a split folder; without it the plan's model is loaded. reach: where the cloud is. key: draws
    are keyed, else fresh. streaming: inferences of the planned batch, many at once, as many as the plan predicts to
    keep the link busy; else large batches, one after the other. fallback: what the cloud does not answer the whole
    network on the edge does, and `tell` is told so; not with a side, nor streaming.
    Raises DataError: not arrays of the shapes and types the model takes. PeerError: the server does not answer.
    """
    whole = None
    if side is None:
        from runtime.serving import planned_edge, whole_engine  # needs torch and the model

        cut, side = planned_edge(plan)
        whole = whole_engine(plan, cut) if fallback else None
    inputs = load(source, side.inputs)
    with ExitStack() as stack:
        url = stack.enter_context(reach.cloud(plan))
        absent: list[PeerError] = []
        client = stack.enter_context(connect(url, plan, side, reach, absent=absent.append if whole else None))
        half = stack.enter_context(side.half(noise, client, quantisation=facts.quantisation, key=key))
        edge: EdgeHalf | StandbyEdge = half
        if whole is not None:
            edge = StandbyEdge(half, client, whole, absent=absent, tell=tell)
        done: Iterable[Inference | LocalAnswer]
        if streaming:
            used = reach.link_of(plan)
            message = MessageCost.between(plan.edge, plan.cloud)
            pace = Pace.predicted(on_link(plan.predicted, planned=plan.link, link=used, message=message), used)
            opened = stack.enter_context(
                Stream.paced(half, client, pace=pace, agreed=side.agreed, in_flight=streaming.in_flight)
            )
            done = opened.infer(part for part, _ in side.batches(inputs, most=side.agreed.batch))
        else:
            done = (edge.infer(part) for part, _ in side.batches(inputs, most=BATCH))
        answers = np.concatenate(list(_counted(done, len(inputs[0]), progress)))
    written = BytesIO()
    np.save(written, answers[: len(inputs[0])], allow_pickle=False)
    artifact.write_bytes(target, written.getvalue())
    if isinstance(edge, StandbyEdge):
        return Answered(len(inputs[0]), edge.fallbacks, edge.errors)
    return Answered(len(inputs[0]))


def _counted(done: Iterable[Inference | LocalAnswer], total: int, progress: Progress) -> Iterator[Array]:
    """The first outputs as they come, in order."""
    answered = 0
    for one in done:
        answered = min(total, answered + len(one.outputs[0]))
        progress(answered, total)
        yield one.outputs[0]


def load(path: Path, takes: Sequence[NetworkInput]) -> tuple[Array, ...]:
    """An array for each input, in the graph's order."""
    found = _arrays(path)
    columns = in_order(takes, found, origin=str(path))
    for one, values in zip(takes, columns, strict=True):
        origin = f"{path}: {one.name}" if isinstance(found, dict) else str(path)
        _require_fit(values, one.shape, one.dtype, origin=origin)
    counts = [len(one) for one in columns]
    if len(set(counts)) > 1:
        each = ", ".join(f"{count} of {one.name}" for count, one in zip(counts, takes, strict=True))
        raise DataError(f"{path}: {each}, expected as many of each")
    return columns


def _arrays(path: Path) -> Array | dict[str, Array]:
    data = artifact.read_bytes(path, what="a file of inputs, .npy or .npz")
    try:
        found = np.load(BytesIO(data), allow_pickle=False)
        if isinstance(found, np.lib.npyio.NpzFile):
            return {name: np.asarray(found[name]) for name in found.files}
    except Exception as error:  # a header can ask for anything: memory, names, an endless number
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{path}: not an .npy file, nor .npz ({reason[:200]}); save it with numpy.save or savez"
        ) from error
    return np.asarray(found)


def _require_fit(found: Array, shape: tuple[int, ...], dtype: str, *, origin: str) -> None:
    if found.shape[1:] != shape or found.ndim != len(shape) + 1 or not len(found):
        takes = ", ".join(map(str, ("n", *shape)))
        raise DataError(f"{origin}: shape {list(found.shape)}, the model takes [{takes}]")
    if str(found.dtype) != dtype:
        raise DataError(f"{origin}: {found.dtype}, the model takes {dtype}; convert it with .astype('{dtype}')")
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        raise DataError(f"{origin}: holds NaN or infinity, expected finite numbers")
