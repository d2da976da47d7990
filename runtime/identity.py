"""Which network a half is of: the edge says in each request which one it expects, the cloud refuses to be another.

Shapes do not tell: a server that was restarted with other weights would answer wrongly and nobody would notice.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import msgspec

from planner.plan import Plan
from runtime.message_tensors import ProtocolError

#: The request's parameter that says which half is expected.
HALF = "plan_half"


class OtherHalfError(ProtocolError):
    """A request for another network's half than the one that is served."""

    status = 409


def identity_of(plan: Plan) -> str:
    """16 hexadecimal digits of a digest of architecture, weights, cut and wire; it tells nothing of them."""
    cut = sorted(plan.cut.edge_nodes), [one.node for one in plan.cut.crossing]
    facts = plan.model.architecture, plan.model.weights, cut, plan.settings.wire
    return sha256(msgspec.json.encode(facts)).hexdigest()[:16]


def require_identity(served: str | None, parameters: Mapping[str, Any]) -> None:
    """Raises OtherHalfError where a request expects another half. served: None for what has no identity."""
    expected = parameters.get(HALF)
    if served is not None and expected is not None and expected != served:
        raise OtherHalfError("another network's half is served here than this request expects")
