"""The parts in the paper's order."""

from typing import cast

from reproduction import figure5
from reproduction.part import Part

MODULES: tuple[object, ...] = (figure5,)
PARTS = tuple(cast(Part, module) for module in MODULES)
