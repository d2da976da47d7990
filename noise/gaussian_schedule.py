"""How long and how fast Gaussian noise is learned, and how its weight follows the budget."""

import math
from dataclasses import dataclass

#: Elements of a batch's crossing tensors at most, beyond LEAST_INPUTS inputs.
BATCH_ELEMENTS, LEAST_INPUTS = 4_000_000, 8


@dataclass(frozen=True)
class Steering:
    """How β follows the budget: every so many steps by exp(rate · (budget − loss) / budget), the exponent held to
    ± rate, and β to a factor of its start. memory: of the loss's running mean. abandon: halfway, a run that still
    loses so many times the budget is given up."""

    rate: float = 0.1
    begin: float = 0.3
    least: float = 1 / 20
    most: float = 50.0
    abandon: float = math.inf
    every: int = 20
    memory: float = 0.7


@dataclass(frozen=True)
class GaussianSchedule:
    """steps of Adam, batch rows each (fewer of large tensors). Its rate rises over the share `warm` of the steps, for
    Adam's first steps are as long for every element and would add up, then falls by a cosine to `last`. clip: of the
    gradient. blends: share of a batch's rows that are blends of two inputs' tensors."""

    steps: int = 2000
    batch: int = 256
    last: float = 0.05
    warm: float = 0.05
    clip: float = 10.0
    steering: Steering = Steering()
    blends: float = 0.0

    def batch_of(self, elements: int) -> int:
        """Rows a step of tensors of so many elements."""
        return min(self.batch, max(LEAST_INPUTS, BATCH_ELEMENTS // elements))
