"""plan audit."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from noise.completion import datasets
from profiles.installing import extra
from profiles.options import Json
from profiles.terminal import Terminal

if TYPE_CHECKING:
    from noise.audit.record import Audit
    from noise.collection import NoiseFacts
    from noise.datasets.records import Dataset, Labels
    from noise.mechanism import Mechanism


def audit(
    plan: Annotated[Path, typer.Argument(help="The plan whose crossing tensors are attacked.")],
    data: Annotated[str, typer.Option(help="A data set by name, or module:function.", autocompletion=datasets)],
    noise: Annotated[
        list[Path] | None, typer.Option(help="Noise that `plan learn` wrote; again for another kind.")
    ] = None,
    private_labels: Annotated[
        list[str] | None,
        typer.Option(help="Attributes to attack: a name the data have, or module:function (default: all they have)."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="In minutes: fewer rows, weaker attacks.")] = False,
    seeds: Annotated[
        int | None, typer.Option(min=1, max=100, help="Attacks of each sort (default: 3; 2 with --quick).")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the first; makes the audit repeatable.")] = 0,
    out: Annotated[Path | None, typer.Option(help="The record (default: audit.json beside the plan).")] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="The page of pictures: .png, .svg or .pdf (default: beside the record).")
    ] = None,
    json: Json = False,
) -> None:
    """Attack what crosses: what an adversary gets who knows everything but the input.

    It knows the model, the cut, the noise and the data distribution. Clean tensors are the ceiling, the floors what
    the class alone gives. Several kinds of noise are brought to the accuracy loss of the first, so that they compare.
    An attack's figure says what this attack got; a stronger one may get more. Only what is called proven is.

    Killed, the same command goes on where it was.

    Example: plan audit plan.json --noise noise.safetensors --data mnist --quick

    Example: plan audit plan.json --noise laplace.safetensors --noise noise.safetensors --data mnist

    Example: plan audit plan.json --noise noise.safetensors --data elpv --private-labels module-type
    """
    from noise import auditing
    from noise.audit import record
    from noise.auditing import page
    from noise.auditing import pictures as picture_files
    from noise.datasets import catalog
    from planner import plan as plans
    from profiles import artifact

    place = out or plan.with_name("audit.json")
    artifact.require_writable(place)  # a folder has no suffix to change
    pictured = pictures or place.with_suffix(".png")
    page.require_format(pictured)
    # A device or a pipe has no place beside it.
    has_place = not place.exists() or place.is_file()
    kept = picture_files.beside(place) if has_place else None
    artifact.require_writable(place, pictured, kept, beside=[plan, *(noise or [])])
    terminal = Terminal(json=json)
    planned = plans.read(plan)
    noises = _noises(noise or [])
    cut = auditing.checked(planned, noises)
    dataset = catalog.load_dataset(data)
    if cut.beside:
        terminal.warn(
            f"sent as they are, without noise, and attacked by nothing here: {', '.join(cut.beside)} (integers, or "
            "what public inputs decide)"
        )
    private = _private(dataset, private_labels)
    for kind, (_, facts) in noises.items():
        if facts.data != dataset.name:
            terminal.warn(f"{kind} noise was learned on {facts.data}, and is audited on {dataset.name}")
    pictures_there = auditing.has_pictures(dataset)
    shown = page.installed() and pictures_there
    keep = place.with_name(f".{place.name}.auditing") if has_place else None
    with terminal.progress("auditing") as advance:
        found = auditing.audit(
            planned,
            noises,
            dataset,
            effort=auditing.with_seeds(auditing.QUICK if quick else auditing.FULL, seeds),
            seed=seed,
            private=private,
            keep=keep,
            progress=advance,
            pictures=pictured if shown else None,
            kept=kept,
            cut=cut,
        )
    record.write(place, found)
    if keep is not None:
        keep.unlink(missing_ok=True)
    show(terminal, found)
    if not page.installed():
        terminal.say(f"no page of pictures: matplotlib is not installed; {extra('plot')}")
    elif pictures is not None and not shown:
        terminal.warn(f"{pictures}: not written, the inputs are no pictures")
    written = [place, *([pictured] if shown else []), *([kept] if kept and kept.exists() and pictures_there else [])]
    terminal.say(f"written: {', '.join(map(str, written))}")
    terminal.document(artifact.encode(found))


def show(terminal: Terminal, found: "Audit") -> None:
    """The table, and what it does not say."""
    from noise.auditing.tables import effort_line, remarks_by_subject, table

    heads, rows = table(found)
    title = f"{found.model} cut at {found.cut}, {found.data}: what an adversary gets"
    terminal.table(heads, rows, title=title, tight=True, prose=True)
    terminal.say(effort_line(found))
    for remark, names in remarks_by_subject(found).items():
        terminal.say(f"{', '.join(names)}: {remark}")
    terminal.say(
        "attacked: what this attack got, a stronger one may get more; estimated: may be off either way; proven: "
        "holds whoever attacks, on average over this data distribution; the class remains visible"
    )


def _noises(files: list[Path]) -> "dict[str, tuple[Mechanism, NoiseFacts]]":
    """By kind. Raises NoiseError for two files of one kind."""
    from noise import collection
    from profiles.errors import NoiseError

    noises: dict[str, tuple[Mechanism, NoiseFacts]] = {}
    for file in files:
        found, facts = collection.read(file)
        if facts.kind in noises:
            raise NoiseError(f"{file}: a second file of {facts.kind} noise; give one a kind, or audit each by itself")
        noises[facts.kind] = found, facts
    return noises


def _private(data: "Dataset", names: list[str] | None) -> "dict[str, tuple[Labels, Labels]] | None":
    from noise.datasets.private_labels import private_labels

    return None if names is None else {name: private_labels(data, name) for name in names}
