"""plan split, plan export: files that other machines and other servers run."""

from pathlib import Path
from typing import Annotated

import typer

from profiles.options import Json
from profiles.terminal import Terminal, size


def register(app: typer.Typer) -> None:
    app.command("split", rich_help_panel="Run")(split)
    app.command("export", rich_help_panel="Run")(export)


def split(
    plan: Annotated[Path, typer.Argument(help="The plan to split; its model must be at hand.")],
    out: Annotated[Path, typer.Option(help="Folder that gets edge/ and cloud/; new or empty.")],
    noise: Annotated[
        Path | None, typer.Option(help="Noise learned for the plan, copied to edge/ and nowhere else.")
    ] = None,
    json: Json = False,
) -> None:
    """Write each half into a folder of its own: what its side needs, and no more.

    The device then needs the extra `edge` of this tool, no torch and nothing of the model's source; the same
    goes for the server. The noise file is the edge's alone.

    Example: plan split plan.json --noise noise.safetensors --out halves

    Example: plan serve halves/cloud; plan run halves/edge --server http://server:8400 --data mnist
    """
    import msgspec

    from planner import plan as plans
    from runtime import splitting
    from runtime.sides import require_cut

    terminal = Terminal(json=json)
    planned = plans.read(plan)
    require_cut(planned)
    written = splitting.split(planned, out, noise=noise)
    terminal.say(f"for the device: {written.edge} ({size(written.edge_bytes)})")
    terminal.say(f"for the server: {written.cloud} ({size(written.cloud_bytes)})")
    if written.shared_weights:
        terminal.say(f"weights that both halves hold: {', '.join(written.shared_weights)}")
    if noise is None:
        terminal.say("the device needs the noise file as well; nothing is sent without (plan run --noise)")
    terminal.document(msgspec.json.encode(written, enc_hook=str))


def export(
    plan: Annotated[Path, typer.Argument(help="The plan whose cloud half is exported.")],
    triton: Annotated[Path, typer.Option(help="Model repository: gets MODEL/config.pbtxt and MODEL/1/model.onnx.")],
    noise: Annotated[
        Path | None, typer.Option(help="Noise file whose scales int8 is decoded with; for wire int8 alone.")
    ] = None,
    json: Json = False,
) -> None:
    """Write the cloud half for another server of the protocol: a Triton model repository.

    Example: plan export plan.json --triton repository
    """
    import msgspec

    from planner import plan as plans
    from runtime.sides import require_cut
    from runtime.triton import export as export_triton

    terminal = Terminal(json=json)
    planned = plans.read(plan)
    require_cut(planned)
    folder = export_triton(planned, triton, noise=noise)
    terminal.say(f"written: {folder}; serve it with tritonserver --model-repository={triton}")
    terminal.document(msgspec.json.encode({"model": planned.model.name, "folder": str(folder)}))
