"""Which of the explored cuts no other beats, in everything that is known of them."""

from collections.abc import Iterable, Mapping, Sequence
from math import inf

from planner.explored import ExploredCut

#: A cut's figures by name, less is better; None: not known.
Figures = Mapping[str, float | None]


def figures(one: ExploredCut) -> dict[str, float | None]:
    """Latency, accuracy loss, bytes up, edge compute, the proven bound and what each attack got.

    Where nothing is proven the bound is infinite, for that is what is promised; an attack that was not tried is not
    known.
    """
    attacked = one.attacked
    found: dict[str, float | None] = {
        "latency": one.predicted.total_ms,
        "accuracy loss": one.accuracy_loss_points,
        "bytes up": float(one.predicted.upload_bytes),
        "edge compute": one.predicted.edge_ms,
        "bound": inf if one.bound_bits is None else one.bound_bits,
        "psnr": None if attacked is None else attacked.psnr_db,
        "ssim": None if attacked is None else attacked.ssim,
        "re-identification": None if attacked is None else attacked.top1,
    }
    return found | {f"attribute {name}": value for name, value in (attacked.attributes if attacked else {}).items()}


def dominates(one: Figures, other: Figures) -> bool:
    """At least as good in every figure and better in one.

    A figure that is known of one of the two alone may be anything, so it lets neither beat the other; one that is
    known of neither decides nothing. This is a strict partial order.
    """
    better = False
    for name in {**one, **other}:
        here, there = one.get(name), other.get(name)
        if here is None and there is None:
            continue
        if here is None or there is None or here > there:
            return False
        better = better or here < there
    return better


def unbeaten(rows: Sequence[Figures]) -> list[bool]:
    """For each, whether no other dominates it."""
    return [not any(dominates(other, one) for other in rows) for one in rows]


def unbeaten_cuts(cuts: Iterable[ExploredCut]) -> list[bool]:
    return unbeaten([figures(one) for one in cuts])
