"""plan explore."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from noise.completion import datasets
from planner import completion
from profiles.completion import links
from profiles.completion import models as names
from profiles.options import Json
from profiles.terminal import Advance, Terminal

if TYPE_CHECKING:
    from noise.exploring import Measured, Question
    from noise.exploring_cut import Outcome
    from planner.explored import Explored


def explore(
    models: Annotated[
        list[str],
        typer.Argument(help="Trained networks: zoo names or package.module:function.", autocompletion=names),
    ],
    data: Annotated[str, typer.Option(help="A data set by name, or module:function.", autocompletion=datasets)],
    budget: Annotated[float, typer.Option(help="Accuracy that may be lost at each cut, percentage points.")] = 1.5,
    cuts: Annotated[int, typer.Option(min=0, help="How many of the best legal cuts.")] = 5,
    deeper: Annotated[int, typer.Option(min=0, help="And how many beyond the deepest of these.")] = 0,
    at: Annotated[list[str] | None, typer.Option(help="A cut of your own too: its name or last node.")] = None,
    noise: Annotated[
        list[str] | None,
        typer.Option(
            help="The kind: channel, gaussian or laplace; again for another.", autocompletion=completion.kinds
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick/--full", help="Attacks of minutes, or until they stop improving.")
    ] = True,
    edge: Annotated[Path | None, typer.Option(help="Profile of the edge device (default: this machine's).")] = None,
    cloud: Annotated[Path | None, typer.Option(help="Profile of the cloud (default: this machine's).")] = None,
    link: Annotated[str, typer.Option(help="A preset's name or a link file.", autocompletion=links)] = "wifi",
    objective: Annotated[
        str,
        typer.Option(
            help="What the best cuts are best in: latency, energy, throughput or edge-compute.",
            autocompletion=completion.objectives,
        ),
    ] = "latency",
    wire: Annotated[
        str, typer.Option(help="How floats are sent: float32, float16 or int8.", autocompletion=completion.wires)
    ] = "float32",
    public_input: Annotated[list[str] | None, typer.Option(help="An input that may cross as it is.")] = None,
    confident: Annotated[
        bool, typer.Option("--confident", help="Keep the upper end of the loss's 95 % interval within the budget.")
    ] = False,
    steps: Annotated[int | None, typer.Option(min=1, help="Iterations of learning (default: by kind).")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Makes learning repeatable; never used to run.")] = None,
    out: Annotated[Path, typer.Option(help="The folder; with several networks, one each in it.")] = Path("explored"),
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes here (default: one a cut, up to the cores).")
    ] = None,
    on: Annotated[str | None, typer.Option(help="A Dask cluster instead: its scheduler, tcp://host:8786.")] = None,
    json: Json = False,
) -> None:
    """Learn noise at several cuts and attack each: what every cut costs and what it tells.

    Takes the best legal cuts, and the deeper ones that you allow; a deeper cut mostly tells less and computes more on
    the edge. `plan cut --explored` then chooses among them by what may be told at most.

    Killed, the same command goes on where it was; with more cuts or kinds it adds to the folder.

    --on gives the cuts to the workers of a Dask cluster of your own, which have this tool and the data, and see the
    folder at the same path. Dask runs whatever its clients send: keep its ports among machines that you trust.

    Example: plan explore lenet --data mnist --budget 1.5 --cuts 2 --deeper 1 --out explored

    Example: plan explore lenet --data mnist --edge edge.json --cloud cloud.json --link lte --cuts 1 --out lte
    """
    import msgspec

    from noise.auditing import FULL, QUICK
    from noise.exploring import Question
    from noise.preparing import Described, load_anew
    from planner.noise_cost import require_kind
    from planner.plan import Objective
    from profiles import artifact
    from profiles.errors import PlanError

    if not 0 < budget < 100:
        raise PlanError(f"--budget {budget:g}: expected percentage points, more than 0 and less than 100")
    wished = next((one for one in get_args(Objective) if one == objective), None)
    if wished is None:
        raise PlanError(f"--objective {objective}: expected one of {', '.join(get_args(Objective))}")
    if len(models) > 1 and (edge is not None or cloud is not None):
        raise PlanError("--edge and --cloud are of one network; leave them out, or explore one by one")
    if (edge is None) != (cloud is None):
        raise PlanError("--edge and --cloud: one alone says nothing of the other side; give both or neither")
    if cuts == 0 and not at:
        raise PlanError("--cuts 0: nothing to explore; name a cut with --at")
    kinds = tuple(dict.fromkeys(noise or ["channel"]))
    for kind in kinds:
        require_kind(kind)
    load_anew(data)  # what is wrong with the data is said at once
    terminal = Terminal(json=json)
    question = Question(
        Described(data, kinds[0], budget, confident, seed),
        kinds,
        count=cuts,
        deeper=deeper,
        at=tuple(at or ()),
        objective=wished,
        wire=wire,
        public_inputs=frozenset(public_input or ()),
        effort=QUICK if quick else FULL,
        steps=steps,
    )
    found = []
    for model in models:
        folder = out if len(models) == 1 else out / _safe(model)
        given = _measured(terminal, model, folder, edge, cloud, link)
        found.append(_explored(terminal, folder, given, question, on=on, jobs=jobs))
    terminal.document(artifact.encode(found[0]) if len(models) == 1 else msgspec.json.encode(found))


def _measured(
    terminal: Terminal, model: str, folder: Path, edge: Path | None, cloud: Path | None, link: str
) -> "Measured":
    """The given profiles, or this machine's for both sides: as the folder has them from before, or measured."""
    from noise.exploring import CLOUD, EDGE, Measured, require_unused
    from profiles import artifact, device
    from profiles import link as links
    from profiles.errors import PlanError
    from profiles.profiling import profile

    known = links.load(link)
    if edge is not None and cloud is not None:
        given = Measured(device.read(edge), device.read(cloud), known)
        if given.edge.model.source not in (None, model):
            raise PlanError(f"{edge}: a profile of {given.edge.model.source}, explored is {model}; give one of it")
        return given
    if (folder / EDGE).is_file() and (folder / CLOUD).is_file():
        given = Measured(device.read(folder / EDGE), device.read(folder / CLOUD), known)
        if given.edge.model.source not in (None, model):
            raise PlanError(
                f"{folder}: has profiles of {given.edge.model.source}, explored is {model}; choose a new folder with "
                "--out"
            )
        terminal.say(f"profiles: those of {folder}")
        return given
    require_unused(folder)
    with terminal.progress(f"profiling {model}") as advance:
        here = profile(model, progress=advance)
    for name in (EDGE, CLOUD):
        artifact.write(folder / name, here)
    terminal.say(f"profiles: {here.device.name} as the edge and as the cloud, measured")
    return Measured(here, here, known)


