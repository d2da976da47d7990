"""The networks that come with the tool, by name."""

import importlib
import importlib.resources
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class ZooEntry:
    """A network of the zoo.

    module: where its `build()` is. input_shape: of one input, without the batch. data: what its weights learned.
    weights: file beside this one, or None.
    """

    name: str
    module: str
    input_shape: tuple[int, ...]
    data: str
    weights: str | None

    def build(self) -> "nn.Module":
        """The network with its trained weights, in eval mode."""
        network: nn.Module = importlib.import_module(self.module).build()
        if self.weights is not None:
            from safetensors.torch import load

            data = importlib.resources.files("profiles.zoo").joinpath("weights", self.weights).read_bytes()
            network.load_state_dict(load(data))
        return network.eval()


ZOO: dict[str, ZooEntry] = {
    entry.name: entry
    for entry in (ZooEntry("lenet", "profiles.zoo.lenet", (1, 28, 28), "mnist", "lenet.safetensors"),)
}
