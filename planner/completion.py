"""What a shell offers on Tab for the planner's words."""

from collections.abc import Iterable
from typing import get_args

from profiles.completion import among


def _objectives() -> Iterable[str]:
    from planner.plan import Objective

    return get_args(Objective)


def _wires() -> Iterable[str]:
    from planner.plan import Wire

    return get_args(Wire)


def _kinds() -> Iterable[str]:
    from planner.noise_cost import NoiseKind

    return get_args(NoiseKind)


objectives, wires, kinds = among(_objectives), among(_wires), among(_kinds)
