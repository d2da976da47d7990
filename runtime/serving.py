"""A plan and its model → the two sides, and what the cloud serves. Needs torch; a folder's halves do not (`folders`).

On request the cloud serves the whole network too, for comparison. That takes the input as a real client would send it
(8-bit pixels); it is served only beside a local cloud, to time cloud-only under the same link, and it is timed with
random pixels.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from noise.cut_network import CutNetwork
from noise.prepared import PreparedCuts
from planner.plan import Plan
from profiles import halves
from profiles.engine import Engine, OnnxEngine, TorchEngine, set_threads, torch_device
from profiles.graph import Node
from profiles.onnx_export import to_onnx
from profiles.trace import TracedNetwork
from runtime.cloud import ServedModel
from runtime.contract import TensorContract
from runtime.identity import identity_of
from runtime.sides import Agreement, CloudSide, EdgeSide, cloud_only_name, prepared_name

Array = NDArray[Any]


def planned_edge(plan: Plan, *, network: TracedNetwork | None = None) -> tuple[CutNetwork, EdgeSide]:
    """The plan's network, cut, and its edge side in the plan's engine and threads, ready to run here. network: traced
    before, for another cut of it.

    Raises NoiseError, ProfileError, ModelError as `CutNetwork.of`, `torch_device` and `to_onnx`.
    """
    set_threads(plan.edge.threads)
    cut = CutNetwork.of(plan, device=torch_device(plan.edge.engine), network=network)
    return cut, edge_side(plan, cut)


def agreement_of(plan: Plan, cut: CutNetwork) -> Agreement:
    """What the two halves of a plan's network agree on."""
    return Agreement.of(cut.network.graph, plan, any_rows=cut.halves.any_rows, beside=cut.beside)


def edge_side(plan: Plan, cut: CutNetwork) -> EdgeSide:
    """The edge half in the plan's engine. Raises ModelError where it has no form as ONNX, as `to_onnx`."""
    if plan.edge.engine == OnnxEngine.name:
        engine: Engine = OnnxEngine(edge_onnx(plan, cut), threads=plan.edge.threads)
    else:
        engine = cut.edge
    example = tuple(one.numpy() for one in cut.network.example)
    return EdgeSide(agreement_of(plan, cut), engine, cut.inputs, example, identity_of(plan))


def cloud_side(plan: Plan, cut: CutNetwork, *, device: str = "cpu", threads: int | None = None) -> CloudSide:
    """The cloud half in the plan's engine. device: of torch. threads: of ONNX Runtime (None: as profiled)."""
    if plan.cloud.engine == OnnxEngine.name:
        engine: Engine = OnnxEngine(cloud_onnx(plan, cut), threads=threads or plan.cloud.threads)
    else:
        engine = TorchEngine(cut.cloud, device=device)
    return CloudSide(agreement_of(plan, cut), engine, plan.model.name, identity_of(plan))


def whole_engine(plan: Plan, cut: CutNetwork) -> Engine:
    """The whole network in the engine of the plan's edge: all inputs → all outputs."""
    module = halves.whole(cut.network)
    if plan.edge.engine == OnnxEngine.name:
        return _whole_onnx(module, cut, threads=plan.edge.threads)
    return TorchEngine(module, device=torch_device(plan.edge.engine))


def edge_onnx(plan: Plan, cut: CutNetwork) -> bytes:
    """The edge half as an ONNX file, its tensors by their node ids."""
    agreed = agreement_of(plan, cut)
    return to_onnx(
        cut.halves.edge,
        cut.network.example,
        any_rows=agreed.any_rows,
        inputs=[one.node for one in cut.inputs],
        outputs=agreed.from_edge,
    )


def cloud_onnx(plan: Plan, cut: CutNetwork) -> bytes:
    """The cloud half as an ONNX file, its tensors by their node ids."""
    agreed = agreement_of(plan, cut)
    with torch.inference_mode():
        crossing = [one.clone() for one in cut.edge.compute(cut.network.example)[: len(agreed.crossing)]]
    return to_onnx(
        cut.halves.cloud,
        crossing,
        any_rows=agreed.any_rows,
        inputs=[one.node for one in agreed.crossing],
        outputs=agreed.on_cloud,
    )


def served_models(plan: Plan, *, with_reference: bool, threads: int | None = None) -> dict[str, ServedModel]:
    """The cloud half by its name, and on request the whole network, in the engine of the plan's cloud.

    threads: of ONNX Runtime, None for as planned; torch's are the process's.

    Raises NoiseError where the plan has no cut or its model is not the one that was planned.
    """
    device = torch_device(plan.cloud.engine)
    cut = CutNetwork.of(plan)
    served = [cloud_side(plan, cut, device=device, threads=threads).served()]
    if with_reference:
        served.append(_reference(plan, cut, device=device, threads=threads))
    return {one.name: one for one in served}


def prepared_models(prepared: PreparedCuts, *, threads: int | None) -> dict[str, ServedModel]:
    """The cloud halves of all prepared cuts, NAME@CUT each, and the plan's own as NAME too. threads: as
    `served_models`. Raises as that."""
    plan, served = prepared.plan, dict[str, ServedModel]()
    device, network = torch_device(plan.cloud.engine), None
    for name, one in prepared.cuts.items():
        cut = CutNetwork.of(one.plan, network=network)
        network = cut.network
        side = cloud_side(one.plan, cut, device=device, threads=threads)
        for known in (prepared_name(plan.model.name, name), *([plan.model.name] if name == plan.cut.name else [])):
            served[known] = replace(side, name=known).served()
    return served


def _reference(plan: Plan, cut: CutNetwork, *, device: str, threads: int | None) -> ServedModel:
    graph, free = cut.network.graph, cut.network.dynamic_batch
    inputs = tuple(TensorContract.of(node, any_rows=free, dtype=encoded_dtype(node)) for node in graph.inputs)
    outputs = tuple(TensorContract.of(node, any_rows=free) for node in graph.outputs)
    module = halves.whole(cut.network)
    if plan.cloud.engine == OnnxEngine.name:
        whole: Engine = _whole_onnx(module, cut, threads=threads or plan.cloud.threads)
    else:
        whole = TorchEngine(module, device=device)
    decoding = _Decoding(whole, [node.dtype for node in graph.inputs])
    return ServedModel(cloud_only_name(plan.model.name), decoding, inputs, outputs)


def _whole_onnx(module: fx.GraphModule, cut: CutNetwork, *, threads: int | None) -> Engine:
    graph = cut.network.graph
    data = to_onnx(
        module,
        cut.network.example,
        any_rows=cut.network.dynamic_batch,
        inputs=[node.id for node in graph.inputs],
        outputs=[node.id for node in graph.outputs],
    )
    return OnnxEngine(data, threads=threads)


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
