"""Runs a network or a half: arrays in, arrays out. The seam behind which torch and ONNX Runtime stand."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from profiles.board import open_session
from profiles.errors import ModelError, ProfileError
from profiles.installing import extra

if TYPE_CHECKING:
    from torch import Tensor, fx

    from profiles.trace import TracedNetwork

Array = NDArray[Any]

#: Engine of a profile → the device on which torch runs what the engine does not.
ENGINES: dict[str, str] = {"torch": "cpu", "torch-cuda": "cuda", "onnxruntime": "cpu"}


class Engine(Protocol):
    """Something that computes a half."""

    name: str

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """One array an input, batch first → one array an output."""
        ...


class TorchEngine:
    """A traced half in torch, in inference mode, on the CPU or a GPU."""

    name = "torch"

    def __init__(self, module: "fx.GraphModule", *, device: str = "cpu") -> None:
        self._module = module.to(device)
        self._device = device

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        import torch

        given = [torch.from_numpy(np.require(value, requirements=["C", "W"])) for value in inputs]
        return [value.numpy() for value in self.compute(given)]

    def compute(self, inputs: Sequence["Tensor"]) -> list["Tensor"]:
        """Tensors on the CPU in and out, also of types that arrays have not (bfloat16)."""
        import torch

        with torch.inference_mode():
            if self._device != "cpu":
                inputs = [value.to(self._device) for value in inputs]
            return [value.cpu().contiguous() for value in self._module(*inputs)]


class OnnxEngine:
    """A half as an ONNX file in ONNX Runtime, on the CPU. Imports no torch.

    Inputs and outputs are in the file's order. Raises ProfileError where ONNX Runtime is missing, ModelError where it
    does not take the file.
    """

    name = "onnxruntime"

    def __init__(self, model: bytes | Path, *, threads: int | None = None) -> None:
        runtime = onnx_runtime()
        given = str(model) if isinstance(model, Path) else model
        try:
            self._session = open_session(given, threads=threads or 0)
        except Exception as error:  # ONNX Runtime's own classes derive from Exception alone
            origin = model if isinstance(model, Path) else "the ONNX model"
            raise ModelError(
                f"{origin}: ONNX Runtime {runtime.__version__} does not take it ({_first(error)})"
            ) from error
        self.inputs = tuple(one.name for one in self._session.get_inputs())
        self.outputs = tuple(one.name for one in self._session.get_outputs())
        self._run = self._session.run
        self._wanted = list(self.outputs)

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        return self._run(self._wanted, dict(zip(self.inputs, inputs, strict=True)))  # type: ignore[no-any-return]


def onnx_runtime() -> Any:
    """The module `onnxruntime`. Raises ProfileError where it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        raise ProfileError(
            f"engine onnxruntime is not installed here; {extra('edge')}, or use --engine torch"
        ) from None
    return onnxruntime


def _first(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__


class EagerEngine:
    """The user's own module, untraced: the witness against which halves are held. Outputs flattened to tensors."""

    name = "eager"

    def __init__(self, network: "TracedNetwork") -> None:
        self._network = network

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        import torch

        return [one.numpy() for one in self._network.eager([torch.from_numpy(np.array(one)) for one in inputs])]


def batches(
    inputs: Sequence[Array], *, rows: int | None, most: int = 500, filling: Sequence[Array] | None = None
) -> Iterator[tuple[list[Array], int]]:
    """Some rows of every input at a time, and how many of them count.

    rows: the only number that one call takes, the last batch then filled up; None: any up to `most`. filling: `rows`
    rows of every input to fill up with, None for copies of the last one. What crosses with noise needs them: every
    row gets a draw of its own, and several draws for one input would average out.
    """
    size = rows or most
    for start in range(0, len(inputs[0]), size):
        part = [one[start : start + size] for one in inputs]
        count = len(part[0])
        if rows is not None and count < size:
            spare = [np.repeat(one[-1:], size, axis=0) for one in part] if filling is None else filling
            part = [np.concatenate([one, more[: size - count]]) for one, more in zip(part, spare, strict=True)]
        yield part, count


def run_in_batches(
    engine: Engine, inputs: Sequence[Array], *, rows: int | None = None, most: int = 500
) -> list[Array]:
    """All rows of every input through an engine, in `batches`; outputs joined again, [rows, ...] each.

    An output whose first dimension is not the batch is one row's, at one row a call.
    """
    columns: list[list[Array]] = []
    for part, count in batches(inputs, rows=rows, most=most):
        size = len(part[0])
        answers = engine.run(part)
        columns.append([(one if one.ndim and len(one) == size else one[None])[:count] for one in answers])
    return [np.concatenate(column) for column in zip(*columns, strict=True)]


def torch_device(engine: str) -> str:
    """Where torch runs for an engine of a profile: on a GPU for `torch-cuda`, else on the CPU.

    Raises ProfileError for an engine that is not here, or a GPU that is not.
    """
    if engine not in ENGINES:
        raise ProfileError(f"engine {engine!r} is not known here, expected one of {', '.join(ENGINES)}; profile anew")
    device = ENGINES[engine]
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise ProfileError(
                f"the profile is of {engine}, and torch {torch.__version__} sees no CUDA device here; "
                "profile and cut for this device"
            )
    return device


def set_threads(threads: int | None) -> int:
    """Limit torch's threads in this process (None: as they are); the number in force."""
    import torch

    if threads:
        torch.set_num_threads(threads)
    return torch.get_num_threads()
