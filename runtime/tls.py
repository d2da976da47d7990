"""TLS for both sides: contexts made from files, and what to do where a handshake fails.

Verification cannot be switched off: a server of one's own gives its certificate, or that of its authority, as `--ca`.
"""

import os
import ssl
from pathlib import Path

from profiles.errors import SecurityError

#: OpenSSL's verification codes (x509_vfy.h) that have an advice of their own.
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNTRUSTED = frozenset({18, 19, 20, 21})  # self-signed, self-signed in the chain, no issuer, no verifiable leaf
_OTHER_NAME = frozenset({62, 63, 64})  # host name, e-mail, address

#: What a server that refuses a client's certificate looks like: under TLS 1.3 the client learns of it after the
#: handshake, and event loops close the connection before OpenSSL's alert is sent.
CLOSED_WITHOUT_A_WORD = (
    "closed the connection without a word; where it was started with --tls-client-ca, give --client-cert and "
    "--client-key that this authority has signed"
)


def server_context(certificate: Path, key: Path, *, client_ca: Path | None = None) -> ssl.SSLContext:
    """client_ca: a client must show a certificate of this authority. Raises SecurityError: a file is not usable."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    _load_identity(context, certificate, key, options="--tls-cert and --tls-key")
    if client_ca is not None:
        _trust(context, client_ca, option="--tls-client-ca")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(
    ca: Path | None = None, *, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """ca: the one authority (or server's own certificate) that is trusted; None: those of the system.

    certificate, key: what this client shows of itself. Raises SecurityError: a file is not usable.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # names are checked, a certificate is required
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _trust(context, ca, option="--ca")
    if certificate is not None:
        _load_identity(context, certificate, key or certificate, options="--client-cert and --client-key")
    return context


def _trust(context: ssl.SSLContext, ca: Path, *, option: str) -> None:
    try:
        context.load_verify_locations(cafile=ca)
    except OSError as error:  # SSLError is one
        raise SecurityError(f"{option} {ca}: {_reason(error)}; expected certificates in PEM form") from error
    # Whoever is named here is trusted, be it a server's own certificate, no authority above it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN


def _load_identity(context: ssl.SSLContext, certificate: Path, key: Path, *, options: str) -> None:
    require_private(key, what="key")

    def no_passphrase() -> str:  # OpenSSL would ask on the terminal
        raise SecurityError(f"key {key} is locked by a passphrase; give one without (openssl pkey -in … -out …)")

    try:
        context.load_cert_chain(certificate, key, no_passphrase)
    except OSError as error:
        raise SecurityError(
            f"{options} {certificate}, {key}: {_reason(error)}; expected a certificate and its key in PEM form"
        ) from error


def require_private(path: Path, *, what: str) -> None:
    """Raises SecurityError where every user of this machine may read a secret. A group may: that is how services,
    and secrets mounted into containers, are set up."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise SecurityError(f"{what} file {path}: {error.strerror or error}") from error
    if os.name == "posix" and mode & 0o007:
        raise SecurityError(f"{what} file {path} is open to every user of this machine; chmod 600 {path}")


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        known = {"KEY_VALUES_MISMATCH": "the key is not the certificate's", "NO_START_LINE": "no PEM in it"}
        return known.get(error.reason or "", (error.reason or "not readable").lower().replace("_", " "))
    return error.strerror or str(error)


def objection(error: BaseException) -> str | None:
    """Why a TLS handshake failed and what to do, in words that follow the server's name; None: it is not of TLS."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, ssl.SSLError):
        found = found.__cause__ or found.__context__
    if found is None:
        return None
    if isinstance(found, ssl.SSLCertVerificationError):
        return _certificate_objection(found)
    reason = found.reason or ""
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"):
        return "does not speak TLS on this port; say http://, or start `plan serve` there with --tls-cert, --tls-key"
    if "CERTIFICATE_REQUIRED" in reason or (reason == "SSLV3_ALERT_HANDSHAKE_FAILURE"):
        return "wants a certificate of this client; give --client-cert and --client-key"
    if "ALERT" in reason and ("UNKNOWN_CA" in reason or "CERTIFICATE" in reason or "DECRYPT" in reason):
        return "does not accept this client's certificate; give one that its --tls-client-ca has signed"
    if reason == "UNEXPECTED_EOF_WHILE_READING" or isinstance(found, ssl.SSLEOFError):
        return CLOSED_WITHOUT_A_WORD
    if "VERSION" in reason or "PROTOCOL" in reason:
        return "speaks only versions of TLS before 1.2, which are broken; renew its TLS"
    return f"broke off TLS ({(reason or 'no reason given').lower().replace('_', ' ')})"


def _certificate_objection(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in _UNTRUSTED:
        return "shows a certificate of no authority that is trusted here; give its authority's, or its own, as --ca"
    if error.verify_code in _OTHER_NAME:
        return "shows a certificate for another name; call it by a name in its certificate, or give it one for this"
    if error.verify_code == _EXPIRED:
        return "shows a certificate that has expired; renew it there"
    if error.verify_code == _NOT_YET_VALID:
        return "shows a certificate that is not valid yet; is a clock wrong, there or here?"
    return f"shows a certificate that is not good ({error.verify_message}); renew it there"