def _explored(
    terminal: Terminal, folder: Path, given: "Measured", question: "Question", *, on: str | None, jobs: int | None
) -> "Explored":
    from noise.exploring import explore as outcomes
    from planner import explored, explored_report, tables

    def watch(task: Any) -> AbstractContextManager[Advance]:
        return _watched(terminal, f"{task.folder.name}, {task.learning.kind} noise")

    terminal.say(f"exploring {given.edge.model.name} into {folder}; stopped, the same command goes on")
    for outcome, done, of in outcomes(folder, given, question, on=on, jobs=jobs, watch=watch):
        terminal.say(f"{done} of {of}: {_line(outcome)}")
    found = explored.read(folder)
    title = (
        f"{tables.elided(found.model.name, 20)} on {found.data}, {found.budget_points:g} points allowed, ms predicted"
    )
    explored_report.show(terminal, found.cuts, title=title)
    explored_report.show_left_out(terminal, found.left_out)
    explored_report.say_beyond(terminal, found)
    terminal.say(f"written: {folder / explored.FILE}; plan cut EDGE CLOUD --explored {folder} --max-bound-bits B")
    return found


def _line(outcome: "Outcome") -> str:
    from planner.explored import ExploredCut
    from planner.promises import reaches
    from planner.tables import short

    if isinstance(outcome, ExploredCut):
        return reaches(outcome)
    return f"{short(outcome.name)} with {outcome.noise} noise left out: {outcome.reason}"


@contextmanager
def _watched(terminal: Terminal, label: str) -> Iterator[Advance]:
    with terminal.progress(label) as advance:
        yield advance


def _safe(model: str) -> str:
    return "".join(one if one.isalnum() or one in "._-" else "_" for one in model)
