"""A folder for a board that cannot run this tool: the network's pieces as ONNX, and one script that times them.

The network is exported once, with the tensors of its linear cuts as results beside its own, and the pieces are taken
out of that file: whole, prefixes and suffixes. Shapes are fixed at the profile's batch; ONNX Runtime makes the same
of them as of open ones (ResNet-18, MobileNetV2: one optimised graph).
"""

import os
import shutil
import tempfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import msgspec
import numpy as np

from profiles import board, halves
from profiles.device import ModelFacts
from profiles.errors import ArtifactError
from profiles.onnx_export import to_onnx
from profiles.operator_facts import operator_facts
from profiles.roofline import DeviceConstants, node_times_ms
from profiles.segments import linear_cuts, segments_of
from profiles.trace import TracedNetwork

#: What the prefixes and suffixes of all cuts may take together; each cut's are once the network.
MOST_BYTES, MOST_CUTS = 1_500_000_000, 64

#: A core of any processor: only the ratios count, by which a segment's time is shared over its operators.
_CORE = DeviceConstants(
    peak_flops=50e9,
    bandwidth_bytes_per_s=10e9,
    memory_efficiency=1.0,
    overhead_ms=0.001,
    efficiency={"conv3x3": 0.8, "conv": 0.6, "depthwise": 0.1},
    fit="none",
    uncertainty="ratios within one segment alone are used",
    sources=("a round figure",),
)

_README = """Time {name} on this device.

1. Copy this whole folder to the device.
2. There: python3 -m pip install numpy onnxruntime      (Python 3.6 or newer, ONNX Runtime 1.10 or newer)
3. python3 profile_here.py --threads {threads} --name my-board --out profile.json
4. Bring profile.json back; `plan cut` takes it like one of `plan profile`.

Let nothing else run meanwhile. The folder holds the network's weights; the script reads nothing outside it and sends
nothing.
"""


