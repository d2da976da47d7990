"""Who may talk to whom: bearer tokens, and what is refused beyond loopback.

A token proves who asks, TLS who answers and that nobody listens; beyond loopback the server wants both. The tensors
that cross carry noise against the cloud itself, so whoever listens on a plain connection learns no more than the
cloud does; but he could change the answers, and a token would be his.
"""

import hmac
import ipaddress
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from profiles.errors import SecurityError, UrlError
from runtime import protocol, tls

LEAST_TOKEN_CHARACTERS = 16
MOST_TOKEN_FILE_BYTES = 65_536
#: What load balancers ask, most of which cannot send a token; one bit each, and no more than an open port tells.
OPEN_PATHS = frozenset({"/v2/health/live", "/v2/health/ready"})
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)  # RFC 6750, section 2.1

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Tokens:
    """Bearer tokens a server accepts; kept as digests, so that no log or traceback can show one."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self._digests = [sha256(one.encode()).digest() for one in tokens]

    def accept(self, authorization: str) -> bool:
        """Whether an Authorization header holds one of them; takes as long whichever it is, and where it is none."""
        scheme, _, given = authorization.partition(" ")
        digest = sha256(given.strip().encode()).digest()
        matches = [hmac.compare_digest(digest, one) for one in self._digests]
        return scheme.lower() == "bearer" and any(matches)

    def __len__(self) -> int:
        return len(self._digests)


@dataclass(frozen=True)
class ServerSecurity:
    """tls: None for plain HTTP. tokens: None where nobody is asked for one. warning: what a person must be told."""

    tls: ssl.SSLContext | None = None
    tokens: Tokens | None = None
    warning: str | None = None

    def guarded(self, app: Application) -> Application:
        """The application behind its tokens."""
        return app if self.tokens is None else TokenGuard(app, self.tokens)


@dataclass(frozen=True)
class ClientSecurity:
    """tls: how an https:// server is verified; None: by the system's authorities. token: sent with every request.

    insecure: the token may go over plain HTTP to another machine.
    """

    tls: ssl.SSLContext | None = None
    token: str | None = field(default=None, repr=False)  # not where a record is printed
    insecure: bool = False

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.token is None else {"Authorization": f"Bearer {self.token}"}

    def require_safe(self, url: str) -> None:
        """Raises SecurityError where a token would cross a network for everyone to read."""
        if self.token is not None and not self.insecure and is_plain_beyond_loopback(url):
            raise SecurityError(
                f"a token is not sent to {url}, where everyone on the way could read it; "
                "use https://, or type --insecure"
            )


class TokenGuard:
    """ASGI middleware: 401 to whoever has no token, before a byte of the body is read."""

    def __init__(self, app: Application, tokens: Tokens) -> None:
        self._app, self._tokens = app, tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS or self._known(scope):
            await self._app(scope, receive, send)
            return
        body = protocol.encode_error("no valid bearer token came with the request")
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"www-authenticate", b"Bearer"),
        ]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _known(self, scope: Scope) -> bool:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        return len(given) == 1 and self._tokens.accept(given[0].decode("latin1"))


def read_tokens(path: Path) -> list[str]:
    """The tokens of a file, one a line; what follows # at a line's start is a comment.

    Raises SecurityError: no such file, others may read it, no token in it, or one that is short or cannot be sent. No
    message shows a token.
    """
    tls.require_private(path, what="token")
    try:
        with path.open("rb") as file:
            text = file.read(MOST_TOKEN_FILE_BYTES + 1).decode("ascii")
    except OSError as error:
        raise SecurityError(f"token file {path}: {error.strerror or error}") from error
    except UnicodeDecodeError:
        raise SecurityError(f"token file {path}: expected ASCII, one token a line") from None
    if len(text) > MOST_TOKEN_FILE_BYTES:
        raise SecurityError(f"token file {path}: more than {MOST_TOKEN_FILE_BYTES} bytes, expected one token a line")
    tokens = []
    for number, line in enumerate(text.splitlines(), 1):
        token = line.strip()
        if not token or token.startswith("#"):
            continue
        if len(token) < LEAST_TOKEN_CHARACTERS or not _TOKEN.fullmatch(token):
            raise SecurityError(
                f"token file {path}, line {number}: expected at least {LEAST_TOKEN_CHARACTERS} of A-Z a-z 0-9 . _ ~ "
                f"+ / - and no blank; `openssl rand -hex 32` makes one"
            )
        tokens.append(token)
    if not tokens:
        raise SecurityError(f"token file {path}: no token in it; `openssl rand -hex 32 > {path}` makes one")
    return tokens


def server_security(
    host: str,
    *,
    certificate: Path | None = None,
    key: Path | None = None,
    client_ca: Path | None = None,
    token_file: Path | None = None,
    insecure: bool = False,
) -> ServerSecurity:
    """What `plan serve` was given, as one record.

    Raises SecurityError: files that cannot be used, or listening beyond loopback without TLS and token.
    """
    if (certificate is None) != (key is None):
        raise SecurityError("--tls-cert and --tls-key go together; give both or neither")
    if client_ca is not None and certificate is None:
        raise SecurityError("--tls-client-ca needs --tls-cert and --tls-key")
    missing = [
        option
        for option, value in (("--tls-cert and --tls-key", certificate), ("--token-file", token_file))
        if value is None
    ]
    warning = None
    if missing and not is_loopback(host):
        if not insecure:
            raise SecurityError(
                f"listening on {host} lets other machines in: give {' and '.join(missing)}, "
                "or type --insecure to go without"
            )
        warning = (
            f"WARNING: listening on {host} without {' and '.join(missing)}: "
            + ("whoever is on the network can read and change what crosses" if certificate is None else "")
            + (", and " if len(missing) > 1 else "")
            + ("whoever reaches this port can use it" if token_file is None else "")
        )
    context = None
    if certificate is not None and key is not None:
        context = tls.server_context(certificate, key, client_ca=client_ca)
    tokens = None if token_file is None else Tokens(read_tokens(token_file))
    return ServerSecurity(context, tokens, warning)


def client_security(
    url: str,
    *,
    ca: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
    token_file: Path | None = None,
    insecure: bool = False,
) -> ClientSecurity:
    """What `plan run --server URL` was given, as one record.

    Raises UrlError; SecurityError: files that cannot be used, or a token that would go over plain HTTP to another
    machine.
    """
    require_address(url)
    if key is not None and certificate is None:
        raise SecurityError("--client-key needs --client-cert")
    context = None
    if urlsplit(url).scheme == "https":
        context = tls.client_context(ca, certificate=certificate, key=key)
    elif ca is not None or certificate is not None:
        raise SecurityError(f"--ca and --client-cert are for TLS, and {url} is plain; say https:// or leave them out")
    token = None if token_file is None else read_tokens(token_file)[0]
    security = ClientSecurity(context, token, insecure=insecure)
    security.require_safe(url)
    return security


def client_warning(url: str, security: ClientSecurity) -> str | None:
    """What a person must be told before anything is sent; None: nothing."""
    if not is_plain_beyond_loopback(url):
        return None
    read = "the token and what crosses" if security.token else "what crosses"
    return f"WARNING: {url} is a plain connection: whoever is on the way can read {read}, and change the answers"


def require_address(url: str) -> None:
    """Raises UrlError where it is not http://host:port or https://host:port."""
    if "@" in url:  # shown in errors and records, where a password has no place
        raise UrlError("server: expected http://host:port without a name or password; give a token as --token-file")
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        fits = fits and not parts.query and not parts.fragment
    except ValueError:  # a port that is none
        fits = False
    if not fits or not url.isascii() or not url.isprintable() or " " in url:
        raise UrlError(f"server {url!r}: expected http://host:port, for example http://127.0.0.1:8400")


def is_plain_beyond_loopback(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme != "https" and not is_loopback(parts.hostname or "")


def is_loopback(host: str) -> bool:
    """Whether a name or address stands for this machine alone."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        pass
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, None)} if host else set()
    except (OSError, UnicodeError):
        return False
    return bool(found) and all(ipaddress.ip_address(str(one).partition("%")[0]).is_loopback for one in found)
