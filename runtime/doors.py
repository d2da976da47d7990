"""What all connections of one server share: how many there may be, and how many half-sent requests.

A peer is an address, an IPv6 one by its first 64 bits.
"""

import ipaddress
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtime.connections import GuardedConnection


@dataclass(frozen=True)
class ConnectionLimits:
    """head: request line and header fields. head_s: from a connection's or request's first byte to its last. body_s:
    for a whole body, which after grace_s must also have come at least_bytes_per_s on average. reply_s: how long a
    peer may leave an answer unread. most_half_sent: requests of which a part is missing, of all peers.
    drained_bytes: what may still come of a body after the answer. most_pipelined: requests sent ahead of an answer.
    """

    most_connections: int = 512
    most_from_one_peer: int = 256
    most_half_sent: int = 32
    most_pipelined: int = 16
    url_bytes: int = 4096
    head_bytes: int = 32_768
    head_fields: int = 100
    head_s: float = 10.0
    body_s: float = 60.0
    grace_s: float = 10.0
    least_bytes_per_s: float = 1000.0
    reply_s: float = 60.0
    drained_bytes: int = 16 * 2**20


@dataclass
class Doors:
    """What all connections of one server share. half_sent: in the order in which they began."""

    limits: ConnectionLimits = field(default_factory=ConnectionLimits)
    connections: Counter[str] = field(default_factory=Counter)
    half_sent: "dict[GuardedConnection, str]" = field(default_factory=dict)

    def enter(self, peer: str) -> bool:
        """Whether there is room for one more connection of this peer; counts it in any case until `leave`."""
        self.connections[peer] += 1
        return (
            self.connections.total() <= self.limits.most_connections
            and self.connections[peer] <= self.limits.most_from_one_peer
        )

    def leave(self, peer: str) -> None:
        self.connections[peer] -= 1
        if self.connections[peer] <= 0:  # no entry is left of who has gone
            del self.connections[peer]

    def begin(self, connection: "GuardedConnection") -> bool:
        """Whether there is room for one more half-sent request.

        Where all places are taken, the peer that holds most gives its oldest up to one that holds fewer: whoever
        fills them all keeps nobody else out, and clients behind one address get all places while nobody else asks.
        """
        if len(self.half_sent) >= self.limits.most_half_sent:
            held = Counter(self.half_sent.values())
            greediest, most = held.most_common(1)[0]
            if most <= held[connection.peer] + 1:
                return False
            victim = next(one for one, peer in self.half_sent.items() if peer == greediest)
            victim.turn_away(408, "the request came too slowly while others waited")
        self.half_sent[connection] = connection.peer
        return True

    def end(self, connection: "GuardedConnection") -> None:
        self.half_sent.pop(connection, None)


def peer_of(address: str) -> str:
    """To whom a connection is counted."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False).network_address)
    return str(found)
