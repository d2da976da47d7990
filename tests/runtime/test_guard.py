"""Tokens, and what is refused beyond loopback, against a real server."""

import os
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from certificates import Certificates, secret
from echo_server import MODEL
from malformed import Input, Target, good
from servers import serving

from planner.plan import Plan
from profiles import artifact
from profiles.errors import SecurityError, UrlError
from runtime import guard, tls
from runtime.client import CloudClient
from runtime.guard import ClientSecurity, ServerSecurity, Tokens

TOKEN, ANOTHER = "a-token-of-enough-letters", "0123456789abcdef0123456789abcdef"
TENSORS = {"a": np.ones((1, 4, 5), np.float32), "b": np.ones((1, 3), np.uint8)}


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("ours"))


# What a server with tokens tells whom


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    with serving(MODEL, security=ServerSecurity(tokens=Tokens([TOKEN]))) as url:
        yield url


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [("Authorization", "")],
        [("Authorization", "Bearer")],
        [("Authorization", f"Basic {TOKEN}")],
        [("Authorization", TOKEN)],
        [("Authorization", f"Bearer {TOKEN} {TOKEN}")],
        [("Authorization", f"Bearer {TOKEN.upper()}")],
        [("Authorization", f"Bearer {TOKEN}"), ("Authorization", f"Bearer {TOKEN}")],
        [("Authorization", "Bearer " + "é" * 20)],
        [("X-Authorization", f"Bearer {TOKEN}")],
    ],
)
@pytest.mark.parametrize(
    "path", ["/v2", "/v2/models/sums", "/v2/models/none", "/metrics", "/nowhere", "/v2/health/live/"]
)
def test_whoever_has_no_token_is_told_nothing(guarded: str, path: str, fields: list[tuple[str, str]]) -> None:
    found = httpx.get(guarded + path, headers=[(name, value.encode("latin1")) for name, value in fields])
    assert found.status_code == 401
    assert found.headers["www-authenticate"] == "Bearer"
    assert found.json() == {"error": "no valid bearer token came with the request"}


def test_health_is_told_without_a_token_and_the_rest_with_one(guarded: str) -> None:
    assert httpx.get(f"{guarded}/v2/health/live").status_code == 200
    assert httpx.get(f"{guarded}/v2/health/ready").status_code == 200
    assert httpx.get(f"{guarded}/v2", headers={"Authorization": f"bearer {TOKEN}"}).status_code == 200


def test_the_answer_comes_before_the_body_is_read(guarded: str) -> None:
    with socket.create_connection(("127.0.0.1", int(guarded.rpartition(":")[2])), timeout=10) as opened:
        opened.sendall(b"POST /v2/models/sums/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        assert opened.recv(65_536).startswith(b"HTTP/1.1 401")
        # The rest of the body is thrown away, and the connection is good for another request.
        request = good(Target("", 0, "sums", (Input("a", "FP32", (1, 4, 5), 4), Input("b", "UINT8", (1, 3), 1))))
        opened.sendall(
            bytes(100_000) + request.replace(b"Host: x", b"Host: x\r\nAuthorization: Bearer %b" % TOKEN.encode())
        )
        assert opened.recv(65_536).startswith(b"HTTP/1.1 200")


# Files


def test_tokens_are_read_one_a_line(tmp_path: Path) -> None:
    path = secret(tmp_path / "tokens", f"# ours\n\n  {TOKEN}  \r\n#{ANOTHER}\n{ANOTHER}==\n")
    assert guard.read_tokens(path) == [TOKEN, f"{ANOTHER}=="]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "no token in it"),
        ("# nothing\n", "no token in it"),
        (f"{TOKEN}\nshort\n", "line 2: expected at least 16"),
        ("two words of enough letters", "line 1"),
        ("a-token-of-enough-létters", "ASCII"),
        (bytes(100), "line 1"),
        (f"{TOKEN}\n" * 10_000, "more than 65536 bytes"),
    ],
)
def test_a_token_file_that_cannot_be_used_is_one_line_without_its_words(
    text: str | bytes, word: str, tmp_path: Path
) -> None:
    with pytest.raises(SecurityError, match=word) as caught:
        guard.read_tokens(secret(tmp_path / "tokens", text))
    assert str(tmp_path / "tokens") in str(caught.value)
    assert not re.search("token-of|short|two words", str(caught.value))


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_secrets_that_everyone_may_read_are_refused(tmp_path: Path, ours: Certificates) -> None:
    path = secret(tmp_path / "tokens", TOKEN, mode=0o644)
    with pytest.raises(SecurityError, match=f"chmod 600 {path}"):
        guard.read_tokens(path)
    path.chmod(0o640)  # a service's group may
    assert guard.read_tokens(path) == [TOKEN]
    certificate, key = ours.issue("127.0.0.1")
    open_key = secret(tmp_path / "key", key.read_bytes(), mode=0o604)
    with pytest.raises(SecurityError, match="chmod 600"):
        tls.server_context(certificate, open_key)


