"""How noise of a kind is looked for: what may be asked, and what is not of a kind."""

from dataclasses import dataclass, field, replace
from typing import cast, get_args

from noise.gaussian_schedule import GaussianSchedule
from noise.laplace_learning import Schedule
from noise.objective import Equation
from planner.noise_cost import require_kind
from profiles.errors import PlanError

EQUATIONS = get_args(Equation)
MAPS = ("auto", "bottleneck", "linear")


@dataclass(frozen=True)
class Options:
    """How noise of a kind is looked for. count: distributions of `laplace`. gamma: weight of what hides the private
    label (Eq. 5). curve: the whole trade-off as well (Figure 7). map: of a channel; auto is a bottleneck where one
    keeps the budget, else linear. hidden: the bottleneck's width, found where none is given."""

    count: int = 20
    gamma: float | None = None
    curve: bool = False
    map: str = "auto"
    hidden: int | None = None
    laplace: Schedule = field(default_factory=Schedule)
    gaussian: GaussianSchedule = field(default_factory=GaussianSchedule)


def options_for(
    kind: str,
    *,
    count: int = 20,
    gamma: float | None = None,
    equation: str | None = None,
    alpha: float | None = None,
    steps: int | None = None,
    curve: bool = False,
    map: str = "auto",
    hidden: int | None = None,
) -> Options:
    """What was asked for, over the kind's own settings.

    count, gamma, curve, map, hidden: as `Options` has them. equation, alpha: what `laplace` minimises (Shredder,
    Equations 3, 4, 5 and 11). steps: iterations, None for the kind's own.
    Raises PlanError for what is not of this kind.
    """
    require_kind(kind)
    if kind != "laplace" and (equation is not None or alpha is not None):
        raise PlanError(f"--equation and --alpha are of laplace; leave them out with --noise {kind}")
    if map not in MAPS:
        raise PlanError(f"--map {map}: expected {', '.join(MAPS[:-1])} or {MAPS[-1]}")
    if kind != "channel" and (map != "auto" or hidden is not None):
        raise PlanError(f"--map and --hidden are of channel; leave them out with --noise {kind}")
    if map == "linear" and hidden is not None:
        raise PlanError("--hidden is of a bottleneck; leave it out with --map linear")
    options = Options(count=count, gamma=gamma, curve=curve, map=map, hidden=hidden)
    if kind != "laplace":
        return options if steps is None else replace(options, gaussian=replace(options.gaussian, steps=steps))
    laplace = replace(options.laplace, alpha=alpha, equation=_equation(equation), curve=curve)
    return replace(options, laplace=laplace if steps is None else replace(laplace, steps=steps))


def _equation(name: str | None) -> Equation | None:
    if name is None:
        return None
    for known in EQUATIONS:
        if name == str(known):
            return cast(Equation, known)
    raise PlanError(f"--equation {name}: expected one of {', '.join(map(str, EQUATIONS))} (of the Shredder paper)")