def require_new(folder: Path) -> None:
    """Raises ArtifactError where a kit would meet something that is there."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ArtifactError(f"{folder}: is there and not an empty folder; choose a new place for the kit")


def write_kit(network: TracedNetwork, folder: Path, *, pause_ms: float, most_bytes: int = MOST_BYTES) -> list[str]:
    """The folder, whole or not at all; the ids of the cuts that can be timed with it.

    pause_ms: before every timed run. most_bytes: of the pieces beside the whole; three cuts are made in any case.
    Raises ModelError where the network has no form as ONNX, ArtifactError where the folder cannot be written.
    """
    require_new(folder)
    graph = network.graph
    weights = node_times_ms(graph, operator_facts(network), _CORE)
    whole = halves.whole(network)
    bytes_of_whole = sum(one.numel() * one.element_size() for one in whole.state_dict().values())
    most = min(max(board.LEAST_CUTS, most_bytes // max(bytes_of_whole, 1)), MOST_CUTS)
    cuts = linear_cuts(graph, most=most, weight=[weights[node.id] for node in graph.nodes])
    pieces = Pieces(network, cuts)
    parent = folder.absolute().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=parent, prefix=f".{folder.name}."))
        try:
            _fill(temporary, network, pieces, weights, pause_ms=pause_ms)
            temporary.chmod(0o777 & ~_umask())
            os.replace(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise ArtifactError(f"{folder}: cannot be written ({error.strerror}); choose another place") from error
    return cuts


def _fill(
    folder: Path, network: TracedNetwork, pieces: "Pieces", weights: dict[str, float], *, pause_ms: float
) -> None:
    graph, model = network.graph, network.model
    operators = [node.id for node in graph.nodes if node.kind not in ("input", "output")]
    names = [f"input-{index}.npy" for index in range(len(network.example))]
    for name, value in zip(names, network.example, strict=True):
        stream = BytesIO()
        np.save(stream, value.numpy(), allow_pickle=False)
        (folder / name).write_bytes(stream.getvalue())
    (folder / "whole.onnx").write_bytes(pieces.whole())
    cuts = []
    for index, cut in enumerate(pieces.cuts):
        named = {"node": cut, "prefix": f"prefix-{index:02d}.onnx", "suffix": f"suffix-{index:02d}.onnx"}
        (folder / named["prefix"]).write_bytes(pieces.prefix(cut))
        (folder / named["suffix"]).write_bytes(pieces.suffix(cut))
        cuts.append(named)
    facts = ModelFacts(name=model.name, architecture=network.architecture, source=model.source, weights=model.weights)
    kit = {
        "schema": board.SCHEMA,
        "profile": {"model": facts, "batch": network.batch, "nodes": graph.nodes},
        "pause_ms": pause_ms,
        "inputs": names,
        "cuts": cuts,
        "segments": segments_of(graph, pieces.cuts, operators),
        "weights": {name: weights[name] for name in operators},
    }
    (folder / "kit.json").write_bytes(msgspec.json.format(msgspec.json.encode(kit), indent=2) + b"\n")
    shutil.copyfile(board.__file__, folder / "profile_here.py")
    (folder / "README.txt").write_text(_README.format(name=model.source, threads=1), encoding="utf-8")


class Pieces:
    """Whole, prefixes and suffixes of linear cuts, taken out of one ONNX file."""

    def __init__(self, network: TracedNetwork, cuts: Sequence[str]) -> None:
        import onnx

        graph = network.graph
        self._network, self.cuts = network, tuple(cuts)
        self._inputs = [node.id for node in graph.inputs]
        self._outputs = [node.id for node in graph.outputs]
        wanted = [*cuts, *self._outputs]
        module = halves.part(network, self._inputs, wanted)
        self._model = onnx.load_model_from_string(
            to_onnx(module, network.example, any_rows=False, inputs=self._inputs, outputs=wanted)
        )

    def whole(self) -> bytes:
        return self._taken(self._inputs, self._outputs)

    def prefix(self, cut: str) -> bytes:
        """The network's inputs → the tensor of a cut."""
        return self._taken(self._inputs, [cut])

    def suffix(self, cut: str) -> bytes:
        """The tensor of a cut → the network's outputs."""
        return self._taken([cut], self._outputs)

    def _taken(self, given: Sequence[str], wanted: Sequence[str]) -> bytes:
        """The operators between named tensors, with the weights that they use."""
        import onnx

        graph = self._model.graph
        producer = {name: index for index, node in enumerate(graph.node) for name in node.output}
        known = {value.name: value for value in (*graph.input, *graph.output)}
        names, needed, waiting = set[str](), set[int](), list(wanted)
        while waiting:
            name = waiting.pop()
            if name in names or name in given:
                continue
            names.add(name)
            if name in producer and producer[name] not in needed:
                needed.add(producer[name])
                waiting.extend(filter(None, graph.node[producer[name]].input))
        if missing := names.intersection(self._inputs):
            # A size read from the network's input: the half reads it from what crosses.
            assert list(given) != self._inputs, missing
            return self._exported(given[0])
        made = onnx.ModelProto(ir_version=self._model.ir_version, producer_name="shredder-plan")
        made.opset_import.extend(self._model.opset_import)
        made.graph.name = graph.name
        made.graph.node.extend(graph.node[index] for index in sorted(needed))
        made.graph.initializer.extend(one for one in graph.initializer if one.name in names)
        made.graph.input.extend(known[name] for name in given)
        made.graph.output.extend(known[name] for name in wanted)
        return bytes(made.SerializeToString())

    def _exported(self, cut: str) -> bytes:
        network = self._network
        made = halves.split(network, network.graph.with_needs([cut, *self._inputs]))
        crossing = halves.part(network, self._inputs, [cut])(*network.example)
        return to_onnx(made.cloud, list(crossing), any_rows=False, inputs=[cut], outputs=self._outputs)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
