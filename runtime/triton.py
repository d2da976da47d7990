"""The cloud half for another server of the protocol: a Triton model repository, of ONNX and a configuration.

What the wire does to a tensor is undone in front of the half, by the file itself: a Cast for float16, for int8 a
DequantizeLinear with the scale and zero point that were fixed with the noise. Such a server needs no request
parameters of ours.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from noise import collection
from noise.cut_network import CutNetwork
from planner.plan import Plan
from profiles import artifact, codec
from profiles.codec import Quantisation
from profiles.errors import NoiseError, PlanError
from runtime.contract import TensorContract
from runtime.serving import agreement_of, cloud_onnx
from runtime.sides import Agreement

#: Rows of one batch at most, as our own server has it.
MOST_ROWS = 512


def export(plan: Plan, repository: Path, *, noise: Path | None = None) -> Path:
    """Write `repository/MODEL/config.pbtxt` and `repository/MODEL/1/model.onnx`, both or neither; the model's folder.

    noise: the file with int8's scales. Raises NoiseError where it lacks or is for another plan, ArtifactError where
    the folder holds something, ModelError where the half has no form as ONNX.
    """
    name = plan.model.name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise PlanError(
            f"the model is called {name!r}, expected letters, digits, '-', '.' and '_' for its folder's name"
        )
    quantisation = _quantisation(plan, noise)
    with artifact.new_folder(repository / name) as folder:
        cut = CutNetwork.of(plan)
        agreed = agreement_of(plan, cut)
        artifact.write_bytes(folder / "1" / "model.onnx", behind_wire(cloud_onnx(plan, cut), agreed, quantisation))
        artifact.write_bytes(folder / "config.pbtxt", configuration(name, agreed).encode())
    return repository / name


def _quantisation(plan: Plan, noise: Path | None) -> Mapping[str, Quantisation]:
    if plan.settings.wire != "int8":
        return {}
    if noise is None:
        raise NoiseError("the plan sends int8, whose scales are fixed with the noise; give --noise FILE")
    _, facts = collection.read(noise)
    collection.require_match(facts, plan, origin=str(noise))
    return facts.quantisation or {}


def behind_wire(half: bytes, agreed: Agreement, quantisation: Mapping[str, Quantisation]) -> bytes:
    """A cloud half that takes its tensors as they cross. quantisation: of those that cross as int8."""
    model = onnx.load_model_from_string(half)
    graph = model.graph
    decoding = []
    given = {value.name: value for value in graph.input}
    for tensor, sent in zip(agreed.crossing, agreed.sent, strict=True):
        if sent.dtype == tensor.dtype:
            continue
        inner = f"{tensor.node}/decoded"
        _rename(graph, tensor.node, inner)
        given[tensor.node].type.tensor_type.elem_type = helper.np_dtype_to_tensor_dtype(np.dtype(sent.dtype))
        to = helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype))
        if sent.dtype != "int8":
            decoding.append(helper.make_node("Cast", [tensor.node], [inner], to=to))
            continue
        levels = quantisation[tensor.node]
        scale, zero_point = f"{tensor.node}/scale", f"{tensor.node}/zero_point"
        graph.initializer.append(numpy_helper.from_array(np.array(levels.scale, np.float32), scale))
        graph.initializer.append(numpy_helper.from_array(np.array(levels.zero_point, np.int8), zero_point))
        exact = inner if tensor.dtype == "float32" else f"{tensor.node}/exact"
        decoding.append(helper.make_node("DequantizeLinear", [tensor.node, scale, zero_point], [exact]))
        if exact != inner:
            decoding.append(helper.make_node("Cast", [exact], [inner], to=to))
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*decoding, *rest])
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _rename(graph: Any, name: str, to: str) -> None:
    """Whoever reads a tensor reads another, in bodies of loops and branches too."""
    for node in graph.node:
        node.input[:] = [to if one == name else one for one in node.input]
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                _rename(inner, name, to)


def configuration(name: str, agreed: Agreement) -> str:
    """`config.pbtxt`. Where any number of rows goes, Triton batches and the dimensions leave the batch out; else
    max_batch_size is 0 and they are whole."""
    lines = [
        f"name: {json.dumps(name)}",
        'platform: "onnxruntime_onnx"',
        f"max_batch_size: {MOST_ROWS if agreed.any_rows else 0}",
    ]
    lines += [_tensor("input", one, agreed) for one in agreed.sent]
    lines += [_tensor("output", one, agreed) for one in agreed.replies]
    if agreed.any_rows:
        lines.append("dynamic_batching { }")
    return "\n".join(lines) + "\n"


def _tensor(role: str, one: TensorContract, agreed: Agreement) -> str:
    shape = one.shape[1:] if agreed.any_rows else one.shape
    # Triton wants a dimension at least: one number a row is written as a vector of one.
    dims = f"dims: [ {', '.join(map(str, shape or (1,)))} ]" + ("" if shape else " reshape { shape: [ ] }")
    datatype = f"TYPE_{codec.datatype_of(one.dtype)}"
    return f"{role} [ {{ name: {json.dumps(one.name)} data_type: {datatype} {dims} }} ]"
