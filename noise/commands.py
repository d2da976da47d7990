"""plan learn; plan data is in data_commands, plan models in model_commands."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from noise.data_commands import data_app
from noise.model_commands import models_app
from profiles.commands import Json
from profiles.terminal import Row, Terminal, size

if TYPE_CHECKING:
    from noise.learning import LearnResult


def register(app: typer.Typer) -> None:
    app.add_typer(data_app, name="data", rich_help_panel="Data")
    app.add_typer(models_app, name="models", rich_help_panel="Data")
    app.command("learn", rich_help_panel="Protect")(learn)


def learn(
    plan: Annotated[Path, typer.Argument(help="The plan whose crossing tensors get noise.")],
    data: Annotated[str, typer.Option(help="A data set's name, or package.module:function.")],
    out: Annotated[Path | None, typer.Option(help="Where the noise is written.")] = None,
    noise: Annotated[str, typer.Option(help="The kind of noise: laplace.")] = "laplace",
    budget: Annotated[float, typer.Option(help="Accuracy that may be lost, percentage points.")] = 1.5,
    count: Annotated[int, typer.Option(min=1, max=1000, help="Distributions to collect.")] = 20,
    seed: Annotated[int | None, typer.Option(min=0, help="Makes learning repeatable; never used to run.")] = None,
    alpha: Annotated[float, typer.Option(min=0, help="α of Equation 4.")] = 0.0001,
    steps: Annotated[int, typer.Option(min=1, help="Iterations for each noise tensor.")] = 300,
    json: Json = False,
) -> None:
    """Learn noise for the tensors that cross, as strong as the accuracy budget allows.

    laplace is the scheme of the Shredder paper: an estimate of what it hides, no proven bound.

    Example: plan learn plan.json --data mnist --noise laplace --budget 1.5 --out noise.safetensors
    """
    import msgspec

    from noise import collection, learning
    from noise.datasets import catalog
    from noise.laplace_learning import Schedule
    from planner import plan as plans
    from profiles import artifact
    from profiles.errors import PlanError

    if noise != "laplace":
        raise PlanError(f"--noise {noise}: expected laplace")
    if not 0 < budget < 100:
        raise PlanError(f"--budget {budget:g}: expected percentage points, more than 0 and less than 100")
    if out is None:
        raise PlanError("plan learn: nowhere to put the noise; give --out FILE")
    artifact.require_writable(out, beside=[plan])
    terminal = Terminal(json=json)
    planned = plans.read(plan)
    schedule = Schedule(alpha=alpha, steps=steps)
    with terminal.progress("learning noise") as advance:
        learned = learning.learn(
            planned,
            catalog.load_dataset(data),
            budget_points=budget,
            count=count,
            seed=seed,
            schedule=schedule,
            progress=advance,
        )
    footprint = collection.write(out, learned.noise, learned.facts)
    result = learning.LearnResult(
        kind=noise,
        budget_points=budget,
        accuracy=learned.facts.accuracy,
        snr_inverse=learned.facts.snr_inverse,
        bound_bits=None,
        mixture_bound_bits=None,
        distributions=learned.noise.distributions,
        elements=learned.noise.elements,
        epochs=learned.epochs,
        learnable_parameters=learned.noise.elements,
        footprint_bytes=footprint,
        seconds=learned.seconds,
    )
    show(terminal, result)
    terminal.say(f"written: {out}")
    terminal.document(msgspec.json.encode(result))


def show(terminal: Terminal, result: "LearnResult") -> None:
    """What was learned, and what the figures do not say."""
    from noise.accuracy import accuracy_rows

    found = result.accuracy
    rows = [
        Row(("distributions collected", f"{result.distributions} of {result.elements} elements")),
        *(Row(pair) for pair in accuracy_rows(found)),
        Row(("budget", f"{result.budget_points:g} points of held-out data")),
        Row(("1/SNR of sampled noise", f"{result.snr_inverse:.2f}")),
        Row(("epochs a tensor, parameters", f"{result.epochs:.2f}, {result.learnable_parameters}")),
        Row(("orders on disk", size(result.footprint_bytes))),
        Row(("time", f"{result.seconds:.1f} s")),
    ]
    terminal.table(("", ""), rows, title=f"{result.kind} noise, judged on {found.n} test inputs", left=2)
    if found.loss_points is not None and found.loss_points > result.budget_points:
        terminal.say(
            f"the loss on the test inputs is above the budget of {result.budget_points:g} points, which held on the "
            "data kept from training; for a safe margin learn again with a smaller --budget"
        )
    terminal.say(
        "1/SNR is a strength, not a privacy guarantee: an adversary who knows the collection can undo much of it"
    )
