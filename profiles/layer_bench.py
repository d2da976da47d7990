"""A table of layers timed on this device, to learn a predictor from: a designed spread, drawn log-uniformly.

The sizes bracket real networks, from LeNet's first convolution to VGG-16's first linear layer. Layers are timed as a
network runs them: a group is drawn with one layer of every form in it, and the whole group runs turn after turn, so
that a layer finds its weights as cold, and its input as recently used, as it would between neighbours.
"""

import csv
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import torch

from profiles.engine import set_threads
from profiles.flops import flops_of
from profiles.graph import Kind
from profiles.host import device_name
from profiles.layer_table import COLUMNS
from profiles.measure import summary, time_ns

Shape = tuple[int, ...]
Progress = Callable[[int, int], None]

#: What the table says beyond what every table must: the form of convolutions and poolings, the operator, the device.
FURTHER_COLUMNS = ("kernel", "stride", "groups", "operator", "device")

WARM_UPS, LEAST_TURNS, MOST_TURNS = 2, 3, 25
#: About how long the turns over one group may take. More turns give steadier medians, more groups more layers.
GROUP_S = 1.0


@dataclass(frozen=True)
class Layer:
    """One operator call.

    target: overload in `torch.ops.aten`. inputs, parameters: shapes, in the order of the call. settings: arguments by
    name; between: those that stand between inputs and parameters. indices: the first input holds integers below
    this, for a look-up. kernel (area), stride, groups: of convolutions and poolings.
    """

    kind: Kind
    target: str
    inputs: tuple[Shape, ...]
    parameters: tuple[Shape, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    between: tuple[Any, ...] = ()
    indices: int | None = None
    kernel: int = 0
    stride: int = 0
    groups: int = 0

    def call(self) -> Callable[[], torch.Tensor]:
        """The operator with its tensors at hand."""
        packet, _, overload = self.target.partition(".")
        operator = getattr(getattr(torch.ops.aten, packet), overload)
        # The time of these operators does not depend on values, as long as they are ordinary numbers.
        given = [torch.full(shape, 0.5) for shape in self.inputs]
        weights = [torch.full(shape, 0.01) for shape in self.parameters]
        if self.indices is not None:
            given[0] = torch.randint(self.indices, self.inputs[0])
            return lambda: operator(weights[0], given[0])
        if self.target.startswith("cat"):
            return lambda: operator(given, **self.settings)
        return lambda: operator(*given, *self.between, *weights, **self.settings)

    def features(self, output: Shape) -> dict[str, int]:
        """The predictor's features, counted as `trace` counts them."""
        name = self.target.partition(".")[0]
        flops = flops_of(name, kind=self.kind, inputs=[*self.inputs, *self.parameters], output=output)
        item = 8 if self.indices is not None else 4
        parameters = 4 * sum(map(prod, self.parameters))
        return {
            "flops": flops or 0,
            "input_bytes": item * sum(map(prod, self.inputs)),
            "output_bytes": 4 * prod(output),
            # Of an embedding only the rows looked up are read.
            "parameter_bytes": min(parameters, 4 * prod(output)) if self.kind == "embedding" else parameters,
            "kernel": self.kernel,
            "stride": self.stride,
            "groups": self.groups,
        }


def measure_layers(
    *,
    seconds: float,
    threads: int | None = None,
    seed: int = 0,
    progress: Progress = lambda done, of: None,
) -> bytes:
    """The table as CSV: the columns of `layer_table`, then `FURTHER_COLUMNS`.

    seconds: about how long to measure; the same seed draws the same layers, more of them in more time.
    """
    in_force = set_threads(threads)
    device = f"{device_name('cpu')}, {in_force} thread{'s' if in_force > 1 else ''}, torch {torch.__version__}"
    text = io.StringIO()
    table = csv.DictWriter(text, (*COLUMNS, *FURTHER_COLUMNS), lineterminator="\n")
    table.writeheader()
    rng = np.random.default_rng(seed)
    start = time.perf_counter()
    with torch.inference_mode():
        while True:
            group = draw_group(rng)
            for layer, (output, latency_ms) in zip(group, _time(group), strict=True):
                facts = {"kind": layer.kind, "operator": layer.target, "device": device, "latency_ms": latency_ms}
                table.writerow(layer.features(output) | facts)
            passed = time.perf_counter() - start
            progress(min(int(passed), int(seconds)), int(seconds))
            if passed >= seconds:
                return text.getvalue().encode()


def _time(group: Sequence[Layer]) -> list[tuple[Shape, float]]:
    """Output shape and median milliseconds of every layer, all of them turn after turn."""
    calls = [layer.call() for layer in group]
    outputs = [tuple(call().shape) for call in calls]
    for _ in range(WARM_UPS - 1):
        for call in calls:
            call()
    times: list[list[int]] = []
    end = time.perf_counter() + GROUP_S
    while len(times) < LEAST_TURNS or (len(times) < MOST_TURNS and time.perf_counter() < end):
        times.append([time_ns(call, _nothing) for call in calls])
    medians = [summary(column).median_ms for column in np.array(times).T]
    return list(zip(outputs, medians, strict=True))


def _nothing() -> None:
    """The CPU has finished when the call returns."""


# The spread. Every form below appears once in each group, the commonest in networks several times.


def draw_group(rng: np.random.Generator) -> list[Layer]:
    """Layers of every form, in random order."""
    forms = [*_FORMS]
    rng.shuffle(forms)
    return [form(rng) for form in forms]


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> int:
    return round(float(np.exp(rng.uniform(np.log(low), np.log(high)))))


def _picture(rng: np.random.Generator, *, most_elements: float, channels: tuple[int, int] = (3, 2048)) -> Shape:
    """[1, channels, side, side]: sides of 4 to 224, fewer channels where the side is large."""
    side = _log_uniform(rng, 4, 224)
    most = min(channels[1], max(channels[0] + 1, most_elements / side**2))
    return (1, _log_uniform(rng, channels[0], most), side, side)


def _convolution(rng: np.random.Generator, kernel: int, strides: Sequence[int]) -> Layer:
    low = 1 if kernel > 3 else 3
    _, channels, side, _ = shape = _picture(rng, most_elements=3.3e6, channels=(low, 1024))
    stride = int(rng.choice(strides))
    # At most 4 GFLOPs: VGG-16's largest has 3.7.
    most = 2e9 / (kernel**2 * channels * (side / stride) ** 2)
    out = _log_uniform(rng, 6, min(max(8.0, most), 2048))
    return Layer(
        "convolution",
        "conv2d.default",
        (shape,),
        ((out, channels, kernel, kernel), (out,)),
        {"stride": [stride] * 2, "padding": [kernel // 2] * 2},
        kernel=kernel**2,
        stride=stride,
        groups=1,
    )


def _depthwise(rng: np.random.Generator) -> Layer:
    _, channels, _, _ = shape = _picture(rng, most_elements=1.6e6, channels=(8, 1024))
    kernel, stride = int(rng.choice([3, 3, 5, 7])), int(rng.choice([1, 1, 2]))
    return Layer(
        "convolution",
        "conv2d.default",
        (shape,),
        ((channels, 1, kernel, kernel), (channels,)),
        {"stride": [stride] * 2, "padding": [kernel // 2] * 2, "groups": channels},
        kernel=kernel**2,
        stride=stride,
        groups=channels,
    )


def _linear(rng: np.random.Generator) -> Layer:
    # At most 103 M weights: VGG-16's first linear layer.
    width = _log_uniform(rng, 16, 25088)
    out = _log_uniform(rng, 2, min(4096, 1.03e8 / width))
    return Layer("linear", "linear.default", ((1, width),), ((out, width), (out,)))


def _linear_of_tokens(rng: np.random.Generator) -> Layer:
    tokens, width, out = _log_uniform(rng, 8, 512), _log_uniform(rng, 32, 3072), _log_uniform(rng, 32, 3072)
    return Layer("linear", "linear.default", ((1, tokens, width),), ((out, width), (out,)))


def _matmul(rng: np.random.Generator) -> Layer:
    heads, tokens, width = int(rng.choice([1, 2, 4, 8, 12, 16])), _log_uniform(rng, 8, 512), _log_uniform(rng, 8, 128)
    rows = _log_uniform(rng, 8, 512)
    return Layer("matmul", "matmul.default", ((1, heads, tokens, width), (1, heads, width, rows)))


def _attention(rng: np.random.Generator) -> Layer:
    heads, tokens, width = int(rng.choice([1, 2, 4, 8, 12])), _log_uniform(rng, 8, 400), int(rng.choice([32, 64, 64]))
    return Layer("matmul", "scaled_dot_product_attention.default", ((1, heads, tokens, width),) * 3)


def _windowed_pooling(rng: np.random.Generator) -> Layer:
    shape, (kernel, stride) = _picture(rng, most_elements=3.3e6), ((2, 2), (3, 2), (3, 2))[rng.integers(3)]
    target = str(rng.choice(["max_pool2d.default", "max_pool2d.default", "avg_pool2d.default"]))
    window = {"kernel_size": [kernel] * 2, "stride": [stride] * 2, "padding": [kernel // 2] * 2}
    return Layer("pooling", target, (shape,), settings=window, kernel=kernel**2, stride=stride)


def _global_pooling(rng: np.random.Generator) -> Layer:
    shape = _picture(rng, most_elements=1e6)
    return Layer("pooling", "adaptive_avg_pool2d.default", (shape,), settings={"output_size": [1, 1]})


def _batch_norm(rng: np.random.Generator) -> Layer:
    shape = _picture(rng, most_elements=3.3e6)
    settings = {"training": False, "momentum": 0.1, "eps": 1e-5, "cudnn_enabled": False}
    return Layer("normalisation", "batch_norm.default", (shape,), ((shape[1],),) * 4, settings)


def _layer_norm(rng: np.random.Generator) -> Layer:
    tokens, width = _log_uniform(rng, 8, 512), _log_uniform(rng, 32, 2048)
    return Layer("normalisation", "layer_norm.default", ((1, tokens, width),), ((width,),) * 2, between=([width],))


def _activation(rng: np.random.Generator) -> Layer:
    target = str(rng.choice(["relu.default", "relu.default", "relu.default", "hardtanh.default", "gelu.default"]))
    settings = {"min_val": 0.0, "max_val": 6.0} if "tanh" in target else {}
    return Layer("activation", target, (_picture(rng, most_elements=3.3e6),), settings=settings)


def _addition(rng: np.random.Generator) -> Layer:
    return Layer("join", "add.Tensor", (_picture(rng, most_elements=1.6e6),) * 2)


def _concatenation(rng: np.random.Generator) -> Layer:
    _, channels, *sides = shape = _picture(rng, most_elements=1.6e6)
    other = (1, _log_uniform(rng, 8, max(9, channels)), *sides)
    return Layer("join", "cat.default", (shape, other), settings={"dim": 1})


def _embedding(rng: np.random.Generator) -> Layer:
    rows, width, tokens = _log_uniform(rng, 100, 30000), _log_uniform(rng, 16, 768), _log_uniform(rng, 4, 512)
    return Layer("embedding", "embedding.default", ((1, tokens),), ((rows, width),), indices=rows)


def _copy(rng: np.random.Generator) -> Layer:
    return Layer("reshape", "clone.default", (_picture(rng, most_elements=1.6e6),))


#: Kernel and the strides to choose from.
_CONVOLUTIONS = (
    *((1, (1, 1, 2)), (1, (1, 1, 2))),
    *((3, (1,)), (3, (1,)), (3, (1, 2))),
    *((5, (1, 2)), (7, (2,)), (11, (4,))),
)

_FORMS: tuple[Callable[[np.random.Generator], Layer], ...] = (
    *(lambda rng, k=kernel, s=strides: _convolution(rng, k, s)
      for kernel, strides in _CONVOLUTIONS),
    _depthwise, _depthwise,
    _linear, _linear, _linear_of_tokens, _linear_of_tokens,
    _matmul, _matmul, _attention,
    _windowed_pooling, _windowed_pooling, _global_pooling,
    _batch_norm, _batch_norm, _layer_norm,
    _activation, _activation, _activation,
    _addition, _addition, _concatenation,
    _embedding, _embedding,
    _copy, _copy,
)  # fmt: skip
