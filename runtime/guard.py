"""Who may talk to whom: TLS and bearer tokens, on either side. No torch here."""

import ssl
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ClientSecurity:
    """What a client trusts and shows. tls: for https, None for the system's authorities. token: bearer, if any."""

    tls: ssl.SSLContext | None = None
    token: str | None = field(default=None, repr=False)
