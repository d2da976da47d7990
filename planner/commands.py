"""plan cut."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from profiles.commands import Json
from profiles.terminal import Row, Terminal, ms, size

if TYPE_CHECKING:
    from planner.plan import Plan, Predicted


def register(app: typer.Typer) -> None:
    app.command("cut", rich_help_panel="Plan")(cut)


def cut(
    edge: Annotated[Path, typer.Argument(help="Profile of the edge device.")],
    cloud: Annotated[Path, typer.Argument(help="Profile of the cloud.")],
    link: Annotated[str, typer.Option(help="A preset's name or a link file.")],
    out: Annotated[Path | None, typer.Option(help="Where the plan is written.")] = None,
    at: Annotated[
        str | None, typer.Option(help="Your own cut: a candidate's name, a node, edge-only or cloud-only.")
    ] = None,
    public_input: Annotated[
        list[str] | None, typer.Option(help="An input that may cross as it is; repeat for several.")
    ] = None,
    noise: Annotated[str | None, typer.Option(help="Price this kind of noise on the edge: laplace.")] = None,
    json: Json = False,
) -> None:
    """Choose where to cut: the least latency over all legal cuts.

    Needs nothing but files, so it plans for devices that are not here.

    Example: plan cut edge.json cloud.json --link wifi --out plan.json
    """
    from planner import planning
    from profiles import artifact, device
    from profiles import link as links
    from profiles.errors import PlanError

    if noise not in (None, "laplace"):
        raise PlanError(f"--noise {noise}: expected laplace")
    terminal = Terminal(json=json)
    made = planning.cut(
        device.read(edge),
        device.read(cloud),
        links.load(link),
        at=at,
        public_inputs=frozenset(public_input or ()),
        noise=noise,
    )
    if out is not None:
        artifact.write(out, made)
    show(terminal, made)
    if out is not None:
        terminal.say(f"written: {out}")
    terminal.document(artifact.encode(made))


def show(terminal: Terminal, plan: "Plan") -> None:
    """Candidates with the chosen one marked, references, breakpoints, and what follows in words."""
    rows = [_row(one.name, one.predicted, chosen=one.name == plan.cut.name) for one in plan.candidates]
    rows.append(_row("cloud-only", plan.references.cloud_only, chosen=plan.cut.name == "cloud-only"))
    rows.append(_row("edge-only", plan.references.edge_only, chosen=plan.cut.name == "edge-only"))
    terminal.say(f"edge:  {plan.edge.label}")
    terminal.say(f"cloud: {plan.cloud.label}")
    terminal.say(f"link:  {plan.link.label}")
    columns = ("", "cut after", "sends", "edge", "noise", "uplink", "cloud", "downlink", "total ms")
    terminal.table(columns, rows, title=f"{plan.model.name}: predicted latency, ms", left=2)
    for segment in plan.breakpoints:
        low, high = segment.uplink_mbps_from, segment.uplink_mbps_to
        terminal.say(f"uplink {low:.4g} to {high:.4g} Mbps: best cut after {segment.cut}")
    for line in verdict(plan):
        terminal.say(line)


def verdict(plan: "Plan") -> list[str]:
    """What the figures mean, in words."""
    total, cloud_only = plan.predicted.total_ms, plan.references.cloud_only.total_ms
    edge_only = plan.references.edge_only.total_ms
    chosen = "the best" if plan.settings.at is None else "your own, not necessarily the best"
    lines = [
        f"cut: {plan.cut.name} ({chosen} of {plan.settings.legal_cuts} legal cuts), "
        f"{cloud_only / total:.2f}× the speed of cloud-only"
    ]
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


def _row(name: str, cost: "Predicted", *, chosen: bool) -> Row:
    parts = (cost.edge_ms, cost.noise_ms, cost.uplink_ms, cost.cloud_ms, cost.downlink_ms, cost.total_ms)
    return Row(("→" if chosen else "", name, size(cost.upload_bytes), *map(ms, parts)), mark=chosen)
