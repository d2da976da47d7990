"""Certificates of an authority of our own, and secrets, as files."""

import datetime
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec


def secret(path: Path, text: str | bytes, *, mode: int = 0o600) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


class Certificates:
    """An authority and what it has signed, as files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.authority = trustme.CA()
        self.ca = folder / "ca.pem"
        self.authority.cert_pem.write_to_path(str(self.ca))

    def issue(self, *names: str, not_after: datetime.datetime | None = None) -> tuple[Path, Path]:
        made = self.authority.issue_cert(*names, not_after=not_after)
        stem = f"{'-'.join(names)}-{not_after is None}".replace(":", "_")
        chain = b"".join(one.bytes() for one in made.cert_chain_pems)
        certificate = secret(self._folder / f"{stem}.pem", chain)
        return certificate, secret(self._folder / f"{stem}.key", made.private_key_pem.bytes())


def locked_key() -> bytes:
    """A private key behind a passphrase."""
    key = ec.generate_private_key(ec.SECP256R1())
    locked = serialization.BestAvailableEncryption(b"passphrase")
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
