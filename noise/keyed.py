"""Draws that a device secret and the input decide: the same input never gets two (`plan run --draw keyed`).

Fresh noise averages out where one input is sent again and again. Here its noise is the same every time, and for
whoever lacks the secret it is as good as fresh; the drawback is that a repeat can be seen to be one. An input that
differs in a single bit is another input. No torch here.
"""

import contextlib
import hashlib
import os
import secrets
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs
from numpy.typing import NDArray

from noise.randomness import CryptographicRandom
from profiles import codec
from profiles.errors import ArtifactError

Array = NDArray[Any]
SECRET_BYTES = 32


class KeyedRandom(CryptographicRandom):
    """The stream of one key: SHAKE256 of the key and a counter of calls."""

    def __init__(self, key: bytes) -> None:
        self._key, self._calls = key, 0

    def bytes(self, count: int) -> bytes:
        self._calls += 1
        return hashlib.shake_256(self._key + self._calls.to_bytes(8, "little")).digest(count)


@dataclass(frozen=True)
class DrawKey:
    """What decides draws beside the input. secret: of this device, 32 bytes. noise: digest of the noise file, which
    holds network, weights and cut, so that one input under another file gets noise that is independent."""

    secret: bytes = field(repr=False)
    noise: str

    def random(self, inputs: Sequence[Array], row: int) -> KeyedRandom:
        """The stream for one row of a batch [rows, ...] of each input; it depends on no other row.

        An input whose first dimension is not the batch counts as a whole.
        """
        rows = len(inputs[0])
        mixed = hashlib.blake2b(key=self.secret, digest_size=32, person=b"plan.draw/1")
        _absorb(mixed, self.noise.encode())
        for one in inputs:
            own = one[row] if one.ndim and len(one) == rows else one
            _absorb(mixed, f"{own.dtype.newbyteorder('<').str} {own.shape}".encode())
            _absorb(mixed, codec.pack(own))
        return KeyedRandom(mixed.digest())


def _absorb(mixed: "hashlib.blake2b", part: bytes | memoryview) -> None:
    # Its length first: else two lists of parts could hold the same bytes.
    mixed.update(len(part).to_bytes(8, "little"))
    mixed.update(part)


def secret_path() -> Path:
    """`draw.key` in `$PLAN_CONFIG`, else in the platform's folder for a user's configuration."""
    chosen = os.environ.get("PLAN_CONFIG")
    return (Path(chosen) if chosen else platformdirs.user_config_path("plan")) / "draw.key"


def device_secret() -> bytes:
    """This device's secret, made where there is none yet, readable by its owner alone.

    Raises ArtifactError where it cannot be made or read, where others can read it, or where it is not 32 bytes.
    """
    path = secret_path()
    try:
        if not path.exists():
            _make(path)
        with path.open("rb") as stream:
            _require_private(path, os.fstat(stream.fileno()))
            secret = stream.read(SECRET_BYTES + 1)
    except OSError as error:
        raise ArtifactError(
            f"{path}: the secret of --draw keyed cannot be made or read ({error.strerror}); "
            "set PLAN_CONFIG to a folder of your own"
        ) from error
    if len(secret) != SECRET_BYTES:
        found = f"{len(secret)}" if len(secret) < SECRET_BYTES else "more"
        raise ArtifactError(f"{path}: {found} bytes, expected {SECRET_BYTES}; delete it, and a new secret is made")
    return secret


def _make(path: Path) -> None:
    """A whole file appears under the name, or none; of two that are made at once the first stays."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(secrets.token_bytes(SECRET_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)  # unlike a rename it never replaces
    finally:
        temporary.unlink()


def _require_private(path: Path, found: os.stat_result) -> None:
    if os.name != "posix":  # elsewhere the folder's own rights hold
        return
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid != os.getuid():
        raise ArtifactError(f"{path}: belongs to another user, expected a secret of your own; set PLAN_CONFIG")
    if mode & 0o077:
        raise ArtifactError(
            f"{path}: others can read or change it (mode {mode:03o}), expected 600; "
            "delete it, and a new secret is made"
        )
