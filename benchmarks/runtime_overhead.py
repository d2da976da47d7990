"""How near the runtime comes to the physical limit: one inference at a time over emulated links, and plain loopback.

    OMP_NUM_THREADS=1 python benchmarks/runtime_overhead.py [MODEL ...] [--links wifi lte] [--inferences N]
    OMP_NUM_THREADS=1 python benchmarks/runtime_overhead.py --loopback

The limit is edge compute + all bytes on the wire / rate + round trip + cloud compute, each part of it measured in the
same run, so that only what the runtime adds is left: HTTP and JSON, adding noise, copies, processes that wake. The
mark is total <= 1.05 x limit + 0.3 ms. Noise is a stand-in of the real size (`reproduction.stand_in`): what it
costs is real. Cuts are those that the plan chooses on the link. Each inference begins when the one before has its
answer; after a pause of 20 ms caches and the processor's sleep cost half a millisecond more, which is no limit's.

--loopback: messages of 0.5 KB and 3 MB, no link emulated, beside a bare socket that carries the same bytes to another
process and one byte back, turn by turn.
"""

import argparse
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from prediction_error import Repeats, measure_cut

from planner.planning import cut
from profiles import link as links
from profiles.profiling import profile
from runtime.client import CloudClient
from runtime.edge import Inference

MODELS, LINKS = ("lenet", "cifar10", "alexnet", "vgg16"), ("wifi", "lte")
RATIO, SLACK_MS = 1.05, 0.3


def limit_ms(one: Inference, link: links.LinkProfile) -> float:
    """What no runtime could undercut, of one inference."""
    exchange = one.exchange
    compute_ms = exchange.reply.parameters["plan_compute_ns"] / 1e6
    up, down = 8e-3 * exchange.bytes_up / link.uplink_mbps, 8e-3 * exchange.bytes_down / link.downlink_mbps
    return one.edge_ms + up + link.rtt_ms + compute_ms + down


def overheads(model: str, link_names: list[str], inferences: int, pause_ms: float) -> None:
    device = profile(model, threads=1)
    for name in link_names:
        link = links.load(name)
        plan = cut(device, device, link, noise="laplace")
        repeats = Repeats(budget_s=60, least=min(inferences, 30), most=inferences, warm_ups=20)
        singles = measure_cut(plan, repeats, pause_ms=pause_ms)
        total = np.array([one.total_ms for one in singles])
        limit = np.array([limit_ms(one, link) for one in singles])
        allowed = RATIO * np.median(limit) + SLACK_MS
        print(
            f"{model:8} {name:5} {plan.cut.name:10.10} {plan.edge.engine:12.12} {len(singles):4} "
            f"{singles[-1].exchange.bytes_up:9,} {np.median(limit):9.3f} {np.median(total):9.3f} "
            f"{np.percentile(total, 95):9.3f} {allowed:9.3f} {'kept' if np.median(total) <= allowed else 'MISSED'}",
            flush=True,
        )


#: A server whose model takes anything and answers with one number, and a bare socket beside it.
SERVER = """
import socket, sys, threading
import numpy as np
from runtime.cloud import CloudApp, Server, listen
from runtime.cloud import ServedModel
from runtime.contract import TensorContract

class One:
    name = "one"
    def run(self, inputs):
        return [np.zeros((1, 1), np.float32)]

def bare(listener):
    near, _ = listener.accept()
    near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    buffer = bytearray(1 << 20)
    while True:
        wanted = near.recv(8)
        left = int.from_bytes(wanted, "little")
        if not left:
            return
        while left:
            left -= near.recv_into(buffer)
        near.sendall(b"x")

elements = [int(one) for one in sys.argv[1:]]
reply = (TensorContract("y", "float32", (1, 1)),)
models = {f"m{n}": ServedModel(f"m{n}", One(), (TensorContract("x", "float32", (1, n)),), reply) for n in elements}
plain = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=bare, args=(plain,), daemon=True).start()
with listen("127.0.0.1", 0) as bound:
    print(bound.getsockname()[1], plain.getsockname()[1], flush=True)
    Server(CloudApp(models, "0")).run(sockets=[bound])
"""


@contextmanager
def served(elements: list[int]) -> Iterator[tuple[int, int]]:
    child = subprocess.Popen([sys.executable, "-c", SERVER, *map(str, elements)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        http, bare = map(int, child.stdout.readline().split())
        yield http, bare
    finally:
        child.kill()
        child.wait()


def loopback(turns: int) -> None:
    sizes = {"0.5 KB": 128, "3 MB": 3 * 2**20 // 4}
    with served(list(sizes.values())) as (http, bare), socket.create_connection(("127.0.0.1", bare)) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for name, count in sizes.items():
            x = np.random.default_rng(0).random((1, count), dtype=np.float32)
            ours, theirs = [], []
            with CloudClient(f"http://127.0.0.1:{http}", f"m{count}") as client:
                for _ in range(turns):
                    time.sleep(0.002)
                    done = client.infer({"x": x})
                    ours.append((done.end_ns - done.start_ns) / 1e6)
                    time.sleep(0.002)
                    start = time.monotonic_ns()
                    plain.sendall(x.nbytes.to_bytes(8, "little"))
                    plain.sendall(x.data)
                    plain.recv(1)
                    theirs.append((time.monotonic_ns() - start) / 1e6)
            ours, theirs = ours[turns // 5 :], theirs[turns // 5 :]
            print(
                f"{name:7} exchange {np.median(ours):7.3f} ms (p95 {np.percentile(ours, 95):.3f}), bare socket "
                f"{np.median(theirs):7.3f} ms: {np.median(ours) / np.median(theirs):.2f}x"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--links", nargs="*", default=LINKS)
    parser.add_argument("--inferences", type=int, default=200)
    parser.add_argument("--pause-ms", type=float, default=0.0, help="between an answer and the next inference")
    parser.add_argument("--loopback", action="store_true")
    options = parser.parse_args()
    if options.loopback:
        loopback(200)
        return
    print("network  link  cut        engine          n  bytes up  limit ms  total ms       p95   allowed")
    for model in options.models:
        overheads(model, options.links, options.inferences, options.pause_ms)


if __name__ == "__main__":
    main()
