"""What the paper prints in Table 3: imported from its text."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Printed:
    """A column of the paper's Table 3. footprint: KB of 1024 bytes. share: learnable parameters over DPFE's, %."""

    before_bits: float
    after_bits: float
    lost_percent: float
    loss_points: float
    margin: float
    epochs: float
    share_percent: float
    footprint: float


PRINTED = {
    "lenet": Printed(301.84, 18.9, 93.74, 1.34, 0.39, 6.3, 0.19, 2.05),
    "cifar10": Printed(236.34, 90.2, 61.83, 1.42, 0.87, 1.7, 0.65, 8.70),
    "svhn": Printed(19.2, 7.1, 64.58, 1.12, 0.22, 1.2, 0.04, 5.00),
    "alexnet": Printed(12661.51, 4439.0, 64.94, 1.95, 0.12, 0.1, 0.02, 315.00),
    "vgg16": Printed(28732.21, 7268.7, 74.70, 1.68, 0.11, 6.8, 0.01, 918.75),
    "newsgroups": Printed(27.8, 7.8, 72.95, 1.99, 0.41, 7.3, 0.05, 2.01),
}
