"""What noise costs the edge, before it is learned: the form each kind takes for a tensor, and its FLOPs.

A covariance is a whole matrix up to DENSE_ELEMENTS elements, beyond of low rank. A channel's map is a perceptron to a
few numbers, whose noise is all there is; a linear one is a whole matrix or a 1×1 convolution likewise.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Any, Literal, get_args

from profiles.errors import PlanError
from profiles.graph import LayerGraph

NoiseKind = Literal["laplace", "gaussian", "channel"]
NOISE_KINDS: tuple[str, ...] = get_args(NoiseKind)
#: `first` and `last` say which axis of the tensor holds the channels that a 1×1 convolution mixes.
MapForm = Literal["dense", "first", "last"]

DENSE_ELEMENTS = 1000
#: Units of a channel's perceptron where the narrowest will do, which is what is priced before it is learned; and the
#: numbers that come out of it, at most.
HIDDEN, CODE = 16, 16
#: Directions in which noise of low rank differs from its diagonal.
RANK = 32


def require_kind(kind: str) -> NoiseKind:
    """Raises PlanError for a kind that is none."""
    for known in get_args(NoiseKind):
        if kind == known:
            return known  # type: ignore[no-any-return]
    raise PlanError(f"--noise {kind}: expected {', '.join(NOISE_KINDS[:-1])} or {NOISE_KINDS[-1]}")


def map_form(shape: Sequence[int], *, tokens: bool = False) -> MapForm:
    """How a channel maps one inference's share of a tensor. tokens: whether what takes it is no convolution."""
    if prod(shape) <= DENSE_ELEMENTS:
        return "dense"
    return "last" if tokens and len(shape) > 1 else "first"


def map_channels(form: MapForm, shape: Sequence[int]) -> int:
    """Rows and columns of the map's matrix. Of a long vector no channels are known: one factor for all of it."""
    if form == "dense":
        return prod(shape)
    if len(shape) < 2:
        return 1
    return shape[0] if form == "first" else shape[-1]


def takes_tokens(graph: LayerGraph, node: str) -> bool:
    """Whether a tensor's channels are its last dimension: what computes with it next is no convolution or pooling.

    Joins, normalisations and activations on the way leave the channels where they are.
    """
    waiting, seen = list(graph.consumers[node]), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        kind = graph.by_id[name].kind
        if kind in ("convolution", "pooling"):
            return False
        if kind in ("join", "normalisation", "activation", "other"):
            waiting.extend(graph.consumers[name])
    return True


#: Operators that give the same elements in the same order another shape.
RESHAPING = frozenset({"flatten", "view", "reshape", "_unsafe_view", "squeeze", "unsqueeze", "contiguous", "clone"})


def layout(graph: LayerGraph, node: str, shape: Sequence[int]) -> tuple[tuple[int, ...], bool]:
    """The shape in which one inference's share of a tensor has its channels, and whether they are the last dimension.

    shape: of the share as it crosses. A vector that was flattened is seen as it was before.
    """
    if len(shape) > 1:
        return tuple(shape), takes_tokens(graph, node)
    one = graph.by_id[node]
    while len(one.inputs) == 1 and (one.op in RESHAPING or one.kind in ("activation", "other")):
        one = graph.by_id[one.inputs[0]]
        if len(one.shape) > 2 and prod(one.shape[1:]) == prod(shape):
            return one.shape[1:], len(one.shape) == 3 and takes_tokens(graph, one.id)
    return tuple(shape) or (1,), False


def noise_flops(
    kind: str, shape: Sequence[int], *, tokens: bool = False, linear: bool = False, hidden: int = HIDDEN
) -> int:
    """Of one inference's noise for a tensor: map, factor and adding; 2 for a multiply-add.

    linear: of a channel whose map is linear; else it is a perceptron of so many hidden units.
    """
    n = prod(shape)
    if kind == "laplace":
        return n
    if kind == "channel" and not linear:
        code = min(CODE, hidden, n)
        mapping = 2 * hidden * n + hidden + 2 * code * hidden + 2 * n * code + n
        return mapping + 2 * n * code + n
    drawing = 2 * n * n if n <= DENSE_ELEMENTS else 4 * n * RANK + 2 * n
    if kind == "gaussian":
        return drawing + n
    channels = map_channels(map_form(shape, tokens=tokens), shape)
    return 2 * n * channels + n + drawing + n


def noise_share(
    graph: LayerGraph,
    kind: str,
    shapes: Mapping[str, Sequence[int]],
    edge_nodes: Iterable[str],
    *,
    batch: int,
    **form: Any,
) -> float | None:
    """FLOPs of one inference's noise over those of its edge half; None where those are unknown.

    shapes: node → one inference's share of each crossing tensor that takes noise. batch: of the graph's FLOPs. form:
    of a channel's map, as `noise_flops` takes it.
    """
    edge = sum(graph.by_id[name].flops or 0 for name in edge_nodes) / batch
    layouts = [layout(graph, node, shape) for node, shape in shapes.items()]
    own = sum(noise_flops(kind, shape, tokens=tokens, **form) for shape, tokens in layouts)
    return own / edge if edge else None
