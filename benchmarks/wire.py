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
from reproduction.printed import FIGURE_6, TABLE_2, mean_speed_up

Array = NDArray[Any]

LEVELS = Quantisation.over(-10, 10)
PARAMETERS = {"t.scale": LEVELS.scale, "t.zero_point": LEVELS.zero_point}


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
    names = (*(TABLE_2[one].title for one in FIGURE_6), "mean")
    print(f"{'speed-up over cloud-only, Figure 6':36}" + "".join(f"{name:>10}" for name in names))
    for wire, itemsize in WIRE_ITEMSIZE.items():
        found = [one.speed_up(itemsize=itemsize) for one in FIGURE_6.values()]
        cells = "".join(f"{one:9.2f}×" for one in (*found, mean_speed_up(itemsize=itemsize)))
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
