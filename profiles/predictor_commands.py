"""plan predictor fit, plan predictor measure."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from profiles.options import Json
from profiles.terminal import Row, Terminal

if TYPE_CHECKING:
    from profiles.predictor import KindModel, Predictor, Scores


predictor_app = typer.Typer(no_args_is_help=True, help="Predict the latency of layers that were never run.")


@predictor_app.command("fit")
def fit(
    layers: Annotated[Path, typer.Argument(help="CSV of timed layers.")],
    out: Annotated[Path | None, typer.Option(help="Where the predictor is written.")] = None,
    features: Annotated[
        str | None, typer.Option(help="Further numeric columns to learn from, joined by commas.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Chooses the tenth held out.")] = 0,
    json: Json = False,
) -> None:
    """Learn latency by kind of layer, and tell the error on a tenth held out.

    Columns: kind,flops,input_bytes,output_bytes,parameter_bytes,latency_ms; kind is any word. Further columns count
    where --features names them. Two models a kind: linear, as Neurosurgeon had it, and boosted trees.

    Example: plan predictor fit layers.csv --features kernel,stride,groups --out predictor.json
    """
    import msgspec

    from profiles import artifact, predictor, regression
    from profiles.errors import PlanError
    from profiles.layer_table import read_table

    terminal = Terminal(json=json)
    if out is None and not json:
        raise PlanError("plan predictor fit: nowhere to put the predictor; give --out FILE or --json")
    artifact.require_writable(out, beside=[layers])
    further = [name.strip() for name in (features or "").split(",") if name.strip()]
    table = read_table(layers, further_features=further)
    with terminal.progress("fitting") as advance:
        made = regression.fit(table, seed=seed, progress=advance)
    if out is not None:
        predictor.write(out, made.predictor)
    terminal.table(
        ("kind", "layers", "model", "R²", "median error %", "within ±10 %"),
        [row for kind, model in made.predictor.kinds.items() for row in _rows(kind, model)],
        title=f"errors on the tenth held out, seed {seed}",
    )
    terminal.say("R² is of latency in milliseconds, not of its logarithm; bold: the model that predicts, chosen by")
    terminal.say("cross-validation on the other nine tenths")
    for line in made.remarks:
        terminal.say(line)
    if out is not None:
        terminal.say(f"written: {out}")
    terminal.document(msgspec.json.format(msgspec.json.encode(_document(made.predictor, made.remarks))))


def _rows(kind: str, model: "KindModel") -> list[Row]:
    cells = (kind, str(model.rows), "linear", *_cells(model.linear_scores))
    rows = [Row(cells, mark=model.better == "linear")]
    if model.boosted_scores is not None:
        rows.append(Row(("", "", "boosted", *_cells(model.boosted_scores)), mark=model.better == "boosted"))
    return rows


def _cells(scores: "Scores") -> tuple[str, str, str]:
    r2 = "?" if scores.r2 is None else f"{scores.r2:.3f}"
    return r2, f"{100 * scores.median_relative_error:.1f}", f"{100 * scores.within_10_percent:.0f} %"


def _document(predictor: "Predictor", remarks: tuple[str, ...]) -> dict[str, object]:
    kinds = {
        name: {
            "rows": model.rows,
            "held_out": model.held_out,
            "linear": model.linear_scores,
            "boosted": model.boosted_scores,
            "better": model.better,
        }
        for name, model in predictor.kinds.items()
    }
    return {"features": predictor.features, "seed": predictor.seed, "kinds": kinds, "remarks": remarks}


@predictor_app.command("measure")
def measure(
    out: Annotated[Path | None, typer.Option(help="Where the table (CSV) is written.")] = None,
    seconds: Annotated[float, typer.Option(min=1, help="About how long to measure.")] = 60.0,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads to use (default: all).")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws the layers.")] = 0,
    json: Json = False,
) -> None:
    """Time a designed spread of layers on this device, for `plan predictor fit`.

    The spread brackets real networks, from LeNet to VGG-16. The table is written whole, at the end.

    Example: plan predictor measure --seconds 90 --out layers.csv
    """
    from collections import Counter

    import msgspec

    from profiles import artifact, layer_bench
    from profiles.errors import PlanError

    terminal = Terminal(json=json)
    if out is None:
        raise PlanError("plan predictor measure: nowhere to put the table; give --out FILE")
    artifact.require_writable(out)
    with terminal.progress("timing layers, seconds") as advance:
        table = layer_bench.measure_layers(seconds=seconds, threads=threads, seed=seed, progress=advance)
    artifact.write_bytes(out, table)
    kinds = Counter(line.partition(",")[0] for line in table.decode().splitlines()[1:])
    rows = [Row((kind, str(count))) for kind, count in sorted(kinds.items())]
    terminal.table(("kind", "layers measured"), rows)
    terminal.say(f"written: {out}; now `plan predictor fit {out} --features kernel,stride,groups`")
    terminal.document(msgspec.json.encode({"path": str(out), "layers": dict(sorted(kinds.items()))}))
