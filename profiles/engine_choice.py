"""Which engine a network is profiled and run in: the one that runs the whole of it faster here."""

from collections.abc import Callable
from functools import partial

import numpy as np

from profiles import halves
from profiles.board import SHORT_MS, timed_ms
from profiles.engine import OnnxEngine, TorchEngine, onnx_runtime
from profiles.errors import ModelError, ProfileError
from profiles.onnx_export import to_onnx
from profiles.trace import TracedNetwork

CHOICES = ("auto", "torch", "onnxruntime")
#: Turns of both engines, of a short network and of a long one.
TURNS, TURNS_OF_LONG = 15, 3


def require_engine(engine: str, *, device: str) -> None:
    """Raises ProfileError for an engine that is not known, not here, or has no such device."""
    if engine not in CHOICES:
        raise ProfileError(f"--engine {engine}: expected one of {', '.join(CHOICES)}")
    if engine == "onnxruntime":
        onnx_runtime()
        if device != "cpu":
            raise ProfileError(f"--engine onnxruntime runs on the CPU; use --engine torch for --device {device}")


def faster_engine(
    network: TracedNetwork, *, threads: int, device: str, pause_ms: float, say: Callable[[str], None]
) -> str:
    """`torch` or `onnxruntime`, and a sentence why: both run the whole network in turn. torch on a GPU, and where
    ONNX Runtime is not installed or the network has no form as ONNX."""
    if device != "cpu":
        return "torch"
    whole, graph = halves.whole(network), network.graph
    try:
        onnx_runtime()
        names = [node.id for node in graph.inputs], [node.id for node in graph.outputs]
        data = to_onnx(whole, network.example, any_rows=network.dynamic_batch, inputs=names[0], outputs=names[1])
        other = OnnxEngine(data, threads=threads)
    except (ModelError, ProfileError) as error:
        say(f"engine torch: {str(error).partition('; ')[0]}")
        return "torch"
    del data
    inputs = [value.numpy() for value in network.example]
    runs: list[Callable[[], object]] = [
        partial(TorchEngine(whole).compute, network.example),
        partial(other.run, inputs),
    ]
    first_ms = [timed_ms(run, pause_ms=0, after_itself=True) for run in runs]
    turns = TURNS if max(first_ms) <= SHORT_MS else TURNS_OF_LONG
    rows = [[timed_ms(run, pause_ms=pause_ms, after_itself=True) for run in runs] for _ in range(turns)]
    torch_ms, onnx_ms = map(float, np.median(rows, axis=0))
    chosen = "onnxruntime" if onnx_ms < torch_ms else "torch"
    say(f"engine {chosen}: the whole network takes {_ms(onnx_ms)} in ONNX Runtime, {_ms(torch_ms)} in torch")
    return chosen


def _ms(value: float) -> str:
    return f"{value:.3f} ms" if value < 10 else f"{value:.0f} ms"