def test_no_record_shows_a_token() -> None:
    shown = repr([ClientSecurity(token=TOKEN), ServerSecurity(tokens=Tokens([TOKEN])), vars(Tokens([TOKEN]))])
    assert TOKEN not in shown


# What is refused


def test_listening_beyond_loopback_needs_both(tmp_path: Path, ours: Certificates) -> None:
    certificate, key = ours.issue("127.0.0.1")
    tokens = secret(tmp_path / "tokens", TOKEN)
    with_tls = {"certificate": certificate, "key": key}
    for host in ("127.0.0.1", "::1", "localhost", "127.8.8.8"):
        assert guard.server_security(host).warning is None
    for host in ("0.0.0.0", "::", "192.0.2.7", "no-such-host.invalid"):
        for given, word in (
            ({}, "--tls-cert and --tls-key and --token-file"),
            (with_tls, "give --token-file"),
            ({"token_file": tokens}, "give --tls-cert and --tls-key,"),
        ):
            with pytest.raises(SecurityError, match=word):
                guard.server_security(host, **given)
            warned = guard.server_security(host, insecure=True, **given)
            assert warned.warning is not None
            assert warned.warning.startswith(f"WARNING: listening on {host} without")
        whole = guard.server_security(host, token_file=tokens, **with_tls)
        assert whole.warning is None
        assert whole.tls is not None
        assert whole.tokens is not None


def test_a_token_never_goes_over_plain_http_to_another_machine(tmp_path: Path) -> None:
    tokens = secret(tmp_path / "tokens", TOKEN)
    for url in ("http://192.0.2.7:8400", "http://[2001:db8::1]:8400", "http://localhost.invalid:1"):
        with pytest.raises(SecurityError, match="a token is not sent"):
            guard.client_security(url, token_file=tokens)
        with pytest.raises(SecurityError, match="a token is not sent"):
            CloudClient(url, "m", security=ClientSecurity(token=TOKEN))
        typed = guard.client_security(url, token_file=tokens, insecure=True)
        assert "the token" in (guard.client_warning(url, typed) or "")
        assert "read what crosses" in (guard.client_warning(url, ClientSecurity()) or "")
    for url in ("http://127.0.0.1:8400", "http://localhost:8400", "https://192.0.2.7:8400"):
        assert guard.client_warning(url, guard.client_security(url, token_file=tokens)) is None


def test_options_that_do_not_fit_each_other_are_told_so(ours: Certificates) -> None:
    certificate, key = ours.issue("127.0.0.1")
    for call in (
        lambda: guard.server_security("127.0.0.1", certificate=certificate),
        lambda: guard.server_security("127.0.0.1", key=key),
        lambda: guard.server_security("127.0.0.1", client_ca=ours.ca),
        lambda: guard.client_security("https://127.0.0.1:1", key=key),
        lambda: guard.client_security("http://127.0.0.1:1", ca=ours.ca),
    ):
        with pytest.raises(SecurityError, match="--"):
            call()
    with pytest.raises(UrlError):
        guard.client_security("server:8400")


def test_plan_serve_refuses_in_one_line(lenet_plan: Plan, tmp_path: Path, plan_command: Callable[..., Any]) -> None:
    artifact.write(tmp_path / "plan.json", lenet_plan)
    done = plan_command("serve", str(tmp_path / "plan.json"), "--host", "0.0.0.0")
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert "give --tls-cert and --tls-key and --token-file, or type --insecure" in done.err


def test_an_address_holds_no_password() -> None:
    with pytest.raises(UrlError) as refused:
        CloudClient("http://someone:swordfish@127.0.0.1:8400", "lenet")
    assert "swordfish" not in str(refused.value)
