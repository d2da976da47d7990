"""plan models: the networks that come with the tool; plan models train."""

from pathlib import Path
from typing import Annotated

import typer

from noise.completion import trainable
from profiles.options import Json
from profiles.terminal import Row, Terminal

models_app = typer.Typer(invoke_without_command=True)


@models_app.callback()
def models(context: typer.Context, json: Json = False) -> None:
    """The networks that come with the tool. Random weights are enough to plan; an accuracy of them means nothing.

    Example: plan models
    """
    if context.invoked_subcommand is not None:
        return
    import dataclasses

    import msgspec

    from noise.recipes import RECIPES
    from profiles.zoo.catalog import ZOO

    terminal = Terminal(json=json)
    rows = [
        Row(
            (
                entry.name,
                entry.data,
                "×".join(map(str, entry.input_shape)),
                f"{entry.convolutions}/{entry.linears}",
                f"{entry.parameters / 1e6:.2f} M",
                "trained" if entry.trained else "random",
                f"{entry.paper_elements or ''}",
            )
        )
        for entry in ZOO.values()
    ]
    columns = ("name", "data", "input", "conv/FC", "params", "weights", "cut")
    terminal.table(columns, rows, left=3)
    terminal.say(
        "cut: elements that cross at the paper's; weights are trained on the data named, or random and seeded"
    )
    untrained = [name for name in RECIPES if not ZOO[name].trained]
    if untrained:
        terminal.say(f"to train one here, in minutes: plan models train NAME ({', '.join(untrained)})")
    terminal.say("further: transformers:CLASS (extra [models], random weights), package.module:function, FILE.pt2")
    facts = [{**dataclasses.asdict(entry), "trained": entry.trained} for entry in ZOO.values()]
    terminal.document(msgspec.json.format(msgspec.json.encode(facts)))


@models_app.command("train")
def train(
    name: Annotated[str, typer.Argument(help="The network, for example svhn.", autocompletion=trainable)],
    seed: Annotated[int, typer.Option(min=0, help="Draws the first weights and the order of the data.")] = 0,
    epochs: Annotated[int | None, typer.Option(min=1, help="Times through the data (default: the recipe's).")] = None,
    out: Annotated[Path | None, typer.Option(help="Where the weights go (default: the cache).")] = None,
    json: Json = False,
) -> None:
    """Train a network on its data, all but the last tenth, and keep its weights in the cache.

    Stopped at any moment, the same command goes on from its last whole epoch.

    Example: plan models train svhn
    """
    import msgspec

    from noise.zoo_training import train as train_entry

    terminal = Terminal(json=json)
    with terminal.progress(f"training {name}") as advance:
        result = train_entry(name, seed=seed, epochs=epochs, out=out, progress=advance)
    if result.resumed_epochs:
        terminal.say(f"went on from a checkpoint of {result.resumed_epochs} epochs")
    terminal.say(
        f"{name}: {result.test_percent:.2f} % of {result.test_inputs} test inputs, {result.holdout_percent:.2f} % of "
        f"the hold-out; {result.epochs} epochs, {result.seconds:.0f} s; {result.path}"
    )
    terminal.document(msgspec.json.encode(result))
