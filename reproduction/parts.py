"""The parts in the paper's order."""

from typing import cast

from reproduction import table2
from reproduction.part import Part

MODULES: tuple[object, ...] = (table2,)
PARTS = tuple(cast(Part, module) for module in MODULES)
