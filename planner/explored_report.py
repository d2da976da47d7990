"""What people see of explored cuts."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from planner import explored_tables, tables
from planner.dominance import unbeaten_cuts
from planner.promises import reaches
from profiles.terminal import Terminal

if TYPE_CHECKING:
    from planner.explored import Explored, ExploredCut, LeftOut
    from planner.promised import Promised
    from planner.promises import Promise


def show(
    terminal: Terminal, rows: "Iterable[ExploredCut]", *, title: str, chosen: "ExploredCut | None" = None
) -> None:
    """The table of explored cuts at the prices they have; → the chosen one, * those that none of them beats."""
    cuts = tuple(rows)
    marks = [
        f"{'→' if chosen is not None and _same(one, chosen) else ''}{'*' if front else ''}"
        for one, front in zip(cuts, unbeaten_cuts(cuts), strict=True)
    ]
    columns, made = explored_tables.cuts(cuts, marks=marks)
    terminal.table(columns, made, title=title, left=2, tight=True)
    _say(terminal, explored_tables.CAPTION)
    _say(terminal, "* no other of these beats it in latency, loss, bytes, edge compute, bound and attacks alike")


def show_left_out(terminal: Terminal, left_out: "Iterable[LeftOut]") -> None:
    for one in left_out:
        terminal.warn(f"left out: {tables.short(one.name)} with {one.noise} noise, {one.reason}")


def say_beyond(terminal: Terminal, found: "Explored") -> None:
    """Where the loss on the test inputs is above the budget."""
    losses = [(one.accuracy_loss_points or 0.0, one.name) for one in found.cuts]
    beyond = [tables.short(name) for loss, name in losses if loss > found.budget_points]
    if beyond:
        names = ", ".join(dict.fromkeys(beyond))
        _say(
            terminal,
            f"{names}: the loss on the test inputs is above {found.budget_points:g} points, "
            "which held on the data kept from training; for a safe margin explore with --confident",
        )


def show_promised(
    terminal: Terminal, found: "Promised", promise: "Promise", folder: Path, *, complete: bool = True
) -> None:
    """The explored cuts at the prices here, what the chosen one keeps, and where its noise lies. complete: whether
    all that was asked of the exploration is there."""
    from planner.promised import repriced

    chosen = found.chosen
    show(terminal, repriced(found.rows), title="explored, priced for these devices and this link", chosen=chosen)
    kept = f", which keeps {promise.options}" if promise.options else ""
    _say(terminal, f"{reaches(chosen)}{kept}")
    if not complete:
        terminal.warn("the exploration is not complete; cuts that it has not reached may be better")
    if promise.max_reconstruction_db is not None:
        how = "quick attacks" if chosen.attacked is not None and chosen.attacked.quick else "attacks"
        _say(terminal, f"the reconstruction is what {how} got when this was explored; it bounds no other attack")
    strengths = {one.explored.attacked.quick for one in found.rows if one.explored.attacked is not None}
    if promise.max_reconstruction_db is not None and len(strengths) > 1:
        terminal.warn("some cuts were attacked quickly, others in full; a weaker attack keeps a promise more easily")
    at = folder if folder.is_dir() else folder.parent
    terminal.say(f"noise: {at / chosen.folder / chosen.noise_file}; plan run PLAN --noise takes it")


def _same(one: "ExploredCut", other: "ExploredCut") -> bool:
    return (one.edge_nodes, one.noise) == (other.edge_nodes, other.noise)


def _say(terminal: Terminal, line: str) -> None:
    for part in tables.wrapped(line):
        terminal.say(part)
