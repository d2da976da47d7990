"""plan profile."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from profiles import completion
from profiles.options import Json
from profiles.terminal import Row, Terminal, ms, size

if TYPE_CHECKING:
    from profiles.device import DeviceProfile


def profile(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            help="Zoo name, transformers:CLASS, package.module:function, or .pt2 file.",
            autocompletion=completion.models,
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="Where the profile is written.")] = None,
    engine: Annotated[
        str,
        typer.Option(
            help="torch, onnxruntime, or auto: the one that runs the whole network faster here.",
            autocompletion=completion.engines,
        ),
    ] = "auto",
    kit: Annotated[
        Path | None,
        typer.Option(help="Time nothing: write a folder that a board without this tool times itself with."),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads to use (default: all).")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Inputs in one inference.")] = 1,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    name: Annotated[str | None, typer.Option(help="The device's name (default: its processor's).")] = None,
    seconds: Annotated[
        float, typer.Option(min=0.1, help="About how long to measure; large networks take longer.")
    ] = 4.0,
    pause_ms: Annotated[
        float, typer.Option(min=0, help="Wait before every timed run, as for a network; 0 for a hot loop.")
    ] = 20.0,
    as_device: Annotated[
        str | None,
        typer.Option(
            "--as",
            help="A device that is not here, modelled: tx2-gpu, tx2-cpu, titan-xp or a .json of constants.",
            autocompletion=completion.devices,
        ),
    ] = None,
    predict: Annotated[
        Path | None, typer.Option(help="Do not run the model: take times from this predictor's file.")
    ] = None,
    json: Json = False,
) -> None:
    """Trace a model and time every node of it on this device.

    Run it on each of the two devices and bring the files together for `plan cut`.

    Example: plan profile lenet --threads 1 --out edge.json

    Example: plan profile lenet --as tx2-gpu --out edge.json

    Example: plan profile lenet --kit board/ (then run board/profile_here.py on the board)
    """
    from profiles import artifact
    from profiles.errors import PlanError
    from profiles.profiling import profile as measure

    terminal = Terminal(json=json)
    if kit is not None:
        _refuse_beside_kit(context)
        _write_kit(terminal, model, kit, batch=batch, pause_ms=pause_ms)
        return
    if out is None and not json:
        raise PlanError("plan profile: nowhere to put the profile; give --out FILE or --json")
    artifact.require_writable(out)
    if as_device is not None or predict is not None:
        _refuse_timing_options(context)
        _profile_modelled(terminal, model, out, as_device=as_device, predict=predict, batch=batch)
        return
    chosen: list[str] = []
    with terminal.progress(f"profiling {model}") as advance:
        made = measure(
            model,
            engine=engine,
            threads=threads,
            batch=batch,
            device=device,
            name=name,
            seconds=seconds,
            pause_ms=pause_ms,
            progress=advance,
            say=chosen.append,
        )
    remarks = [
        *chosen,
        f"whole network {ms(made.whole_ms)} ms measured, batch {made.batch}; node times add up to it, so that they "
        "fit halves that were timed",
        f"starting the second half of a cut network takes {ms(made.start_ms)} ms more",
    ]
    if (message := made.device.message) is not None:
        up_ms = message.request_sent_ms + message.request_received_ms
        down_ms = message.reply_sent_ms + message.reply_received_ms
        remarks.append(
            f"a request takes {ms(up_ms)} ms beside its bytes on the link, its reply {ms(down_ms)} ms: measured, "
            "between two processes here"
        )
    unknown = [node.id for node in made.nodes if node.flops is None and node.kind not in ("input", "output")]
    if unknown:
        remarks.insert(0, f"FLOPs unknown for {len(unknown)} nodes, not counted: {', '.join(unknown[:5])}")
    if made.check is not None:
        count = len(made.check.prefixes)
        remarks.append(
            f"{count} prefix{'es' * (count > 1)} timed for real: sums of nodes off by "
            f"{100 * made.check.median_relative_error:.1f} % (median), "
            f"{100 * made.check.largest_relative_error:.1f} % (largest)"
        )
    if made.doubt is not None:
        remarks.append(f"doubtful: {made.doubt}")
    _show_profile(terminal, made, out, remarks)


#: What only a measurement has a use for.
_TIMING_OPTIONS = ("engine", "threads", "device", "name", "seconds", "pause_ms")

#: What a kit is told when it is made; all else is its script's.
_KIT_OPTIONS = ("model", "kit", "batch", "pause_ms", "json")


def _refuse_beside_kit(context: typer.Context) -> None:
    from profiles.errors import PlanError

    given = [one for one in context.params if one not in _KIT_OPTIONS and _is_given(context, one)]
    if odd := [f"--{one.replace('_device', '').replace('_', '-')}" for one in given]:
        raise PlanError(
            f"--kit times nothing here, so {', '.join(odd)} cannot go with it; "
            "give such to profile_here.py on the board"
        )


def _write_kit(terminal: Terminal, model: str, folder: Path, *, batch: int, pause_ms: float) -> None:
    import msgspec

    from profiles.kit import require_new, write_kit
    from profiles.models import load_model
    from profiles.trace import trace

    require_new(folder)
    cuts = write_kit(trace(load_model(model), batch=batch), folder, pause_ms=pause_ms)
    whole = sum(one.stat().st_size for one in folder.iterdir())
    terminal.say(
        f"written: {folder}, {size(whole)}: {model} as ONNX, whole and at {len(cuts)} linear cuts; copy it to the "
        "board and run there: python3 profile_here.py"
    )
    terminal.document(msgspec.json.encode({"kit": str(folder), "cuts": cuts, "bytes": whole}))


def _refuse_timing_options(context: typer.Context) -> None:
    from profiles.errors import PlanError

    given = [one for one in context.params if _is_given(context, one)]
    if "as_device" in given and "predict" in given:
        raise PlanError("--as and --predict are two ways to model a device; give one of them")
    if useless := [f"--{one.replace('_', '-')}" for one in _TIMING_OPTIONS if one in given]:
        way = "--as" if "as_device" in given else "--predict"
        raise PlanError(f"{way} times nothing here, so {', '.join(useless)} cannot go with it; leave one of them out")


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _profile_modelled(
    terminal: Terminal, model: str, out: Path | None, *, as_device: str | None, predict: Path | None, batch: int
) -> None:
    from profiles import modelled

    if as_device is not None:
        made = modelled.profile_as(model, as_device, batch=batch)
    else:
        assert predict is not None
        made = modelled.profile_predicted(model, predict, batch=batch)
    whole = f"whole network {ms(made.profile.whole_ms)} ms modelled, batch {batch}: the sum of its nodes"
    _show_profile(terminal, made.profile, out, [whole, *made.remarks])


def _show_profile(terminal: Terminal, made: "DeviceProfile", out: Path | None, remarks: Sequence[str]) -> None:
    from profiles import artifact

    if out is not None:
        artifact.write(out, made)
    rows = [
        Row(
            (
                node.id,
                node.kind,
                "×".join(map(str, node.shape)),
                size(node.bytes),
                flops(node.flops) if node.kind != "input" else "",
                ms(node.time_ms),
            )
        )
        for node in made.nodes
        if node.kind != "output"
    ]
    terminal.table(
        ("node", "kind", "shape", "tensor", "FLOPs", "ms"),
        rows,
        title=f"{made.model.source or made.model.name} on {made.device.label}",
        left=3,
        tight=True,
    )
    for line in remarks:
        terminal.say(line)
    if out is not None:
        terminal.say(f"written: {out}")
    terminal.document(artifact.encode(made))


def flops(count: int | None) -> str:
    """FLOPs with a unit a person reads."""
    if count is None:
        return "?"
    for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return str(count)
