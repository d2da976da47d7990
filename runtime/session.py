"""One split network to be called from a program: the edge half here, the cloud half where `Reach` says. No torch here
where the side comes from a folder."""

from collections.abc import Iterator
from contextlib import contextmanager

from noise.collection import NoiseFacts, require_match
from noise.keyed import DrawKey
from noise.mechanism import Mechanism
from planner.plan import Plan
from runtime.connecting import connect
from runtime.edge import EdgeHalf
from runtime.reach import HERE, Reach
from runtime.sides import EdgeSide


@contextmanager
def edge_session(
    plan: Plan,
    noise: Mechanism,
    facts: NoiseFacts,
    *,
    side: EdgeSide | None = None,
    reach: Reach = HERE,
    key: DrawKey | None = None,
) -> Iterator[EdgeHalf]:
    """The edge half, connected: `half.infer([x])` adds noise to what crosses, sends it and returns the answer; it
    raises DataError for an x that is not the network's input.

    side: of a split folder (`runtime.edge_side`); without it the plan's model is loaded. reach: where the cloud is;
    without it a local process behind the plan's own link. key: draws are keyed by it and the input, else fresh.
    Raises NoiseError (noise for something else), PeerError (no server, or one that serves another half).
    """
    require_match(facts, plan, origin="noise")
    if side is None:
        from runtime.serving import planned_edge  # needs torch and the model

        _, side = planned_edge(plan)
    with (
        reach.cloud(plan) as url,
        connect(url, plan, side, reach) as client,
        side.half(noise, client, quantisation=facts.quantisation, key=key, checked=True) as half,
    ):
        yield half
