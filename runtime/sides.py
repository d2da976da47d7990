"""What each side of a cut needs to work: an engine for its half, and what both sides agree on. No torch.

A side is made from a plan and its model (`serving`), or from a folder that `plan split` wrote (`folders`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from noise.keyed import DrawKey
from noise.mechanism import Mechanism
from noise.network_inputs import NetworkInput, fitted
from planner.plan import Plan, Wire
from profiles import codec
from profiles.artifact import Count
from profiles.engine import Engine, batches
from profiles.errors import ArtifactError, PlanError
from profiles.graph import LayerGraph, Node
from runtime.client import CloudClient
from runtime.contract import TensorContract
from runtime.edge import EdgeHalf

if TYPE_CHECKING:
    from runtime.cloud import ServedModel

Array = NDArray[Any]


class HalfTensor(msgspec.Struct, frozen=True):
    """A tensor between the halves or at the network's end; shape at the planned batch."""

    node: str
    dtype: str
    shape: tuple[Count, ...]

    @classmethod
    def of(cls, node: Node) -> Self:
        return cls(node.id, node.dtype, node.shape)

    def contract(self, *, any_rows: bool, wire: Wire | None = None) -> TensorContract:
        """As it is sent. any_rows: its first dimension is the batch, and any batch goes. wire: None for as it is."""
        shape = (-1, *self.shape[1:]) if any_rows and self.shape else self.shape
        dtype = self.dtype if wire is None else codec.wire_dtype(self.dtype, wire)
        return TensorContract(self.node, dtype, shape)


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """What edge and cloud agree on, beyond the plan.

    crossing: in graph order. beside: those of them that cross as they are. outputs: of the whole network; on_cloud:
    those that the cloud computes. any_rows: whether the halves run any number of rows; else `batch`, no other.
    """

    batch: Annotated[int, msgspec.Meta(ge=1)]
    any_rows: bool
    wire: Wire
    crossing: tuple[HalfTensor, ...]
    beside: tuple[str, ...]
    outputs: tuple[HalfTensor, ...]
    on_cloud: tuple[str, ...]

    @classmethod
    def of(cls, graph: LayerGraph, plan: Plan, *, any_rows: bool, beside: Sequence[str]) -> Self:
        """Of a plan and its network's graph."""
        outputs = tuple(map(HalfTensor.of, graph.outputs))
        return cls(
            batch=plan.settings.batch,
            any_rows=any_rows,
            wire=plan.settings.wire,
            crossing=tuple(map(HalfTensor.of, graph.crossing(plan.cut.edge_nodes))),
            beside=tuple(beside),
            outputs=outputs,
            on_cloud=tuple(one.node for one in outputs if one.node not in plan.cut.edge_nodes),
        )

    @property
    def rows(self) -> int | None:
        """The number of rows that one call of a half takes; None: any."""
        return None if self.any_rows else self.batch

    @property
    def sent(self) -> tuple[TensorContract, ...]:
        """What crosses, as it crosses."""
        return tuple(one.contract(any_rows=self.any_rows, wire=self.wire) for one in self.crossing)

    @property
    def replies(self) -> tuple[TensorContract, ...]:
        """What the cloud half answers with."""
        answered = [one for one in self.outputs if one.node in self.on_cloud]
        return tuple(one.contract(any_rows=self.any_rows) for one in answered)

    @property
    def from_edge(self) -> tuple[str, ...]:
        """What the edge half returns: the crossing tensors, then those outputs that lie on the edge."""
        kept = [one.node for one in self.outputs if one.node not in self.on_cloud]
        return (*(one.node for one in self.crossing), *kept)

    def joined(self, from_edge: Sequence[Array], from_cloud: Sequence[Array]) -> list[Array]:
        """The network's outputs in order. from_edge: what the edge half returned, crossing tensors first."""
        own, theirs = iter(from_edge[len(self.crossing) :]), iter(from_cloud)
        return [next(theirs if one.node in self.on_cloud else own) for one in self.outputs]

    def require_planned(self, plan: Plan, *, origin: str) -> None:
        """Raises ArtifactError where these are not the halves of that plan."""
        given = tuple((one.node, one.shape, one.dtype) for one in self.crossing)
        planned = tuple((one.node, one.shape, one.dtype) for one in plan.cut.crossing)
        if given != planned or self.wire != plan.settings.wire or self.batch != plan.settings.batch:
            raise ArtifactError(f"{origin}: cut, batch or wire are not those of plan.json beside it; split it anew")


