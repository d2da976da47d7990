"""Two hosts on one machine: network namespaces joined by a veth pair, shaped both ways."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

LIMIT_MBPS = 20.0
#: A bucket of two large frames: what has been idle sends so much at once, whatever the rate.
SHAPER = f"root tbf rate {LIMIT_MBPS:g}mbit burst 32kbit latency 50ms"


@dataclass(frozen=True)
class Host:
    """One of the two. prefix: makes a command run there."""

    namespace: str
    address: str

    @property
    def prefix(self) -> list[str]:
        return ["ip", "netns", "exec", self.namespace]


@contextmanager
def shaped_pair(*, needs: Sequence[str] = ()) -> Iterator[tuple[Host, Host]]:
    """Edge and cloud, 20 Mbit between them each way. needs: programs. Skips the test where it cannot be."""
    lacking = [name for name in ("ip", "tc", *needs) if shutil.which(name) is None]
    if lacking or os.geteuid() != 0:
        pytest.skip(f"network namespaces need {' and '.join(lacking) or 'root'} (20 Mbit veth with tc tbf)")
    run = uuid.uuid4().hex[:8]
    hosts = Host(f"plan-edge-{run}", "10.77.0.1"), Host(f"plan-cloud-{run}", "10.77.0.2")
    edge, cloud = hosts
    try:
        for host in hosts:
            _require("ip", "netns", "add", host.namespace)
        pair = f"v0 netns {edge.namespace} type veth peer name v0 netns {cloud.namespace}"
        _require("ip", "link", "add", *pair.split())
        for host in hosts:
            _require("ip", "-n", host.namespace, "address", "add", f"{host.address}/24", "dev", "v0")
            for interface in ("lo", "v0"):  # profiling talks to itself, on loopback
                _require("ip", "-n", host.namespace, "link", "set", interface, "up")
            _require(*host.prefix, "tc", "qdisc", "add", "dev", "v0", *SHAPER.split())
        yield hosts
    finally:
        for host in hosts:
            subprocess.run(["ip", "netns", "delete", host.namespace], capture_output=True, check=False)


def _require(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"network namespaces are not allowed here: {' '.join(command)}: {done.stderr.strip()}")
