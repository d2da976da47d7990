"""Certificates, right and wrong, between our client and a real server."""

import datetime
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from certificates import Certificates, locked_key, secret
from echo_server import MODEL
from servers import serving

from profiles.errors import PeerError, SecurityError
from runtime import guard, tls
from runtime.client import CloudClient
from runtime.guard import ClientSecurity, ServerSecurity, Tokens

TOKEN, ANOTHER = "a-token-of-enough-letters", "0123456789abcdef0123456789abcdef"
TENSORS = {"a": np.ones((1, 4, 5), np.float32), "b": np.ones((1, 3), np.uint8)}


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Of an authority that nobody here trusts."""
    return Certificates(tmp_path_factory.mktemp("theirs"))


@pytest.fixture(scope="module")
def https(ours: Certificates) -> Iterator[str]:
    """A server with TLS and a token."""
    security = ServerSecurity(tls.server_context(*ours.issue("127.0.0.1")), Tokens([ANOTHER, TOKEN]))
    with serving(MODEL, security=security) as url:
        yield url


def answer(url: str, security: ClientSecurity | None) -> list[float]:
    with CloudClient(url, "sums", timeout_s=10, security=security) as client:
        assert client.metadata().name == "sums"
        return list(client.infer(TENSORS).reply.tensors["sums"][0])


def objection(url: str, security: ClientSecurity | None) -> str:
    """What is said where it does not work: one line that names the server, from either call."""
    lines = []
    for ask in (lambda client: client.metadata(), lambda client: client.infer(TENSORS)):
        with CloudClient(url, "sums", timeout_s=10, security=security) as client, pytest.raises(PeerError) as caught:
            ask(client)
        lines.append(str(caught.value))
    assert lines[0] == lines[1]
    assert lines[0].startswith(f"{url} ")
    assert "plan serve` running" not in lines[0]
    return lines[0]


def test_the_right_certificate_and_token_let_in(https: str, ours: Certificates) -> None:
    for token in (TOKEN, ANOTHER):
        assert answer(https, ClientSecurity(tls.client_context(ours.ca), token)) == [20, 3]


def test_the_servers_own_certificate_can_be_what_is_trusted(ours: Certificates) -> None:
    certificate, key = ours.issue("127.0.0.1")
    with serving(MODEL, security=ServerSecurity(tls.server_context(certificate, key))) as url:
        assert answer(url, ClientSecurity(tls.client_context(certificate))) == [20, 3]


def test_a_missing_or_wrong_token_is_told_so(https: str, ours: Certificates) -> None:
    context = tls.client_context(ours.ca)
    assert "asks for a token; give" in objection(https, ClientSecurity(context))
    assert "does not accept this token" in objection(https, ClientSecurity(context, TOKEN + "x"))
    assert "does not accept this token" in objection(https, ClientSecurity(context, TOKEN[:-1]))


def test_an_authority_that_is_not_trusted_is_told_so(https: str, theirs: Certificates) -> None:
    for security in (None, ClientSecurity(), ClientSecurity(tls.client_context(theirs.ca))):
        assert "no authority that is trusted here; give its" in objection(https, security)


def test_a_certificate_for_another_name_is_told_so(ours: Certificates) -> None:
    for name in ("example.org", "127.0.0.9"):
        with serving(MODEL, security=ServerSecurity(tls.server_context(*ours.issue(name)))) as url:
            assert "for another name" in objection(url, ClientSecurity(tls.client_context(ours.ca)))


def test_an_expired_certificate_is_told_so(ours: Certificates) -> None:
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    security = ServerSecurity(tls.server_context(*ours.issue("127.0.0.1", not_after=past)))
    with serving(MODEL, security=security) as url:
        assert "has expired" in objection(url, ClientSecurity(tls.client_context(ours.ca)))


def test_client_certificates_are_required_where_asked_for(ours: Certificates, theirs: Certificates) -> None:
    context = tls.server_context(*ours.issue("127.0.0.1"), client_ca=ours.ca)
    with serving(MODEL, security=ServerSecurity(context)) as url:
        certificate, key = ours.issue("a-device")
        good_one = tls.client_context(ours.ca, certificate=certificate, key=key)
        assert answer(url, ClientSecurity(good_one)) == [20, 3]
        certificate, key = theirs.issue("a-device")
        wrong = ClientSecurity(tls.client_context(ours.ca, certificate=certificate, key=key))
        for security in (ClientSecurity(tls.client_context(ours.ca)), wrong):
            assert re.search("give .*--client-cert|does not accept this client's", objection(url, security))


def test_plain_and_tls_on_the_same_port_do_not_understand_each_other(https: str, ours: Certificates) -> None:
    with serving(MODEL) as plain:
        said = objection(plain.replace("http", "https"), ClientSecurity(tls.client_context(ours.ca)))
        assert "does not speak TLS" in said
    with CloudClient(https.replace("https", "http"), "sums", timeout_s=10) as client:
        with pytest.raises(PeerError, match="TLS"):
            client.metadata()


@pytest.mark.filterwarnings("ignore:.*TLSv1_1:DeprecationWarning")
def test_old_versions_of_tls_are_refused(https: str) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    port = int(https.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as opened, pytest.raises((ssl.SSLError, ConnectionError)):
        old.wrap_socket(opened)


def test_files_that_cannot_be_used_are_one_line(tmp_path: Path, ours: Certificates, theirs: Certificates) -> None:
    certificate, key = ours.issue("127.0.0.1")
    none, junk = tmp_path / "none", secret(tmp_path / "junk", "junk")
    locked = secret(tmp_path / "locked", locked_key())
    calls: list[tuple[Callable[[], Any], str]] = [
        (lambda: tls.server_context(none, key), "No such file"),
        (lambda: tls.server_context(certificate, none), "No such file"),
        (lambda: tls.server_context(junk, key), "PEM form"),
        (lambda: tls.server_context(certificate, junk), "PEM form"),
        (lambda: tls.server_context(certificate, theirs.issue("x")[1]), "the key is not the certificate's"),
        (lambda: tls.server_context(certificate, locked), "locked by a passphrase"),
        (lambda: tls.server_context(certificate, key, client_ca=none), "--tls-client-ca"),
        (lambda: tls.client_context(none), "--ca"),
        (lambda: tls.client_context(junk), "--ca"),
        (lambda: guard.read_tokens(none), "No such file"),
        (lambda: guard.read_tokens(tmp_path), "token file"),
    ]
    for call, word in calls:
        with pytest.raises(SecurityError, match=word) as caught:
            call()
        assert str(caught.value).isprintable()
