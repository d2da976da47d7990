"""What noise adds to an inference, beside its communication time; and what sampling costs by itself.

    OMP_NUM_THREADS=1 python benchmarks/sampling.py [--rounds N] [--kinds laplace ...]

Edge halves of LeNet, AlexNet and VGG-16 that put out 120, 9,216 and 200,704 elements (random weights: they take as
long), in `EdgeHalf` as it runs: a server in a process of its own answers after the time that the wifi preset takes
both ways. Each round does one inference with fresh noise, one with keyed noise, and the same steps without noise, in
an order that turns. Their inputs are random numbers. Printed, not asserted.
"""

import argparse
import multiprocessing
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from noise.channel import ChannelNoise, DenseMap, PointwiseMap
from noise.gaussian import DenseNormal, GaussianNoise, LowRankNormal, Normal
from noise.keyed import DrawKey, KeyedRandom
from noise.laplace import LaplaceNoise, OrderedLaplace, descending, quantile
from noise.mechanism import Mechanism
from noise.randomness import SystemRandom
from planner.noise_cost import DENSE_ELEMENTS, RANK
from profiles import codec
from profiles.engine import TorchEngine, set_threads
from profiles.halves import split
from profiles.link import presets
from profiles.models import load_model
from profiles.trace import trace
from runtime import protocol
from runtime.client import CloudClient
from runtime.edge import EdgeHalf
from runtime.protocol import InferReply

#: Network, node whose output crosses, rounds.
EDGES = (("lenet", "flatten", 1000), ("alexnet", "flatten", 150), ("vgg16", "pool3", 30))


def ordered_laplace(node: str, elements: int) -> Mechanism:
    """20 distributions in random orders, of a strength that the random networks' tensors show."""
    random = np.random.default_rng(0)
    order = np.stack([random.permutation(elements) for _ in range(20)])
    return LaplaceNoise({node: OrderedLaplace(np.zeros(20), np.ones(20), order)})


def normal(elements: int) -> Normal:
    """As it is learned: a whole covariance up to 1,000 elements, beyond of rank 32."""
    random = np.random.default_rng(0)
    if elements <= DENSE_ELEMENTS:
        lower = np.tril(random.normal(size=(elements, elements)), -1) / elements + np.eye(elements)
        return DenseNormal(lower.astype(np.float32))
    basis, _ = np.linalg.qr(random.normal(size=(elements, RANK)).astype(np.float32))
    return LowRankNormal(np.ones(elements, np.float32), basis, np.full(RANK, 0.5, np.float32))


def gaussian(node: str, elements: int) -> Mechanism:
    return GaussianNoise({node: normal(elements)})


def channel(node: str, elements: int) -> Mechanism:
    """A whole map up to 1,000 elements, beyond a 1×1 convolution of the 256 channels that both large tensors have."""
    size = elements if elements <= DENSE_ELEMENTS else 256
    weight = np.eye(size, dtype=np.float32)
    made = DenseMap(weight) if elements <= DENSE_ELEMENTS else PointwiseMap(weight)
    return ChannelNoise({node: made}, {node: np.zeros(elements, np.float32)}, {node: normal(elements)})


#: Noise of each kind for one crossing tensor: (node id, elements) → mechanism.
KINDS: dict[str, Callable[[str, int], Mechanism]] = {
    "laplace": ordered_laplace,
    "gaussian": gaussian,
    "channel": channel,
}


def answer(listener: socket.socket, wait_s: float) -> None:
    """Take requests one after another, answer each after a wait."""
    reply = protocol.encode_reply(InferReply({}, "sink"), binary=[])
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(reply.body)}\r\nContent-Type: application/json\r\n\r\n".encode()
    while True:
        near, _ = listener.accept()
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with near, near.makefile("rb") as stream:
            while head_in := list(iter(stream.readline, b"\r\n")):
                if head_in[-1] == b"":
                    break
                length = next(int(one.split(b":")[1]) for one in head_in if one.lower().startswith(b"content-length"))
                stream.read(length)
                time.sleep(wait_s)
                near.sendall(head + reply.body)


