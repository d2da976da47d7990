"""What the wire's bits are worth, and what they cost to make.

    OMP_NUM_THREADS=1 python benchmarks/wire.py [--rounds N]

First the paper's Figure 6 at 4, 2 and 1 bytes an element, by its own fractions of the cloud-only total: imported, of
its TX2, Titan Xp and Wi-Fi. Then `codec.to_wire` and `from_wire` for int8 here, each the least of many rounds, beside
the plain form in float64 that they are held to. Printed, not asserted.
"""

import argparse
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from profiles import codec
from profiles.codec import WIRE_ITEMSIZE, Quantisation

Array = NDArray[Any]

#: Figure 6: edge, communication (4 bytes an element), cloud; cloud-only's communication and cloud.
FIGURE_6 = {
    "LeNet": (0.1260, 0.4440, 0.0012, 0.9982, 0.0018),
    "CIFAR-10": (0.1261, 0.4794, 0.0008, 0.9700, 0.0300),
    "SVHN": (0.3820, 0.3231, 0.0055, 0.9694, 0.0306),
    "AlexNet": (0.0467, 0.2438, 0.0003, 0.9990, 0.0010),
    "VGG-16": (0.4587, 0.5270, 0.0143, 0.7905, 0.0160),
}
LEVELS = Quantisation.over(-10, 10)
PARAMETERS = {"t.scale": LEVELS.scale, "t.zero_point": LEVELS.zero_point}


def speed_ups(itemsize: int) -> list[float]:
    """Of each network over cloud-only, as its crossing elements take so many bytes."""
    return [
        (input_comm + whole) / (edge + comm * itemsize / 4 + cloud)
        for edge, comm, cloud, input_comm, whole in FIGURE_6.values()
    ]


def plain_levels(tensor: Array) -> Array:
    exact = np.rint(tensor.astype(np.float64) / LEVELS.scale) + LEVELS.zero_point
    return np.clip(exact, -128, 127).astype(np.int8)


def plain_values(sent: Array) -> Array:
    values: Array = ((sent.astype(np.float64) - LEVELS.zero_point) * LEVELS.scale).astype(np.float32)
    return values


def to_wire(tensor: Array) -> Array:
    return codec.to_wire(tensor, name="t", wire="int8", quantisation=LEVELS)[0]


def from_wire(sent: Array) -> Array:
    return codec.from_wire(sent, name="t", dtype="float32", parameters=PARAMETERS)


def least_us(work: Callable[[Array], Array], given: Array, rounds: int) -> float:
    found = math.inf
    for _ in range(rounds):
        start = time.perf_counter()
        work(given)
        found = min(found, time.perf_counter() - start)
    return 1e6 * found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    print(f"{'speed-up over cloud-only, Figure 6':36}" + "".join(f"{name:>10}" for name in (*FIGURE_6, "mean")))
    for wire, itemsize in WIRE_ITEMSIZE.items():
        found = speed_ups(itemsize)
        cells = "".join(f"{one:9.2f}×" for one in (*found, sum(found) / len(found)))
        print(f"{f'  {wire}, {itemsize} B an element':36}{cells}")
    print(f"\n{'int8 here, µs':20}{'to levels':>12}{'in float64':>12}{'to floats':>12}{'in float64':>12}{'apart':>8}")
    for elements in (120, 9216, 786_432):
        tensor = np.random.default_rng(0).laplace(size=(1, elements)).astype(np.float32)
        sent = to_wire(tensor)
        works = ((to_wire, tensor), (plain_levels, tensor), (from_wire, sent), (plain_values, sent))
        cells = "".join(f"{least_us(work, given, rounds):12.1f}" for work, given in works)
        print(f"{f'  {elements} elements':20}{cells}{np.mean(sent != plain_levels(tensor)):8.0e}")


if __name__ == "__main__":
    main()
