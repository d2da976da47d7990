"""What the user promises of a cut: how much it may tell at most, and which of the explored cuts keep that."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

from planner.explored import ExploredCut
from profiles.errors import CutError


@dataclass(frozen=True)
class Promise:
    """max_bound_bits: of the proven bound on I(x; a'), not of its interval's upper end, which is said.
    max_reconstruction_db: PSNR of the strongest attempt that was made; what this attack got, no bound on others.
    None: no such limit."""

    max_bound_bits: float | None = None
    max_reconstruction_db: float | None = None

    def __post_init__(self) -> None:
        """Raises CutError for a limit that cannot be."""
        for option, _, limit in self._limits(None):
            if not 0 <= limit < inf:
                raise CutError(f"{option} {limit:g}: expected a number of 0 or more")

    def excess(self, one: ExploredCut) -> float:
        """How far a cut is from keeping it, relative to the limit, the worst of both; 0: kept. Infinite where what
        was promised of is not known: then nothing can be promised."""
        worst = 0.0
        for _, reached, limit in self._limits(one):
            worst = max(worst, inf if reached is None else (reached - limit) / max(limit, 1.0))
        return worst

    def kept_by(self, one: ExploredCut) -> bool:
        return self.excess(one) == 0.0

    @property
    def options(self) -> str:
        """As the user said it."""
        return " and ".join(f"{option} {limit:g}" for option, _, limit in self._limits(None))

    def settings(self) -> dict[str, float]:
        return {name: limit for name, limit in vars(self).items() if limit is not None}

    def _limits(self, one: ExploredCut | None) -> list[tuple[str, float | None, float]]:
        """Option, what a cut reaches, and the limit, for each that was set."""
        attacked = None if one is None else one.attacked
        every = (
            ("--max-bound-bits", None if one is None else one.bound_bits, self.max_bound_bits),
            (
                "--max-reconstruction-db",
                None if attacked is None else attacked.psnr_db,
                self.max_reconstruction_db,
            ),
        )
        return [(option, reached, limit) for option, reached, limit in every if limit is not None]


def reaches(one: ExploredCut) -> str:
    """What a cut keeps, in words."""
    most = _most(one)
    bound = "nothing is proven" if one.bound_bits is None else f"a proven bound of {one.bound_bits:.2f} bits"
    if most is not None and one.bound_bits != most:
        bound += f" (by its 95 % interval up to {most:.2f})"
    psnr = None if one.attacked is None else one.attacked.psnr_db
    seen = "no reconstruction was tried" if psnr is None else f"reconstructed at {psnr:.2f} dB"
    return f"{one.name} with {one.noise} noise: {bound}, {seen}"


def _most(one: ExploredCut) -> float | None:
    """Bits of the bound, at the upper end of its interval where that is known."""
    return one.bound_bits if one.bound_interval_bits is None else one.bound_interval_bits[1]


def nearest(cuts: Iterable[ExploredCut], promise: Promise) -> ExploredCut:
    """The one that lacks least; where nothing is known of what was promised, the one that is known best."""
    return min(cuts, key=lambda one: (promise.excess(one), *_strength(one)))


def better(cuts: Iterable[ExploredCut]) -> ExploredCut:
    """Of several noises for one cut the one that tells least: by bound, then reconstruction, then accuracy."""
    return min(cuts, key=_strength)


def _strength(one: ExploredCut) -> tuple[float, float, float]:
    psnr = None if one.attacked is None else one.attacked.psnr_db
    known = (one.bound_bits, psnr, one.accuracy_loss_points)
    bound, seen, loss = (inf if figure is None else figure for figure in known)
    return bound, seen, loss
