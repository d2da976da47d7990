"""plan learn; plan audit is in audit_commands, plan data is in data_commands, plan models in model_commands."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from noise.audit_commands import audit
from noise.completion import datasets, maps
from noise.data_commands import data_app
from noise.explore_commands import explore
from noise.model_commands import models_app
from planner.completion import kinds
from profiles.options import Json
from profiles.terminal import Row, Terminal, percent, size

if TYPE_CHECKING:
    from noise.collection import BoundFacts
    from noise.learned import LearnResult
    from noise.preparing import PreparedCut
    from noise.work import Watch


def register(app: typer.Typer) -> None:
    app.add_typer(data_app, name="data", rich_help_panel="Data")
    app.add_typer(models_app, name="models", rich_help_panel="Data")
    app.command("learn", rich_help_panel="Protect")(learn)
    app.command("explore", rich_help_panel="Protect")(explore)
    app.command("audit", rich_help_panel="Protect")(audit)


def learn(
    plan: Annotated[Path, typer.Argument(help="The plan whose crossing tensors get noise.")],
    data: Annotated[str, typer.Option(help="A data set by name, or module:function.", autocompletion=datasets)],
    out: Annotated[Path | None, typer.Option(help="Where the noise is written.")] = None,
    noise: Annotated[
        str, typer.Option(help="The kind: laplace, gaussian or channel.", autocompletion=kinds)
    ] = "channel",
    budget: Annotated[float, typer.Option(help="Accuracy that may be lost, percentage points.")] = 1.5,
    confident: Annotated[
        bool, typer.Option("--confident", help="Keep the upper end of the loss's 95 % interval within the budget.")
    ] = False,
    count: Annotated[int, typer.Option(min=1, max=1000, help="Distributions to collect (laplace).")] = 20,
    seed: Annotated[int | None, typer.Option(min=0, help="Makes learning repeatable; never used to run.")] = None,
    private_labels: Annotated[
        str | None, typer.Option(help="What the cloud shall not learn: a name the data have, or module:function.")
    ] = None,
    gamma: Annotated[float | None, typer.Option(min=0, help="Weight of hiding it (Equation 5).")] = None,
    equation: Annotated[str | None, typer.Option(help="What laplace minimises: 3, 4, 5 or 11.")] = None,
    alpha: Annotated[float | None, typer.Option(min=0, help="α of laplace (default: of Table 2).")] = None,
    map: Annotated[
        str,
        typer.Option(
            help="Of channel: bottleneck (a small perceptron), linear, or auto: the first that holds.",
            autocompletion=maps,
        ),
    ] = "auto",
    hidden: Annotated[int | None, typer.Option(min=1, max=4096, help="Units of the bottleneck's perceptron.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Iterations (default: by kind).")] = None,
    curve: Annotated[
        bool,
        typer.Option("--curve", help="The whole trade-off as well (Figure 7)."),
    ] = False,
    breakpoints: Annotated[
        bool, typer.Option("--breakpoints", help="For every cut at the plan's breakpoints; --out is a folder.")
    ] = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes for --breakpoints (default: one a cut, up to the cores).")
    ] = None,
    on: Annotated[
        str | None, typer.Option(help="A Dask scheduler that --breakpoints gives its cuts to: tcp://host:8786.")
    ] = None,
    log: Annotated[Path | None, typer.Option(help="A CSV of every iteration, to be plotted (Figure 5).")] = None,
    json: Json = False,
) -> None:
    """Learn noise for the tensors that cross, as strong as the accuracy budget allows.

    channel: a small map and Gaussian noise; gaussian: Gaussian noise alone; both with a proven bound on what an
    average input tells. laplace: the scheme of the Shredder paper, an estimate of what it hides, no bound.

    Killed, the same command goes on where it was.

    --breakpoints prepares all cuts that are best on some link of 0.5 to 200 Mbps, for `plan run --adapt`.

    Example: plan learn plan.json --data mnist --budget 1.5 --out noise.safetensors

    Example: plan learn plan.json --data mnist --breakpoints --out prepared

    Example: plan learn plan.json --data elpv --private-labels module-type --out noise.safetensors
    """
    import msgspec

    from noise import learning_options
    from noise.learning_log import LearningLog
    from noise.preparing import Described, learn_into, load_anew, prepare
    from planner import plan as plans
    from profiles import artifact
    from profiles.errors import PlanError

    if not 0 < budget < 100:
        raise PlanError(f"--budget {budget:g}: expected percentage points, more than 0 and less than 100")
    if out is None:
        raise PlanError("plan learn: nowhere to put the noise; give --out FILE")
    if gamma is not None and private_labels is None:
        raise PlanError("--gamma weighs the hiding of a private label; name it with --private-labels")
    if breakpoints and log is not None:
        raise PlanError("--log is of one cut's learning; leave it out with --breakpoints")
    if not breakpoints and (jobs is not None or on is not None):
        raise PlanError("--jobs and --on share out several cuts; give --breakpoints, or leave them out")
    options = learning_options.options_for(
        noise,
        count=count,
        gamma=gamma,
        equation=equation,
        alpha=alpha,
        steps=steps,
        curve=curve,
        map=map,
        hidden=hidden,
    )
    artifact.require_writable(None if breakpoints else out, log, beside=[plan])
    terminal = Terminal(json=json)
    planned = plans.read(plan)
    described = Described(data, noise, budget, confident, seed, private_labels, options)
    load_anew(data)
    wanted = described.wanted()  # what is wrong with the data is said at once, whoever learns
    if breakpoints:
        cuts = prepare(planned, described, out, watch=_watch(terminal), on=on, jobs=jobs)
        found = [_told(terminal, one) for one in cuts]
        terminal.say(f"prepared: {out}; plan run {plan} --adapt {out}")
        terminal.document(msgspec.json.encode(found))
        return
    written = LearningLog(log)
    with terminal.progress(f"learning {noise} noise") as advance:
        result = learn_into(out, planned, wanted, log=written, progress=advance)
    written.write()
    show(terminal, result)
    terminal.say(f"written: {out}" + (f", {log}" if log else ""))
    terminal.document(msgspec.json.encode(result))


def _watch(terminal: Terminal) -> "Watch":
    """A line of progress for every cut whose noise is learned."""
    from contextlib import contextmanager

    @contextmanager
    def watching(cut: str) -> "Iterator[Callable[[int, int], None]]":
        with terminal.progress(f"learning noise for {cut}") as advance:
            yield advance

    return watching


def _told(terminal: Terminal, one: "PreparedCut") -> "PreparedCut":
    if one.learned is not None:
        terminal.say(f"{one.cut}: {one.folder}")
        show(terminal, one.learned)
    elif one.left_out is not None:
        terminal.warn(f"{one.cut}: left out, {one.left_out}")
    else:
        terminal.say(f"{one.cut}: {one.folder}, there already")
    return one


def show(terminal: Terminal, result: "LearnResult") -> None:
    """What was learned, and what the figures do not say."""
    from noise.accuracy import accuracy_rows

    found = result.accuracy
    several = f"{result.distributions} distributions of " if result.distributions > 1 else ""
    rows = [
        Row(("noise for", f"{several}{result.elements} elements")),
        *(Row(pair) for pair in accuracy_rows(found)),
        Row(("budget", f"{result.budget_points:g} points of held-out data")),
        Row(("1/SNR of sampled noise", f"{result.snr_inverse:.2f}")),
        *_bound_rows(result),
        Row(("epochs, learnable parameters", f"{result.epochs:.2f}, {result.learnable_parameters}")),
        *_share_rows(result),
        Row(("on disk", size(result.footprint_bytes))),
        Row(("time", f"{result.seconds:.1f} s")),
    ]
    terminal.table(("", ""), rows, title=f"{result.kind} noise, judged on {found.n} test inputs", left=2)
    if result.curve:
        _show_curve(terminal, result)
    if result.left_alone:
        terminal.say(
            f"sent as they are, without noise and in no bound: {', '.join(result.left_alone)} (integers, or what "
            "public inputs alone decide)"
        )
    if found.loss_points is not None and found.loss_points > result.budget_points:
        terminal.say(
            f"the loss on the test inputs is above the budget of {result.budget_points:g} points, which held on the "
            "data kept from training; for a safe margin learn with --confident"
        )
    terminal.say(_caveat(result))


def _share_rows(result: "LearnResult") -> list[Row]:
    share = result.edge_flops_share
    return [] if share is None else [Row(("FLOPs on top of the edge half's", percent(share)))]


def _bound_rows(result: "LearnResult") -> list[Row]:
    rows = []
    for name, one in (("bound by covariance, bits", result.bound), ("bound by mixture, bits", result.mixture_bound)):
        if one is not None:
            low, high = one.interval_bits
            form = " (held-out form)" if one.form == "held-out" else ""
            rows.append(Row((f"{name}{form}", f"{one.bits:.2f}")))
            rows.append(Row(("  its 95 % interval", f"{low:.2f} to {high:.2f}")))
            rows.append(Row(("  of several queries of one input", _repeats(one))))
    return rows


def _repeats(bound: "BoundFacts") -> str:
    return ", ".join(f"{bits:.1f} of {count}" for count, bits in bound.repeats.items() if count != "1")


def _show_curve(terminal: Terminal, result: "LearnResult") -> None:
    rows = [
        Row((f"{one.loss_points:.2f}", f"{one.snr_inverse:.2f}", _dash(one.bound_bits)))
        for one in sorted(result.curve, key=lambda one: one.loss_points)
    ]
    terminal.table(("loss, points", "1/SNR", "bound, bits"), rows, title="the trade-off, on held-out data", left=0)


def _dash(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.2f}"


def _caveat(result: "LearnResult") -> str:
    if result.bound is None:
        return (
            "1/SNR is a strength, not a privacy guarantee: an adversary who knows the collection can undo much of it"
        )
    return (
        "the bounds hold on average over this data distribution, for one query an input where not said otherwise; "
        "they are not differential privacy, and the class remains visible"
    )
