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
from profiles import codec, halves
from profiles.engine import Engine, TorchEngine
from profiles.errors import PlanError
from profiles.graph import Node
from runtime.cloud import ServedModel
from runtime.contract import TensorContract

Array = NDArray[Any]


def cloud_only_name(model: str) -> str:
    """The name under which the whole network is served for comparison."""
    return f"{model}-cloud-only"


def served_models(plan: Plan, *, with_reference: bool, device: str = "cpu") -> dict[str, ServedModel]:
    """The cloud half by its name, and the whole network where a reference is wanted. device: where they run.

    Raises NoiseError where the plan has no cut or its model is not the one that was planned.
    """
    cut = CutNetwork.of(plan)
    engine = TorchEngine(cut.cloud, device=device)
    dtypes = tuple(cut.network.graph.by_id[name].dtype for name in cut.halves.crossing)
    served = [ServedModel(plan.model.name, engine, crossing_of(cut), outputs_of(cut), dtypes)]
    if with_reference:
        free = cut.network.dynamic_batch
        inputs = tuple(
            TensorContract.of(node, any_rows=free, dtype=encoded_dtype(node)) for node in cut.network.graph.inputs
        )
        outputs = tuple(TensorContract.of(node, any_rows=free) for node in cut.network.graph.outputs)
        whole = TorchEngine(halves.whole(cut.network), device=device)
        decoding = _Decoding(whole, [node.dtype for node in cut.network.graph.inputs])
        served.append(ServedModel(cloud_only_name(plan.model.name), decoding, inputs, outputs))
    return {one.name: one for one in served}


def crossing_of(cut: CutNetwork) -> tuple[TensorContract, ...]:
    """What crosses, as it crosses."""
    nodes = [cut.network.graph.by_id[name] for name in cut.halves.crossing]
    return tuple(
        TensorContract.of(node, any_rows=cut.halves.any_rows, dtype=codec.wire_dtype(node.dtype, cut.wire))
        for node in nodes
    )


def outputs_of(cut: CutNetwork) -> tuple[TensorContract, ...]:
    """What the cloud half answers with."""
    nodes = cut.network.graph.by_id
    return tuple(TensorContract.of(nodes[name], any_rows=cut.halves.any_rows) for name in cut.halves.on_cloud)


def encoded_dtype(node: Node) -> str:
    """The type in which a real client sends an input: 8-bit pixels where the profile counts a byte an element."""
    return "uint8" if node.encoded_bytes == node.elements and node.dtype == "float32" else node.dtype


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
