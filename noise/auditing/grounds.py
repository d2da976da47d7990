"""What every attack starts from: the attacker's own rows, the rows it is judged on, and what may cross."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from noise.activations import Activations
from noise.audit.adversary import Adversary
from noise.audit.naming import INPUTS, Namer, namer_of
from noise.auditing.effort import Effort
from noise.cut_network import CutNetwork
from noise.datasets.records import Dataset, Labels
from noise.laplace import LaplaceNoise
from noise.mechanism import Mechanism
from planner.plan import Plan
from profiles.codec import Quantisation
from profiles.errors import DataError

Array = NDArray[Any]

#: What crosses without noise, among what is audited.
CLEAN = "clean"
#: With fewer there is nothing to learn an attack from, or to judge it on.
LEAST_ROWS = 10


@dataclass(frozen=True)
class Images:
    """Inputs that are floats, scaled so that the training inputs lie in [0, 1]: PSNR's peak is 1. low, high: of the
    inputs as they are."""

    known: NDArray[np.float32]
    judged: NDArray[np.float32]
    low: float
    high: float

    def scaled(self, inputs: Array) -> NDArray[np.float32]:
        return _scaled(inputs, self.low, self.high)


@dataclass(frozen=True)
class Grounds:
    """known: the attacker's own rows; judged: test rows that it never saw; every: all test rows, for accuracy.
    attributes: private labels of known and judged rows. pairs, inputs: test rows for estimates, and their inputs
    (scaled as `images` are) flattened."""

    cut: CutNetwork
    known: Activations
    judged: Activations
    every: Activations
    pairs: Activations
    inputs: NDArray[np.float32]
    images: Images | None
    attributes: Mapping[str, tuple[Labels, Labels]]

    @property
    def is_differentiable(self) -> bool:
        """Whether an input can be looked for by gradients: it is the only one, and of floats."""
        return len(self.cut.inputs) == 1 and self.images is not None


def grounds(
    plan: Plan,
    cut: CutNetwork,
    data: Dataset,
    *,
    effort: Effort,
    private: Mapping[str, tuple[Labels, Labels]],
) -> Grounds:
    """Compute what crosses. Raises DataError where the network takes several private inputs, or there are
    fewer than LEAST_ROWS."""
    column = private_input(plan, cut)
    learning = data.without_holdout()[: effort.train_rows]
    if min(len(learning.labels), len(data.test.labels)) < LEAST_ROWS:
        raise DataError(
            f"{data.name}: {len(learning.labels)} rows to attack with (a tenth is held out) and "
            f"{len(data.test.labels)} test rows, an audit takes {LEAST_ROWS} or more of each; give more data"
        )
    known = cut.activations(learning, origin=data.name)
    every = cut.activations(data.test, origin=data.name)
    rows, pairs = evenly(len(every), effort.test_rows), evenly(len(every), effort.pairs)
    own = cut.fitting(learning.inputs, origin=data.name)[column][: len(known)]
    tests = cut.fitting(data.test.inputs, origin=data.name)[column][: len(every)]
    images = _images(own, tests[rows])
    paired = tests[pairs] if images is None else images.scaled(tests[pairs])
    return Grounds(
        cut,
        known,
        every.take(rows),
        every,
        every.take(pairs),
        paired.reshape(len(pairs), -1).astype(np.float32),
        images,
        {name: (train[data.learning_rows][: len(known)], test[rows]) for name, (train, test) in private.items()},
    )


def evenly(count: int, most: int | None) -> NDArray[np.int64]:
    """Rows that lie evenly: test data may be sorted by class."""
    return np.linspace(0, count - 1, min(count, most or count)).astype(np.int64)


def private_input(plan: Plan, cut: CutNetwork) -> int:
    """Which of the network's inputs is attacked. Raises DataError where there are several."""
    private = [index for index, one in enumerate(cut.inputs) if one.node not in plan.settings.public_inputs]
    if len(private) != 1:
        names = ", ".join(cut.inputs[index].name for index in private)
        raise DataError(
            f"the model takes {names}, an audit attacks one private input; plan with --public-input for the others"
        )
    return private[0]


def _images(known: Array, judged: Array) -> Images | None:
    if known.dtype.kind != "f":
        return None
    low, high = float(known.min()), float(known.max())
    return Images(_scaled(known, low, high), _scaled(judged, low, high), low, high)


def _scaled(values: Array, low: float, high: float) -> NDArray[np.float32]:
    return ((values - low) / ((high - low) or 1.0)).astype(np.float32)


@dataclass(frozen=True)
class Subject:
    """One thing that could cross: clean tensors (noise None) or those under one kind of noise."""

    name: str
    noise: Mechanism | None
    levels: Mapping[str, Quantisation]
    grounds: Grounds

    def adversary(self, on: Activations, *, seed: int, queries: int = 1, named: bool = False) -> Adversary:
        return Adversary(
            on,
            self.noise,
            seed=seed,
            queries=queries,
            cut=self.grounds.cut,
            levels=self.levels,
            namer=self.namer if named else None,
        )

    @property
    def laplace(self) -> LaplaceNoise | None:
        return self.noise if isinstance(self.noise, LaplaceNoise) else None

    @cached_property
    def namer(self) -> Namer | None:
        """Learned from the attacker's own draws; the same at every call. None: there is nothing to be named."""
        if self.laplace is None:
            return None
        clean = np.concatenate([one[:INPUTS] for one in self.grounds.known.tensors], axis=1)
        return namer_of(self.laplace, torch.from_numpy(clean), seed=0)


def side_by_side(tensors: Sequence[Array]) -> Array:
    return tensors[0] if len(tensors) == 1 else np.concatenate(tensors, axis=1)
