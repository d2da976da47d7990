"""plan models: the networks that come with the tool, and training them."""

import typer

from profiles.commands import Json
from profiles.terminal import Row, Terminal

models_app = typer.Typer(invoke_without_command=True, help="The networks that come with the tool.")


@models_app.callback()
def models(context: typer.Context, json: Json = False) -> None:
    """The networks that come with the tool. Random weights are enough to plan; an accuracy of them means nothing.

    Example: plan models
    """
    if context.invoked_subcommand is not None:
        return
    import dataclasses

    import msgspec

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
    terminal.say("further: transformers:CLASS (extra [models], random weights), package.module:function, FILE.pt2")
    facts = [{**dataclasses.asdict(entry), "trained": entry.trained} for entry in ZOO.values()]
    terminal.document(msgspec.json.format(msgspec.json.encode(facts)))
