"""What long work is of: a digest that tells a killed run whether what it finds is its own."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noise.datasets.records import Dataset
from planner.plan import Plan

#: Of the inputs these rows tell one data set from another.
_ENDS = (slice(100), slice(-100, None))


def work_key(plan: Plan, data: Dataset, asked: tuple[object, ...]) -> str:
    """asked: what else decides the result, by its `repr`."""
    facts = (plan.model.architecture, plan.model.weights, plan.cut.edge_nodes, plan.settings, data.name, *asked)
    state = hashlib.sha256(repr(facts).encode())
    for split in (data.train, data.test):
        inputs = split.by_input
        state.update(repr([(name, one.shape, one.dtype) for name, one in inputs.items()]).encode())
        for part in (*(one[rows] for one in inputs.values() for rows in _ENDS), split.labels):
            state.update(np.ascontiguousarray(part).tobytes())
    return state.hexdigest()


def digest(*arrays: NDArray[Any]) -> str:
    """Of arrays' bytes."""
    state = hashlib.sha256()
    for one in arrays:
        state.update(np.ascontiguousarray(one).tobytes())
    return state.hexdigest()
