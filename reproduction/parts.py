"""The parts in the paper's order."""

from typing import cast

from reproduction import figure5, figure6, figure7, figure8, figure9, table2, table3
from reproduction.part import Part

MODULES: tuple[object, ...] = (table2, table3, figure5, figure6, figure7, figure8, figure9)
PARTS = tuple(cast(Part, module) for module in MODULES)
