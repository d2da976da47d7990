"""Plan → what the cloud serves: the cloud half, and on request the whole network for comparison.

The whole network takes the input as a real client would send it (8-bit pixels); it is served only beside a local
cloud, to time cloud-only under the same link, and it is timed with random pixels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noise.cut_network import CutNetwork
from planner.plan import Plan
from profiles import halves
from profiles.engine import Engine, TorchEngine
from profiles.errors import PlanError
from profiles.graph import Node
from runtime.cloud import ServedModel, Tensor

Array = NDArray[Any]


def cloud_only_name(model: str) -> str:
    """The name under which the whole network is served for comparison."""
    return f"{model}-cloud-only"


def served_models(plan: Plan, *, with_reference: bool) -> dict[str, ServedModel]:
    """Raises NoiseError where the plan has no cut or its model is not the one that was planned."""
    cut = CutNetwork.of(plan)
    network = cut.network
    outputs = tuple(_tensor(node) for node in network.graph.outputs)
    crossing = tuple(_tensor(network.graph.by_id[one.node]) for one in plan.cut.crossing)
    fixed = None if network.dynamic_batch else network.batch
    served = [ServedModel(plan.model.name, TorchEngine(cut.cloud), crossing, outputs, fixed)]
    if with_reference:
        inputs = tuple(_encoded(node) for node in network.graph.inputs)
        engine = _Decoding(TorchEngine(halves.whole(network)), [node.dtype for node in network.graph.inputs])
        served.append(ServedModel(cloud_only_name(plan.model.name), engine, inputs, outputs, fixed))
    return {one.name: one for one in served}


def encoded_dtype(node: Node) -> str:
    """The type in which a real client sends an input: 8-bit pixels where the profile counts a byte an element."""
    return "uint8" if node.encoded_bytes == node.elements and node.dtype == "float32" else node.dtype


def _tensor(node: Node) -> Tensor:
    return Tensor(node.id, node.dtype, node.shape[1:])


def _encoded(node: Node) -> Tensor:
    return Tensor(node.id, encoded_dtype(node), node.shape[1:])


class _Decoding:
    """The whole network behind its inputs' encoding: 8-bit pixels become floats in [0, 1]."""

    def __init__(self, inner: Engine, dtypes: Sequence[str]) -> None:
        self.name = inner.name
        self._inner, self._dtypes = inner, dtypes

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        decoded = [
            value if str(value.dtype) == dtype else value.astype(np.float32) / np.float32(255)
            for value, dtype in zip(inputs, self._dtypes, strict=True)
        ]
        return self._inner.run(decoded)


def require_cut(plan: Plan) -> None:
    """Raises PlanError for a plan that is a reference, not a cut."""
    if plan.cut.name in ("edge-only", "cloud-only"):
        raise PlanError(f"the plan is {plan.cut.name}: there are no two halves to run; make one with `plan cut`")