@contextmanager
def sink(wait_s: float) -> Iterator[str]:
    """The URL of a server that answers nothing in particular, in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = multiprocessing.get_context("fork").Process(target=answer, args=(listener, wait_s), daemon=True)
        process.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        process.kill()
        process.join()


def without_noise(engine: TorchEngine, client: CloudClient, node: str, inputs: np.ndarray) -> tuple[float, float]:
    """The steps of an inference without the noise: the edge half's time and the packing's, milliseconds."""
    start = time.monotonic_ns()
    tensors = engine.run([inputs])
    computed = time.monotonic_ns()
    sent, _ = codec.to_wire(tensors[0], name=node, wire="float32")
    exchange = client.infer({node: sent})
    return (computed - start) / 1e6, (exchange.start_ns - computed) / 1e6


def added(source: str, node: str, rounds: int, kinds: list[str]) -> None:
    """One line a kind and way of drawing: what it adds to an inference."""
    network = trace(load_model(source))
    made = split(network, network.graph.with_needs([node]))
    engine, inputs = TorchEngine(made.edge), network.example[0].numpy()
    elements = engine.run([inputs])[0].size
    link = presets()["wifi"]
    communication_ms = link.uplink_ms(size_bytes=4 * elements)
    wait_s = (communication_ms + link.downlink_ms(size_bytes=40)) / 1e3
    for kind in kinds:
        noise = KINDS[kind](node, elements)
        options = {"crossing": [node], "replies": []}
        key = DrawKey(os.urandom(32), "benchmark")
        with sink(wait_s) as url, CloudClient(url, "sink") as client:
            fresh, keyed = (EdgeHalf(engine, noise, client, key=one, **options) for one in (None, key))
            with fresh, keyed:
                runs = {"without": None, "fresh": fresh, "keyed": keyed}
                times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
                for turn in range(rounds + 3):
                    for name in np.roll(list(runs), turn):
                        if (half := runs[name]) is None:
                            found = without_noise(engine, client, node, inputs)
                        else:
                            done = half.infer([inputs])
                            found = done.edge_ms, done.noise_ms
                        if turn >= 3:
                            times[name].append(found)
        plain = np.array(times["without"])
        for name in ("fresh", "keyed"):
            show(f"{source} {node}", elements, f"{kind} {name}", np.array(times[name]), plain, communication_ms)


def show(cut: str, elements: int, kind: str, noisy: np.ndarray, plain: np.ndarray, communication_ms: float) -> None:
    after = noisy[:, 1] - np.median(plain[:, 1])
    whole = noisy.sum(axis=1) - plain.sum(axis=1)
    low, middle, high = np.percentile(after, [25, 50, 75]) * 1e3
    edge = np.percentile(whole, [25, 50, 75]) * 1e3
    print(
        f"{cut:16} {elements:8,} {kind:16} {np.median(plain[:, 0]):9.3f} {communication_ms:9.2f} "
        f"{middle:8.1f} ({low:6.1f} … {high:6.1f}) {middle / communication_ms / 10:7.3f} % "
        f"{edge[1]:8.1f} ({edge[0]:7.1f} … {edge[2]:7.1f}) {edge[1] / communication_ms / 10:7.3f} %"
    )


def timed(calls: dict[str, Callable[[], object]], *, seconds: float = 2.0) -> dict[str, tuple[float, float, float]]:
    """Quartiles of each call's time, milliseconds; one call of each in turn."""
    found: dict[str, list[int]] = {name: [] for name in calls}
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(found[next(iter(calls))]) < 5:
        for name, call in calls.items():
            start = time.perf_counter_ns()
            call()
            found[name].append(time.perf_counter_ns() - start)
    return {name: tuple(np.percentile(one, [25, 50, 75]) / 1e6) for name, one in found.items()}


def drawn_and_sorted(random: SystemRandom, elements: int) -> np.ndarray:
    """What `descending` replaces: uniforms from as many bits, sorted, which is faster than to sort logarithms."""
    uniform = random._fractions(elements)
    uniform.sort()
    return quantile(uniform[::-1])


def sampling(elements: int) -> None:
    random, secret = SystemRandom(), os.urandom(32)
    one = OrderedLaplace(np.zeros(1), np.ones(1), np.random.default_rng(0).permutation(elements)[None])
    first = np.zeros(1, dtype=np.int64)

    def seeded(generator: type[np.random.BitGenerator]) -> np.ndarray:
        seed = int.from_bytes(os.urandom(32), "little")
        return np.random.Generator(generator(seed)).standard_normal(elements, dtype=np.float32)

    found = timed(
        {
            "order statistics, spacings": lambda: descending(1, elements, random),
            "order statistics, sorted": lambda: drawn_and_sorted(random, elements),
            "laplace draw": lambda: one.draw(first, random),
            "laplace draw, keyed": lambda: one.draw(first, KeyedRandom(secret)),
            "exponential": lambda: random.exponential((elements,)),
            "normal": lambda: random.normal((elements,)),
            "normal, SFC64 seeded afresh": lambda: seeded(np.random.SFC64),
            "normal, Philox seeded afresh": lambda: seeded(np.random.Philox),
            "os.urandom, 4 bytes each": lambda: os.urandom(4 * elements),
        }
    )
    for name, (low, middle, high) in found.items():
        print(f"{elements:8,} {name:30} {middle:9.4f} ({low:.4f} … {high:.4f})")
    ratio = found["order statistics, spacings"][1] / found["order statistics, sorted"][1]
    print(f"{elements:8,} spacings take {ratio:.2f} of drawing and sorting")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=float, default=1.0, help="of the usual number")
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS))
    given = parser.parse_args()
    set_threads(1)
    print("sampling alone, ms: median (quartiles)")
    for elements in (120, 9_216, 200_704, 802_816):
        sampling(elements)
    print("\nadded to an inference: median (quartiles), µs; share of the uplink's time on the wifi preset (float32)")
    print(
        f"{'cut':16} {'n':>8} {'noise':16} {'edge ms':>9} {'uplink':>9} {'after the edge half':>27} {'share':>9} "
        f"{'in all':>28} {'share':>9}"
    )
    for source, node, rounds in EDGES:
        added(source, node, max(3, int(rounds * given.rounds)), given.kinds)


if __name__ == "__main__":
    main()
