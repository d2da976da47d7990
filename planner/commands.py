"""plan cut, plan show."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from planner import completion
from profiles.completion import links
from profiles.options import Json
from profiles.terminal import Terminal, ms, percent

if TYPE_CHECKING:
    from planner.plan import Candidate, Plan


def register(app: typer.Typer) -> None:
    app.command("cut", rich_help_panel="Plan")(cut)
    app.command("show", rich_help_panel="Plan")(show)


def _limit(text: str) -> Any:
    return typer.Option(help=text, rich_help_panel="Constraints")


def _promise(text: str) -> Any:
    return typer.Option(help=text, rich_help_panel="Promises")


def cut(
    edge: Annotated[Path, typer.Argument(help="Profile of the edge device.")],
    cloud: Annotated[Path, typer.Argument(help="Profile of the cloud.")],
    link: Annotated[str, typer.Option(help="A preset's name or a link file.", autocompletion=links)],
    out: Annotated[Path | None, typer.Option(help="Where the plan is written.")] = None,
    objective: Annotated[
        str, typer.Option(help="latency, energy, throughput or edge-compute.", autocompletion=completion.objectives)
    ] = "latency",
    at: Annotated[
        str | None, typer.Option(help="Your own cut: a candidate's name, a node, edge-only or cloud-only.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, max=100, help="Show this many best different cuts.")] = 1,
    pareto: Annotated[
        bool, typer.Option("--pareto", help="Mark cuts unbeaten in latency, upload bytes and edge compute alike.")
    ] = False,
    wire: Annotated[
        str, typer.Option(help="How floats are sent: float32, float16 or int8.", autocompletion=completion.wires)
    ] = "float32",
    noise: Annotated[
        str | None,
        typer.Option(
            help="Price this kind of noise on the edge: laplace, gaussian or channel.",
            autocompletion=completion.kinds,
        ),
    ] = None,
    max_edge_memory: Annotated[str | None, _limit("Of the edge half: bytes or 64MB.")] = None,
    max_upload: Annotated[str | None, _limit("Sent in one inference: bytes or 64kB.")] = None,
    deadline: Annotated[float | None, _limit("Latency, milliseconds.")] = None,
    max_crossing: Annotated[int | None, _limit("Tensors that cross.")] = None,
    min_depth: Annotated[int | None, _limit("Layers on the edge, at least.")] = None,
    pin_edge: Annotated[list[str] | None, _limit("A node that stays on the edge.")] = None,
    pin_cloud: Annotated[list[str] | None, _limit("A node that goes to the cloud.")] = None,
    forbid: Annotated[list[str] | None, _limit("A node whose tensor never crosses.")] = None,
    public_input: Annotated[list[str] | None, _limit("An input that may cross as it is.")] = None,
    explored: Annotated[
        Path | None, _promise("Choose among the cuts that `plan explore` left in this folder.")
    ] = None,
    max_bound_bits: Annotated[
        float | None, _promise("Of the proven bound on what an average input tells, bits.")
    ] = None,
    max_reconstruction_db: Annotated[
        float | None, _promise("Of what the explored attacks reconstructed, PSNR in dB.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture of the candidates: .svg, .png or .pdf.")] = None,
    json: Json = False,
) -> None:
    """Choose where to cut: the best by an objective over all legal cuts.

    Needs nothing but files, so it plans for devices that are not here. Options that name a node can be repeated.

    Example: plan cut edge.json cloud.json --link wifi --out plan.json

    Example: plan cut edge.json cloud.json --link lte --max-upload 20kB --min-depth 3 --top 5

    Example: plan cut edge.json cloud.json --link wifi --explored explored --max-bound-bits 6
    """
    from planner import explored as explorations
    from planner import explored_report, noise_cost, picture, planning, promised
    from planner.constraints import Constraints
    from planner.plan import Objective
    from planner.promises import Promise
    from profiles import artifact, device
    from profiles import link as links
    from profiles.errors import PlanError

    if noise is not None:
        noise_cost.require_kind(noise)
    chosen = next((one for one in get_args(Objective) if one == objective), None)
    if chosen is None:
        raise PlanError(f"--objective {objective}: expected one of {', '.join(get_args(Objective))}")
    if plot is not None:
        picture.require(plot)
    artifact.require_writable(out, plot, beside=[edge, cloud, Path(link)])
    promise = Promise(max_bound_bits, max_reconstruction_db)
    terminal = Terminal(json=json)
    profiles = device.read(edge), device.read(cloud)
    constraints = Constraints(
        max_edge_memory=size_bytes("--max-edge-memory", max_edge_memory),
        max_upload=size_bytes("--max-upload", max_upload),
        deadline=deadline,
        max_crossing=max_crossing,
        min_depth=min_depth,
        pin_edge=frozenset(pin_edge or ()),
        pin_cloud=frozenset(pin_cloud or ()),
        forbid=frozenset(forbid or ()),
        public_inputs=frozenset(public_input or ()),
    )
    asked: dict[str, Any] = {"objective": chosen, "at": at, "constraints": constraints, "top": top}
    asked |= {"wire": wire, "noise": noise}
    kept, found = None, None
    if explored is None:
        if promise != Promise():
            raise PlanError(f"{promise.options}: of which cuts? give --explored DIR, a folder of `plan explore`")
        made = planning.cut(*profiles, links.load(link), pareto=pareto, **asked)
    else:
        if pareto:
            raise PlanError("--pareto is of all cuts, --explored marks the front of its own; leave one out")
        found = explorations.read(explored)
        kept = promised.cut(*profiles, links.load(link), explored=found, promise=promise, **asked)
        made = kept.plan
    if out is not None:
        artifact.write(out, made)
    if plot is not None:
        picture.write(plot, made)
    report(terminal, made, out=out)
    if kept is not None and found is not None and explored is not None:
        explored_report.show_promised(terminal, kept, promise, explored, complete=found.complete)
    for doubt in filter(None, (one.doubt for one in profiles)):
        terminal.say(f"doubtful: {doubt}")
    for written in filter(None, (out, plot)):
        terminal.say(f"written: {written}")
    terminal.document(artifact.encode(made))


def show(
    plan: Annotated[Path, typer.Argument(help="The plan.")],
    profile: Annotated[
        Path | None, typer.Option(help="A profile the plan was made from: draws kinds and neighbours too.")
    ] = None,
    json: Json = False,
) -> None:
    """Show a plan: the graph around the cut as a tree, what crosses, what it costs.

    Example: plan show plan.json

    Example: plan show plan.json --profile edge.json
    """
    from planner import neighbourhood, tables
    from planner import plan as plans
    from profiles import artifact, device

    terminal = Terminal(json=json)
    planned = plans.read(plan)
    graph = None
    if profile is not None:
        graph = neighbourhood.require_profile_of(planned, device.read(profile), origin=str(profile))
    terminal.tree(neighbourhood.tree(planned, graph))
    terminal.say(f"link: {planned.link.label}")
    _prices(terminal, planned, [one for one in planned.candidates if tables.is_chosen(planned, one)])
    for line in tables.paragraphs(verdict(planned)):
        terminal.say(line)
    if graph is None:
        terminal.say("--profile FILE, one that the plan was made from, draws kinds and neighbours too")
    terminal.document(artifact.encode(planned))


def size_bytes(option: str, text: str | None) -> int | None:
    """`64MB`, `20kB`, `1.5MiB` or a plain number. Raises PlanError for anything else."""
    from profiles.errors import PlanError

    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKMG]?)(i?)B?", text.strip())
    if found is None:
        raise PlanError(f"{option} {text}: expected bytes, for example 20000, 20kB or 64MB")
    power = " kMG".index(found[2].replace("K", "k") or " ")
    return int(float(found[1]) * (1024 if found[3] else 1000) ** power)


def report(terminal: Terminal, plan: "Plan", *, out: Path | None) -> None:
    """Candidates with the chosen one marked, references, breakpoints, and what follows in words."""
    from planner import curve, tables
    from profiles.link import presets

    terminal.say(f"edge:  {plan.edge.label}")
    terminal.say(f"cloud: {plan.cloud.label}")
    terminal.say(f"link:  {plan.link.label}")
    shown = tables.worth_showing(plan)
    _prices(terminal, plan, shown)
    if len(shown) < len(plan.candidates):
        where = f"stand in {out}" if out is not None else "are printed with --json"
        terminal.say(f"{len(plan.candidates) - len(shown)} more candidates {where}")
    columns, rows = tables.breakpoints(plan)
    terminal.table(columns, rows, title="fastest cut by uplink bandwidth, the rest of the link held fixed", left=2)
    for line in curve.drawn(plan, {name: one.uplink_mbps for name, one in presets().items()}):
        terminal.say(line)
    for line in tables.paragraphs(verdict(plan)):
        terminal.say(line)


def _prices(terminal: Terminal, plan: "Plan", shown: "Sequence[Candidate]") -> None:
    from planner import tables

    columns, rows = tables.candidates(plan, shown)
    title = f"{tables.elided(plan.model.name, 30)}, predicted: latency in ms, energy of the edge in mJ"
    terminal.table(columns, rows, title=title, left=2, tight=True)


def verdict(plan: "Plan") -> list[str]:
    """What the figures mean, in words."""
    from planner.message_cost import NO_MESSAGE_COST, MessageCost
    from planner.tables import short

    total, cloud_only = plan.predicted.total_ms, plan.references.cloud_only.total_ms
    edge_only = plan.references.edge_only.total_ms
    chosen = f"the best of all legal cuts by {plan.objective}" if plan.settings.at is None else "your own"
    if plan.settings.constraints and plan.settings.at is None:
        those = " of the explored cuts" if "explored" in plan.settings.constraints else ""
        chosen = f"the best by {plan.objective}{those} within the constraints"
    if plan.settings.at not in (None, plan.cut.name):
        chosen = f"your own: the smallest legal cut that has {plan.settings.at} on the edge"
    speed = f", {cloud_only / total:.2f}× the speed of cloud-only" if total else ""
    lines = [f"cut: {short(plan.cut.name)} ({chosen}){speed}"]
    message = MessageCost.between(plan.edge, plan.cloud)
    if plan.cut.crossing and message != NO_MESSAGE_COST:
        count = len(plan.cut.crossing)
        lines.append(
            f"uplink and downlink hold {ms(message.up_ms)} and {ms(message.down_ms)} ms of message handling, and "
            f"{message.up_bytes(count)} bytes of headers that `sends` does not show{_handled_by(plan)}"
        )
    if (share := plan.settings.noise_share) is not None:
        lines.append(f"{plan.settings.noise} noise takes {percent(share)} of the edge half's FLOPs on top")
    if (gap := plan.settings.gap) is not None:
        lines.append(f"proved optimal (gap {gap:.2g})" if gap <= 1e-9 else f"not proved optimal (gap {gap:.2g})")
    if plan.settings.top:
        count, first = len(plan.settings.top), ", ".join(map(short, plan.settings.top))
        lines.append(f"best first: {first}" if len(first) < 200 else f"1 to {count}: the best cuts, best first")
    if plan.settings.pareto:
        whole = "" if plan.settings.pareto.complete else " (not all of them: the search was stopped)"
        lines.append(f"* unbeaten in latency, upload bytes and edge compute alike{whole}")
    if plan.objective == "energy":
        lines += _less_energy(plan)
    if cloud_only < total and plan.cut.name != "cloud-only":
        lines.append(
            f"cloud-only would be as fast or faster ({ms(cloud_only)} ms), but sends the input itself: here the cut "
            "gains what the cloud does not see, not time"
        )
    if edge_only < total and plan.cut.name != "edge-only":
        lines.append(
            f"edge-only would be faster: {ms(edge_only)} ms against {ms(total)} ms, and sends nothing; "
            "cut for what the edge cannot hold, or take it with --at edge-only"
        )
    return lines


def _handled_by(plan: "Plan") -> str:
    """Whose measurement stands for both sides, where one has none."""
    sides = [name for name, side in (("edge", plan.edge), ("cloud", plan.cloud)) if side.message is not None]
    return f" (as measured on the {sides[0]}, for both)" if len(sides) == 1 else " (measured)"


def _less_energy(plan: "Plan") -> list[str]:
    """The references that take less energy of the edge than the cut that was chosen for it."""
    here, references = plan.predicted.energy_mj, plan.references
    found = []
    for name, price in (("cloud-only", references.cloud_only), ("edge-only", references.edge_only)):
        if here is not None and price.energy_mj is not None and price.energy_mj < here and plan.cut.name != name:
            found.append(f"{name} would take less energy of the edge: {price.energy_mj:.3g} mJ against {here:.3g} mJ")
    return found
