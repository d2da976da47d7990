"""Explored cuts as rows for people, in 80 columns. Prints nothing."""

from collections.abc import Sequence

from planner.explored import ExploredCut
from planner.tables import WIDTH, figure, folded
from profiles.terminal import Row, size

#: What the columns are, once below the table.
CAPTION = (
    "loss: accuracy points lost on test inputs. bound, mixture: bits an average input tells at most, proven. dB, "
    "SSIM, id %: what attacks got, reconstructed and re-identified; a stronger attack may get more."
)


def cuts(
    rows: Sequence[ExploredCut], *, marks: Sequence[str], kinds: bool | None = None
) -> tuple[tuple[str, ...], list[Row]]:
    """Columns and rows. marks: before each row (→ chosen, * unbeaten). kinds: whether the noise's kind is shown;
    None: where there is more than one."""
    shown = len({one.noise for one in rows}) > 1 if kinds is None else kinds
    attributes = sorted({name for one in rows if one.attacked for name in one.attacked.attributes})
    columns = ["", "cut after", *(["noise"] if shown else []), "sends", "edge", "total", "loss", "bound", "mixture"]
    columns += ["dB", "SSIM", "id %", *(f"{name[:8]} %" for name in attributes[:1])]
    figures = [(*([one.noise] if shown else []), *_figures(one, attributes[:1])) for one in rows]
    widths = [max(map(len, column)) for column in zip(columns[2:], *figures, strict=True)]
    room = max(8, WIDTH - max(map(len, marks), default=0) - sum(widths) - len(columns) - 1)
    made = [
        Row((mark, folded(one.name, room), *cells), mark="→" in mark)
        for mark, one, cells in zip(marks, rows, figures, strict=True)
    ]
    return tuple(columns), made


def _figures(one: ExploredCut, attributes: Sequence[str]) -> tuple[str, ...]:
    attacked, cost = one.attacked, one.predicted
    seen: list[float | None] = [None, None, None, *(None for _ in attributes)]
    if attacked is not None:
        seen = [
            attacked.psnr_db,
            attacked.ssim,
            attacked.top1,
            *(attacked.attributes.get(name) for name in attributes),
        ]
    loss = "-" if one.accuracy_loss_points is None else f"{one.accuracy_loss_points:.2f}"
    kept = (one.bound_bits, one.mixture_bound_bits, *seen)
    return (size(cost.upload_bytes), figure(cost.edge_ms), figure(cost.total_ms), loss, *map(figure, kept))
