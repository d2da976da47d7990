"""Noise ↔ the named tensors of its file (docs/noise-file.md). Whatever a file holds is checked before it is used."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noise.bottleneck import BottleneckMap, CodeNormal
from noise.channel import ChannelNoise, DenseMap, Map, PointwiseMap
from noise.gaussian import DenseNormal, GaussianNoise, LowRankNormal, Normal
from noise.laplace import LaplaceNoise, OrderedLaplace
from noise.mechanism import Mechanism
from noise.packing import pack_order, unpack_order

Array = NDArray[Any]
Arrays = Mapping[str, Array]
Shapes = Mapping[str, tuple[int, ...]]
#: How far a file's basis may be from orthonormal: its numbers are rounded.
ROUNDING = 1e-2
#: How much weaker one direction of a decoder may be than another: beyond, float32 does not tell its numbers apart.
#: Learned ones have 1.4 to 3.3.
CONDITION = 1e4
#: What a bottleneck is made of.
BOTTLENECK = ("encoder", "bias", "code", "decoder")


def to_arrays(noise: Mechanism) -> dict[str, Array]:
    """What a file keeps of noise; NODE.PART → array."""
    if isinstance(noise, LaplaceNoise):
        return {f"{node}.{part}": one for node, kept in noise.tensors.items() for part, one in _laplace(kept).items()}
    assert isinstance(noise, GaussianNoise | ChannelNoise)
    arrays = {f"{node}.{part}": one for node, kept in noise.normals.items() for part, one in _normal(kept).items()}
    if isinstance(noise, ChannelNoise):
        for node, kept in noise.maps.items():
            arrays |= {f"{node}.{part}": one for part, one in _map(kept).items()}
            arrays[f"{node}.offset"] = noise.offsets[node]
    return arrays


def from_arrays(kind: str, arrays: Arrays, shapes: Shapes) -> Mechanism:
    """shapes: of one inference's share of each crossing tensor.

    Raises KeyError for a tensor that is missing, ValueError naming one that is wrong.
    """
    made = KINDS[kind](arrays, shapes)
    # Of another kind's file a part would be read, and its map left out.
    _require(not (more := sorted(arrays.keys() - to_arrays(made).keys())), more[0] if more else "")
    return made


def footprint_bytes(noise: Mechanism) -> int:
    """Bytes on disk beside the header; of `laplace` the packed orders alone, as Table 3 counts."""
    arrays = to_arrays(noise)
    counted = {name for name in arrays if noise.kind != "laplace" or name.endswith(".order")}
    return sum(arrays[name].nbytes for name in counted)


def _laplace(one: OrderedLaplace) -> dict[str, Array]:
    return {"loc": one.loc, "scale": one.scale, "order": pack_order(one.order)}


def _normal(one: Normal) -> dict[str, Array]:
    if isinstance(one, DenseNormal):
        zero = np.zeros(one.elements, dtype=np.float32)
        return {"mean": zero, "factor": one.factor, "diagonal": zero}
    if isinstance(one, CodeNormal):
        return {"gain": np.array([one.gain], dtype=np.float64)}  # its decoder is the map's
    assert isinstance(one, LowRankNormal)
    return {"scale": one.scale, "basis": one.basis, "shrink": one.shrink}


def _map(one: Map) -> dict[str, Array]:
    if isinstance(one, DenseMap):
        return {"map": one.weight}
    if isinstance(one, BottleneckMap):
        return {part: getattr(one, part) for part in BOTTLENECK}
    assert isinstance(one, PointwiseMap)
    return {"map": one.weight, "map_axis": np.array([-1 if one.last else 1], dtype=np.int8)}


def _read_laplace(arrays: Arrays, shapes: Shapes) -> LaplaceNoise:
    tensors = {}
    for node, shape in shapes.items():
        loc, scale, packed = (arrays[f"{node}.{part}"] for part in ("loc", "scale", "order"))
        elements = int(np.prod(shape))
        _require(loc.ndim == 1 and len(loc) > 0 and loc.dtype == np.float64 and _finite(loc), f"{node}.loc")
        _require(
            scale.shape == loc.shape and scale.dtype == np.float64 and _finite(scale) and bool((scale > 0).all()),
            f"{node}.scale",
        )
        try:
            order = unpack_order(packed, distributions=len(loc), elements=elements)
        except ValueError:
            raise ValueError(f"{node}.order") from None
        _require(bool((np.sort(order, axis=1) == np.arange(elements)).all()), f"{node}.order")
        tensors[node] = OrderedLaplace(loc, scale, order)
    counts = {one.distributions for one in tensors.values()}
    _require(len(counts) == 1, "loc")
    return LaplaceNoise(tensors)


def _read_gaussian(arrays: Arrays, shapes: Shapes) -> GaussianNoise:
    return GaussianNoise({node: _read_normal(arrays, node, int(np.prod(shape))) for node, shape in shapes.items()})


def _read_channel(arrays: Arrays, shapes: Shapes) -> ChannelNoise:
    maps, offsets, normals = dict[str, Map](), dict[str, NDArray[np.float32]](), dict[str, Normal]()
    for node, shape in shapes.items():
        elements = int(np.prod(shape))
        offsets[node] = _floats(arrays, f"{node}.offset", (elements,))
        if f"{node}.encoder" in arrays:
            maps[node], normals[node] = _read_bottleneck(arrays, node, elements)
            continue
        normals[node] = _read_normal(arrays, node, elements)
        maps[node] = _read_map(arrays, node, shape)
    return ChannelNoise(maps, offsets, normals)


def _read_normal(arrays: Arrays, node: str, elements: int) -> Normal:
    if f"{node}.factor" in arrays:
        factor = _floats(arrays, f"{node}.factor", (elements, elements))
        lower = bool((np.triu(factor, 1) == 0).all() and (factor.diagonal() > 0).all())
        _require(lower, f"{node}.factor")
        for part in ("mean", "diagonal"):
            _require(not _floats(arrays, f"{node}.{part}", (elements,)).any(), f"{node}.{part}")
        return DenseNormal(factor)
    scale = _floats(arrays, f"{node}.scale", (elements,))
    basis = arrays[f"{node}.basis"]
    rank = basis.shape[1] if basis.ndim == 2 else 0
    basis = _floats(arrays, f"{node}.basis", (elements, rank))
    shrink = _floats(arrays, f"{node}.shrink", (rank,))
    _require(bool((scale > 0).all()), f"{node}.scale")
    _require(bool((shrink < 1).all()), f"{node}.shrink")
    _require(bool(np.allclose(basis.T @ basis, np.eye(rank), atol=ROUNDING)), f"{node}.basis")
    return LowRankNormal(scale, basis, shrink)


def _read_bottleneck(arrays: Arrays, node: str, elements: int) -> tuple[BottleneckMap, CodeNormal]:
    encoder, code, gain = (arrays[f"{node}.{part}"] for part in ("encoder", "code", "gain"))
    hidden, width = (len(np.atleast_1d(one)) for one in (encoder, code))
    shapes = ((hidden, elements), (hidden,), (width, hidden), (elements, width))
    _require(hidden > 0, f"{node}.encoder")
    _require(width > 0, f"{node}.code")
    found = BottleneckMap(
        *(_floats(arrays, f"{node}.{part}", shape) for part, shape in zip(BOTTLENECK, shapes, strict=True))
    )
    # Numbers that noise does not reach in all directions could be told apart without it.
    spectrum = np.linalg.svd(found.decoder.astype(np.float64), compute_uv=False)
    _require(elements >= width and bool(spectrum[-1] * CONDITION > spectrum[0]), f"{node}.decoder")
    _require(gain.shape == (1,) and gain.dtype == np.float64 and _finite(gain) and gain[0] > 0, f"{node}.gain")
    return found, CodeNormal(found.decoder, float(gain[0]))


def _read_map(arrays: Arrays, node: str, shape: Sequence[int]) -> Map:
    if f"{node}.map_axis" not in arrays:
        elements = int(np.prod(shape))
        return DenseMap(_floats(arrays, f"{node}.map", (elements, elements)))
    axis = arrays[f"{node}.map_axis"]
    _require(axis.shape == (1,) and axis.dtype == np.int8 and int(axis[0]) in (-1, 1), f"{node}.map_axis")
    channels = len(np.atleast_1d(arrays[f"{node}.map"]))
    _require(channels > 0 and int(np.prod(shape)) % channels == 0, f"{node}.map")
    return PointwiseMap(_floats(arrays, f"{node}.map", (channels, channels)), last=int(axis[0]) == -1)


def _floats(arrays: Arrays, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    found = arrays[name]
    _require(found.dtype == np.float32 and found.shape == shape and _finite(found), name)
    return found


def _finite(found: Array) -> bool:
    return bool(np.isfinite(found).all())


def _require(holds: bool, name: str) -> None:
    if not holds:
        raise ValueError(name)


KINDS: dict[str, Callable[[Arrays, Shapes], Mechanism]] = {
    "laplace": _read_laplace,
    "gaussian": _read_gaussian,
    "channel": _read_channel,
}