@dataclass(frozen=True)
class EdgeSide:
    """The edge half, and what it takes and expects. engine: inputs in order → `agreed.from_edge`.

    example: inputs [batch, ...] that are nobody's, to warm up with. identity: of the half that the cloud must have.
    """

    agreed: Agreement
    engine: Engine
    inputs: tuple[NetworkInput, ...]
    example: tuple[Array, ...]
    identity: str | None = None

    def fitting(self, inputs: Any, *, origin: str) -> tuple[Array, ...]:
        """As `network_inputs.fitted`: an array [n, ...] for each input of the network."""
        return fitted(self.inputs, inputs, origin=origin)

    def batches(
        self, inputs: Sequence[Array], *, most: int, filled: bool = False
    ) -> Iterator[tuple[list[Array], int]]:
        """As `engine.batches`: what the half takes at a time, and how many rows count. filled: `most` rows, though
        any would go. Filled up with the example, never with an input of the user's, which would get several draws."""
        rows = most if filled else self.agreed.rows
        return batches(inputs, rows=rows, most=most, filling=self.example)

    def half(
        self,
        noise: Mechanism,
        client: CloudClient,
        *,
        quantisation: Mapping[str, codec.Quantisation] | None = None,
        key: DrawKey | None = None,
        timing: bool = False,
        checked: bool = False,
    ) -> EdgeHalf:
        """Ready to infer. quantisation: of the noise's facts, for int8. key: draws are keyed, else fresh. timing: ask
        the server for its clock readings. checked: `infer` raises DataError for inputs that do not fit."""
        return EdgeHalf(
            self.engine,
            noise,
            client,
            crossing=[one.node for one in self.agreed.crossing],
            beside=self.agreed.beside,
            wire=self.agreed.wire,
            quantisation=quantisation,
            replies=self.agreed.replies,
            joined=self.agreed.joined,
            key=key,
            timing=timing,
            expected=self.identity,
            fits=self._given if checked else None,
        )

    def _given(self, inputs: Any) -> tuple[Array, ...]:
        several = isinstance(inputs, list | tuple)
        return self.fitting(tuple(map(np.asarray, inputs)) if several else inputs, origin="inputs")


@dataclass(frozen=True)
class CloudSide:
    """The cloud half under its name. engine: the crossing tensors in order → `agreed.replies`."""

    agreed: Agreement
    engine: Engine
    name: str
    identity: str | None = None

    def served(self) -> "ServedModel":
        """Ready to be served."""
        from runtime.cloud import ServedModel  # an edge needs no server

        dtypes = tuple(one.dtype for one in self.agreed.crossing)
        return ServedModel(self.name, self.engine, self.agreed.sent, self.agreed.replies, dtypes, self.identity)


def cloud_only_name(model: str) -> str:
    """The name under which the whole network is served for comparison."""
    return f"{model}-cloud-only"


def prepared_name(model: str, cut: str) -> str:
    """The name under which a prepared cut's cloud half is served."""
    return f"{model}@{cut}"


def require_cut(plan: Plan) -> None:
    """Raises PlanError for a plan that is a reference, not a cut."""
    if plan.cut.name in ("edge-only", "cloud-only"):
        raise PlanError(f"the plan is {plan.cut.name}: there are no two halves to run; make one with `plan cut`")
