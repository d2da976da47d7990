"""What one name of the server runs: an engine between the tensors that a client sends and gets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from profiles import codec
from profiles.engine import Engine
from runtime.contract import TensorContract, rows_of
from runtime.identity import require_identity
from runtime.message_tensors import ProtocolError
from runtime.protocol import InferRequest, ModelMetadata

Array = NDArray[Any]


@dataclass(frozen=True)
class ServedModel:
    """inputs: as they cross; dtypes: as the engine takes them, where that differs (a wire of fewer bits).

    identity: of the half; a request that expects another is refused.
    """

    name: str
    engine: Engine
    inputs: tuple[TensorContract, ...]
    outputs: tuple[TensorContract, ...]
    dtypes: tuple[str, ...] | None = None
    identity: str | None = None

    def metadata(self) -> ModelMetadata:
        inputs, outputs = (tuple(one.facts() for one in side) for side in (self.inputs, self.outputs))
        return ModelMetadata(self.name, inputs, outputs, ("1",), f"plan_{self.engine.name}")

    @cached_property
    def any_rows(self) -> bool:
        """Whether rows are computed apart, so that several requests can be one batch."""
        return all(one.shape[:1] == (-1,) for one in (*self.inputs, *self.outputs))

    @cached_property
    def _output_names(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.outputs)

    @cached_property
    def row_bytes(self) -> int:
        """Bytes of one row of all inputs, as they cross."""
        return sum(one.row_bytes for one in self.inputs)

    def checked(self, tensors: Mapping[str, Array], *, most_rows: int) -> list[Array]:
        """The inputs in order. Raises ProtocolError: a name, shape, type or batch that is not this model's."""
        ordered = [tensors[one.name] for one in self.inputs if one.name in tensors]
        if not len(tensors) == len(ordered) == len(self.inputs):
            names = sorted(one.name for one in self.inputs)
            raise ProtocolError(f"got inputs {sorted(tensors)}, expected {names}")
        for one, tensor in zip(self.inputs, ordered, strict=True):
            if (objection := one.objection(tensor)) is not None:
                raise ProtocolError(f"input {objection}")
        rows = rows_of(self.inputs, ordered)
        if len(rows) > 1 or not all(1 <= count <= most_rows for count in rows):
            raise ProtocolError(f"got batches of {sorted(rows)}, expected one of 1 to {most_rows} for all inputs")
        return ordered

    def taken(self, request: InferRequest, *, most_rows: int) -> list[Array]:
        """A request's inputs as the engine takes them. Raises ProtocolError as `checked`; PlanError for parameters
        that bring no tensor back from fewer bits."""
        require_identity(self.identity, request.parameters)
        for name in request.wanted:
            if name not in self._output_names:
                raise ProtocolError(f"no output {name[:80]!r}, there are {list(self._output_names)}")
        inputs = self.checked(request.tensors, most_rows=most_rows)
        if self.dtypes is None:
            return inputs
        return [
            codec.from_wire(tensor, name=one.name, dtype=dtype, parameters=request.parameters)
            for tensor, one, dtype in zip(inputs, self.inputs, self.dtypes, strict=True)
        ]

    def rows(self, inputs: Sequence[Array]) -> int:
        """Rows of a request's inputs; 1 where their number is fixed."""
        return len(inputs[0]) if self.any_rows else 1

    def named(self, outputs: Sequence[Array], wanted: Sequence[str]) -> dict[str, Array]:
        """The engine's outputs by name, those that are wanted (none: all)."""
        given = dict(zip(self._output_names, outputs, strict=True))
        return {name: given[name] for name in wanted} if wanted else given

    def example(self) -> list[Array]:
        """One row of zeros of each input, as the engine takes it."""
        dtypes = self.dtypes or tuple(one.dtype for one in self.inputs)
        return [
            np.zeros([abs(size) for size in one.shape], dtype) for one, dtype in zip(self.inputs, dtypes, strict=True)
        ]
