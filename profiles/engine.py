"""Runs a network or a half: arrays in, arrays out. The seam behind which torch stands."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import fx

Array = NDArray[Any]


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

        with torch.inference_mode():
            given = [torch.from_numpy(np.require(value, requirements=["C", "W"])) for value in inputs]
            if self._device != "cpu":
                given = [value.to(self._device) for value in given]
            return [value.cpu().contiguous().numpy() for value in self._module(*given)]


def run_in_batches(engine: Engine, inputs: Array, *, size: int = 500) -> list[Array]:
    """All rows of one input through an engine, `size` at a time; outputs joined again."""
    parts = [engine.run([inputs[start : start + size]]) for start in range(0, len(inputs), size)]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def set_threads(threads: int | None) -> int:
    """Limit torch's threads in this process (None: as they are); the number in force."""
    import torch

    if threads:
        torch.set_num_threads(threads)
    return torch.get_num_threads()
