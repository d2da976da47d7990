"""What the edge does, as torch functions through which gradients flow: its half, the noise's map, the whitening."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from noise.bottleneck import BottleneckMap, CodeNormal
from noise.channel import ChannelNoise, DenseMap, PointwiseMap
from noise.cut_network import CutNetwork
from noise.gaussian import LowRankNormal, Normal, OfNormals
from noise.mechanism import Mechanism
from noise.side_by_side import side_by_side
from profiles.errors import NoiseError

#: Tensors [rows, …] → [rows, …].
Function = Callable[[Tensor], Tensor]


def sent_torch(cut: CutNetwork, noise: Mechanism | None) -> Function:
    """Inputs [m, *shape] → what crosses for them without what is random [m, elements], all tensors side by side.

    Raises NoiseError for a network that takes more than one input, or one that is not of floats: there is no image to
    look for by gradients.
    """
    half, carried = edge_torch(cut), carried_torch(noise)

    def sent(inputs: Tensor) -> Tensor:
        return torch.cat(carried(half(inputs)), dim=1)

    return sent


def edge_torch(cut: CutNetwork) -> Callable[[Tensor], list[Tensor]]:
    """Inputs [m, *shape] → the crossing tensors that take noise, flattened, float32 [m, n] each."""
    if len(cut.inputs) != 1 or np.dtype(cut.inputs[0].dtype).kind != "f":
        taken = ", ".join(f"{one.name} ({one.dtype})" for one in cut.inputs)
        raise NoiseError(f"the network takes {taken}; an input is only looked for by gradients where it is one image")
    dtype = cut.network.example[0].dtype
    across = side_by_side(cut.halves.edge)

    def half(inputs: Tensor) -> list[Tensor]:
        given = inputs.to(dtype)
        if cut.rows is None:
            outputs = cut.halves.edge(given)
        else:
            missing = -len(given) % cut.rows
            full = torch.cat([given, given[-1:].expand(missing, *given.shape[1:])]) if missing else given
            outputs = across(full.reshape(-1, cut.rows, *full.shape[1:]))
        crossing = dict(zip(cut.halves.crossing, outputs, strict=False))
        return [crossing[name].reshape(-1, size)[: len(given)].float() for name, size in _sizes(cut).items()]

    return half


def carried_torch(noise: Mechanism | None) -> Callable[[list[Tensor]], list[Tensor]]:
    """`noise.carried` for torch tensors [rows, n] each."""
    if not isinstance(noise, ChannelNoise):
        return lambda tensors: tensors
    maps = [map_torch(noise.maps[node]) for node in noise.nodes]
    offsets = [torch.from_numpy(noise.offsets[node]) for node in noise.nodes]
    return lambda tensors: [one(t) + offset for one, offset, t in zip(maps, offsets, tensors, strict=True)]


def map_torch(one: Any) -> Function:
    """A map before the noise, for torch tensors [rows, n]. Raises NoiseError for one of another form."""
    if isinstance(one, DenseMap | PointwiseMap):
        weight = torch.from_numpy(one.weight)
        channels = len(weight)
        if isinstance(one, DenseMap):
            return lambda tensors: tensors @ weight.T
        if one.last:
            return lambda tensors: (tensors.reshape(-1, channels) @ weight.T).reshape(tensors.shape)
        return lambda tensors: (weight @ tensors.reshape(len(tensors), channels, -1)).reshape(tensors.shape)
    if isinstance(one, BottleneckMap):
        encoder, bias, code, decoder = (
            torch.from_numpy(part) for part in (one.encoder, one.bias, one.code, one.decoder)
        )
        return lambda tensors: torch.relu(tensors @ encoder.T + bias) @ code.T @ decoder.T
    raise NoiseError(f"a map of form {type(one).__name__} cannot be followed by gradients")


def whitening_torch(noise: OfNormals) -> Function:
    """Σn^-½ t for tensors that carry the map already [rows, elements], side by side → [rows, dimensions]."""
    normals = list(noise.normals.values())
    functions, sizes = [_whitened(one) for one in normals], [one.elements for one in normals]

    def whiten(tensors: Tensor) -> Tensor:
        parts = torch.split(tensors, sizes, dim=1)
        return torch.cat([one(part) for one, part in zip(functions, parts, strict=True)], dim=1)

    return whiten


def _whitened(normal: Normal) -> Function:
    if isinstance(normal, LowRankNormal):
        scale, basis, shrink = (torch.from_numpy(one) for one in (normal.scale, normal.basis, normal.shrink))

        def whiten(tensors: Tensor) -> Tensor:
            y = tensors / scale
            return y + ((y @ basis) * (shrink / (1 - shrink))) @ basis.T

        return whiten
    if isinstance(normal, CodeNormal):
        inverse = torch.from_numpy(normal.inverse.astype(np.float32))
        return lambda tensors: tensors @ inverse
    # Any other is small and linear: its matrix says it all.
    matrix = torch.from_numpy(np.asarray(normal.whitened(np.eye(normal.elements)), dtype=np.float32))
    return lambda tensors: tensors @ matrix


def _sizes(cut: CutNetwork) -> dict[str, int]:
    return {name: int(np.prod(shape)) for name, shape in cut.shapes.items()}
