"""The parts in the paper's order."""

from typing import cast

from reproduction.part import Part

MODULES: tuple[object, ...] = ()
PARTS = tuple(cast(Part, module) for module in MODULES)
