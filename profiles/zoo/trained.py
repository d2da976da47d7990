"""Trained weights of the zoo's networks: those that come with the tool, and those made on this machine."""

import importlib.resources
from pathlib import Path
from typing import TYPE_CHECKING

from profiles import artifact
from profiles.cache import cache_folder
from profiles.errors import ModelError

if TYPE_CHECKING:
    from torch import nn


def cached_weights(name: str) -> Path:
    """Where `plan models train` keeps a network's weights."""
    return cache_folder() / "models" / f"{name}.safetensors"


def weights_bytes(name: str, shipped: str | None) -> tuple[bytes, str] | None:
    """A network's weights file and where it was found; None: it has random weights. What is shipped comes first."""
    if shipped is not None:
        resource = importlib.resources.files("profiles.zoo").joinpath("weights", shipped)
        return resource.read_bytes(), f"profiles/zoo/weights/{shipped}"
    path = cached_weights(name)
    return (artifact.read_bytes(path, what=f"weights of {name}"), str(path)) if path.exists() else None


def load_weights(network: "nn.Module", data: bytes, *, name: str, origin: str) -> None:
    """Put weights into a network. Raises ModelError: no safetensors, other layers or shapes, or not finite."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(data)
    except SafetensorError as error:
        raise _wrong(name, origin, f"no whole safetensors file: {error}") from error
    expected = network.state_dict()
    for key in sorted(expected.keys() | tensors.keys()):
        found, wanted = (list(one[key].shape) if key in one else "nothing" for one in (tensors, expected))
        if found != wanted:
            raise _wrong(name, origin, f"{key} is {found}, expected {wanted}")
        if not torch.isfinite(tensors[key]).all():
            raise _wrong(name, origin, f"{key} is not finite")
    network.load_state_dict(tensors)


def _wrong(name: str, origin: str, reason: str) -> ModelError:
    return ModelError(f"{origin}: not weights of {name} ({reason}); delete it and run `plan models train {name}`")
