"""The parts in the paper's order."""

from typing import cast

from reproduction import figure6, table2
from reproduction.part import Part

MODULES: tuple[object, ...] = (table2, figure6)
PARTS = tuple(cast(Part, module) for module in MODULES)
