"""The two halves while things break: real processes, real sockets, an emulated link in between."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import several
import torch
import trustme
from server_process import ServerProcess
from tap import Tap

from noise import collection, grid
from noise.cut_network import CutNetwork
from noise.datasets import catalog
from noise.keyed import DrawKey
from noise.laplace_learning import Schedule
from noise.learned import Learned
from noise.learning import learn
from noise.learning_options import Options
from planner.plan import Plan
from planner.planning import cut
from profiles import artifact, codec
from profiles.errors import PeerError
from profiles.link import LinkProfile, presets
from profiles.profiling import profile
from runtime import protocol, splitting
from runtime.client import CloudClient
from runtime.edge import Inference
from runtime.emulation import EmulatedLink, Order
from runtime.fallback import Breaker, LocalAnswer, StandbyEdge
from runtime.folders import edge_side
from runtime.identity import HALF, identity_of
from runtime.serving import planned_edge, whole_engine

FAST = LinkProfile(name="fast", provenance="modelled", uplink_mbps=20, downlink_mbps=50, rtt_ms=2)
INPUTS = np.random.default_rng(5).standard_normal((60, 6)).astype(np.float32)


@dataclass(frozen=True)
class Prepared:
    """A plan, its noise, and its halves as files; and the cloud's half of the same network with other weights."""

    plan: Plan
    learned: Learned
    folder: Path

    @property
    def cloud(self) -> Path:
        return self.folder / "halves" / "cloud"

    @property
    def other_cloud(self) -> Path:
        return self.folder / "other" / "cloud"


def planned(source: str, wire: str) -> Plan:
    measured = profile(source, seconds=0.02, pause_ms=0)
    return cut(measured, measured, presets()["wifi"], at="stem+relu", wire=wire)


def prepared(folder: Path, wire: str) -> Prepared:
    plan = planned("several:residual", wire)
    options = Options(count=2, laplace=Schedule(steps=3, alpha=0))
    data = catalog.load_dataset("several:vectors")
    learned = learn(plan, data, kind="laplace", budget_points=60, seed=0, options=options)
    collection.write(folder / "noise", learned.noise, learned.facts)
    artifact.write(folder / "plan.json", plan)
    splitting.split(plan, folder / "halves", noise=folder / "noise")
    other = planned("several:retrained", wire)
    named = msgspec.structs.replace(other, model=msgspec.structs.replace(other.model, name=plan.model.name))
    splitting.split(named, folder / "other")
    np.save(folder / "x.npy", INPUTS)
    return Prepared(plan, learned, folder)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepared(tmp_path_factory.mktemp("made"), "float32")


@contextmanager
def link_to(url: str) -> Iterator[EmulatedLink]:
    link = EmulatedLink(FAST, "127.0.0.1", int(url.rpartition(":")[2]))
    thread = threading.Thread(target=link.serve, daemon=True)
    thread.start()
    try:
        yield link
    finally:
        link.close()
        thread.join(timeout=5)


def whole(inputs: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        answers: np.ndarray = several.residual()[0](torch.from_numpy(inputs)).numpy()
    return answers


# ---- What is on the wire, through every fault


@dataclass
class Sent:
    """What one inference put on the wire: the bytes of each connection it used."""

    answer: Inference | LocalAnswer
    clean: list[np.ndarray]
    streams: list[bytes]

    def requests(self) -> list[tuple[bytes, bytes]]:
        """Head and body of every inference request; the last of a stream may be cut short."""
        found = []
        for stream in self.streams:
            while stream:
                head, _, rest = stream.partition(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)\r\nInference", head + b"\r\nInference")
                count = int(length[1]) if length else 0
                if head.startswith(b"POST"):
                    found.append((head, rest[:count]))
                stream = rest[count:]
        return found

    def message(self) -> protocol.InferRequest | None:
        """The one that was sent, once or more often."""
        whole = [(head, body) for head, body in self.requests() if body]
        if not whole:
            return None
        head, body = max(whole, key=lambda one: len(one[1]))
        length = re.search(rb"Inference-Header-Content-Length: (\d+)", head)
        assert length
        return protocol.decode_request(body, length[1].decode())


class Watch:
    """An edge that stands by, behind a tap, an emulated link and a real server; every byte is kept."""

    def __init__(self, made: Prepared, folder: Path, *, key: DrawKey | None) -> None:
        self.made, self.key, self.log = made, key, folder / "server.log"
        self.told: list[str] = []
        self.sent: list[Sent] = []
        self.time_s = 0.0
        self._next = 0

    def __enter__(self) -> "Watch":
        self.server = ServerProcess(self.log)
        self._link = link_to(self.server.start(self.made.cloud))
        self.link = self._link.__enter__()
        self.tap = Tap(f"http://127.0.0.1:{self.link.port}")
        self.client = CloudClient(self.tap.url, self.made.plan.model.name, timeout_s=0.5)
        self.network, side = planned_edge(self.made.plan)
        learned = self.made.learned
        levels = learned.facts.quantisation
        self.half = side.half(learned.noise, self.client, quantisation=levels, key=self.key, timing=True)
        self.edge = StandbyEdge(
            self.half,
            self.client,
            whole_engine(self.made.plan, self.network),
            breaker=Breaker(clock=lambda: self.time_s),
            tell=self.told.append,
        )
        return self

    def __exit__(self, *error: Any) -> None:
        self.half.close()
        self.client.close()
        self.tap.close()
        self._link.__exit__(*error)
        self.server.__exit__(*error)

    def infer(self, *, awaiting: Callable[[], None] | None = None) -> Inference | LocalAnswer:
        """The next input, after the breaker's pause."""
        self.time_s += 100
        row = INPUTS[self._next : self._next + 1]
        self._next += 1
        before = [len(one) for one in self.tap.up] + [0] * 1000
        if awaiting is not None:
            threading.Timer(0.2, awaiting).start()
        answer = self.edge.infer([row])
        time.sleep(0.05)  # for the tap to have all of it
        streams = [bytes(one[start:]) for one, start in zip(self.tap.up, before, strict=False)]
        self.sent.append(Sent(answer, self.network.edge.run([row]), streams))
        np.testing.assert_allclose(answer.outputs[0].shape, (1, several.CLASSES))
        if isinstance(answer, LocalAnswer):
            np.testing.assert_allclose(answer.outputs[0], whole(row), rtol=1e-5, atol=1e-6)
        return answer

    def order(self, **what: Any) -> None:
        self.link.order(Order(**what))
        time.sleep(0.05)

    def through_all_faults(self) -> None:
        def local() -> None:
            assert isinstance(self.infer(), LocalAnswer)

        def remote() -> None:
            assert isinstance(self.infer(), Inference), self.told

        remote()
        remote()
        self.order(state="stalled")  # noticed by the deadline alone
        local()
        local()
        self.order(state="up")
        remote()
        before = self.client.retries_made
        self.order(reply_bytes=60)
        remote()
        assert self.client.retries_made == before + 1
        self.order(state="cut")
        local()
        local()
        self.order(state="up")
        remote()
        self.order(link=msgspec.structs.replace(FAST, uplink_mbps=0.2, downlink_mbps=0.5))
        remote()
        self.order(link=FAST)
        self.server.freeze()
        assert isinstance(self.infer(awaiting=self.server.kill), LocalAnswer)  # in the middle of the request
        local()
        self.server.start(self.made.other_cloud)
        local()
        assert "serves another network than was planned" in self.told[-1] or self.edge.errors
        self.server.kill()
        self.server.start(self.made.cloud)
        remote()


def is_clean(window: np.ndarray) -> bool:
    """Not zeros alone, which a ReLU leaves and noise may as well."""
    return bool(np.count_nonzero(window) == window.size)


def codes(clean: np.ndarray, levels: codec.Quantisation | None) -> Iterator[bytes]:
    """Eight bytes of a clean tensor at a time: runs of float32, float16 and int8 (its own range in 256 steps, and the
    wire's levels), and its float64."""
    for row in clean:
        flat = row.reshape(-1)
        scale = max(float(np.ptp(flat)) / 255, 1e-9)
        steps = np.rint((flat - flat.min()) / scale - 128).astype(np.int8)
        forms = [(flat, 2), (flat.astype(np.float16), 4), (flat.astype(np.float64), 1), (steps, 8)]
        if levels is not None:
            forms.append((codec.to_wire(flat, name="x", wire="int8", quantisation=levels)[0], 8))
        for values, most in forms:
            size = min(most, len(flat))
            for start in range(len(flat) - size + 1):
                if is_clean(flat[start : start + size]):
                    yield values[start : start + size].tobytes()


@pytest.mark.parametrize(
    ("wire", "key"),
    [
        ("float32", None),
        pytest.param("int8", None, marks=pytest.mark.long),
        pytest.param("float16", DrawKey(bytes(32), "file"), marks=pytest.mark.long),
        pytest.param("float32", DrawKey(bytes(32), "file"), marks=pytest.mark.long),
    ],
    ids=["fresh", "int8", "float16-keyed", "keyed"],
)
def test_through_every_fault_nothing_crosses_without_its_noise_nor_with_two(
    wire: str, key: DrawKey | None, made: Prepared, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if wire != "float32":
        made = prepared(tmp_path, wire)
    with Watch(made, tmp_path, key=key) as watch:
        watch.through_all_faults()
        captured = b"\n".join(bytes(one) for one in (*watch.tap.up, *watch.tap.down))
        logs = watch.log.read_text() + "\n".join(watch.told) + "".join(capfd.readouterr())
    assert watch.told
    for sent in watch.sent:
        for name, tensor in zip(watch.network.halves.crossing, sent.clean, strict=False):
            levels = (made.learned.facts.quantisation or {}).get(name)
            assert not [one for one in codes(tensor, levels) if one in captured]
            text = [f"{value:.{digits}g}" for value in tensor.reshape(-1) if value for digits in (6, 9)]
            assert not [one for one in text if one in logs or one.encode() in captured]
    # What is sent again is what was sent, whole or its beginning; an input that was answered here stays here.
    for sent in watch.sent:
        bodies = sorted((body for _, body in sent.requests()), key=len)
        assert all(bodies[-1].startswith(one) for one in bodies)
    messages = [message for sent in watch.sent if (message := sent.message())]
    assert len(messages) > 8
    assert len({one.id for one in messages}) == len(messages)
    retried = [sent for sent in watch.sent if len(sent.requests()) > 1]
    assert len(retried) >= 2
    assert all(len({body for _, body in sent.requests() if body}) == 1 for sent in retried)
    # No two inferences share noise: their sums, less what is clean, differ by more than the grid they are rounded to.
    drawn = []
    for sent in watch.sent:
        if message := sent.message():
            assert message.parameters[HALF] == identity_of(made.plan)
            clean = dict(zip(watch.network.halves.crossing, sent.clean, strict=False))
            noisy = {
                name: codec.from_wire(one, name=name, dtype="float32", parameters=message.parameters)
                for name, one in message.tensors.items()
            }
            drawn.append(np.concatenate([noisy[name] - clean[name] for name in clean], axis=1)[0])
    gap = max(float(np.max(one)) for one in grid.gaps(made.learned.noise)) + 1e-2 * (wire == "float16")
    if wire == "int8":
        gap += max(one.scale for one in made.learned.facts.quantisation.values())
    assert max((np.abs(one - other) <= gap).mean() for one, other in combinations(drawn, 2)) < 0.5


def test_another_network_under_the_same_name_is_told_by_the_identity_alone(made: Prepared) -> None:
    other = artifact.read(made.other_cloud / "plan.json", Plan)
    assert other.model.name == made.plan.model.name
    assert other.cut.crossing == made.plan.cut.crossing
    assert identity_of(other) != identity_of(made.plan)
    assert identity_of(artifact.read(made.cloud / "plan.json", Plan)) == identity_of(made.plan)
    assert re.fullmatch("[0-9a-f]{16}", identity_of(made.plan))
    assert planned("several:residual", "float16") != made.plan
    for wire in ("float16", "int8"):
        settings = msgspec.structs.replace(made.plan.settings, wire=wire)
        assert identity_of(msgspec.structs.replace(made.plan, settings=settings)) != identity_of(made.plan)


# ---- What a user sees


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path / "server.log") as found:
        yield found


def arguments(made: Prepared, url: str, out: Path, *more: str, plan: str = "plan.json") -> Sequence[str | Path]:
    noise = ("--noise", made.folder / "noise") if plan == "plan.json" else ()
    files = ("--input", made.folder / "x.npy", "--output", out)
    return ("run", made.folder / plan, *noise, *files, "--server", url, *more)


@pytest.mark.parametrize("plan", [pytest.param("plan.json", marks=pytest.mark.long), "halves/edge"])
def test_faults_are_one_line_that_names_the_peer_and_exit_4(
    plan: str, made: Prepared, server: ServerProcess, tmp_path: Path, plan_command: Callable[..., Any]
) -> None:
    out = tmp_path / "y.npy"

    def refused(url: str, *words: str, more: Sequence[str] = ()) -> None:
        done = plan_command(*arguments(made, url, out, *more, plan=plan))
        assert done.code == 4, done.err
        assert len(done.err.splitlines()) == 1
        assert url in done.err
        assert all(word in done.err for word in words), done.err
        assert not list(tmp_path.glob("*y.npy*"))

    direct = server.start(made.cloud)
    with link_to(direct) as link:
        url = f"http://127.0.0.1:{link.port}"
        link.order(Order(state="stalled"))
        refused(url, "did not answer in time (0.3 s)", more=("--timeout", "0.3"))
        link.order(Order(state="cut"))
        refused(url, "cannot be reached", "is `plan serve` running there")
        # At a thousandth of its rate 60 inputs take seconds; what asks about the model still passes.
        slow = msgspec.structs.replace(FAST, uplink_mbps=0.01)
        link.order(Order(state="up", link=slow))
        refused(url, "did not answer in time (1 s)", more=("--timeout", "1"))
        link.order(Order(link=FAST))
        threading.Timer(0.5, server.kill).start()
        server.freeze()
        refused(url, "cannot be reached")
    server.start(made.other_cloud)
    refused(server.url, "serves another network than was planned; start `plan serve` there with this plan")
    server.kill()
    server.start(made.cloud)
    assert plan_command(*arguments(made, server.url, out, plan=plan)).code == 0
    assert np.load(out).shape == (60, several.CLASSES)


def test_a_certificate_of_another_authority_is_said_and_nothing_is_sent(
    made: Prepared, tmp_path: Path, plan_command: Callable[..., Any]
) -> None:
    ours, theirs = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(tmp_path / "ca.pem")
    shown = theirs.issue_cert("127.0.0.1")
    shown.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    shown.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "key.pem").chmod(0o600)
    with ServerProcess(
        tmp_path / "server.log", "--tls-cert", tmp_path / "cert.pem", "--tls-key", tmp_path / "key.pem"
    ) as server:
        tap = Tap("http" + server.start(made.cloud).removeprefix("https"))
        url = tap.url.replace("http", "https")
        done = plan_command(*arguments(made, url, tmp_path / "y", "--ca", str(tmp_path / "ca.pem")))
        assert done.code == 4
        assert len(done.err.splitlines()) == 1
        assert f"{url} shows a certificate of no authority that is trusted here" in done.err
        # A handshake, and no retry: the server is what it is.
        assert len(tap.up) == 1
        assert sum(map(len, tap.up)) < 1000
        stand_in = plan_command(
            *arguments(made, url, tmp_path / "y", "--ca", str(tmp_path / "ca.pem"), "--fallback", "edge")
        )
        assert stand_in.code == 4  # wrong from the start is for a person to mend
        tap.close()


def test_with_fallback_the_answers_come_from_the_edge(
    made: Prepared, tmp_path: Path, plan_command: Callable[..., Any]
) -> None:
    out = tmp_path / "y.npy"
    done = plan_command(*arguments(made, "http://127.0.0.1:9", out, "--fallback", "edge", "--json"))
    assert done.code == 0, done.err
    assert json.loads(done.out) == {"inputs": 60, "fallbacks": 1, "errors": 0, "output": str(out)}
    assert "http://127.0.0.1:9 cannot be reached" in done.err
    assert "answering on the edge meanwhile" in done.err
    np.testing.assert_allclose(np.load(out), whole(INPUTS), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("more", "plan", "word"),
    [
        (("--fallback", "edge"), "halves/edge", "--fallback edge needs the whole network"),
        (("--fallback", "cloud"), "plan.json", "--fallback"),
        (("--timeout", "0"), "plan.json", "--timeout 0, expected seconds"),
        (("--timeout", "nan"), "plan.json", "--timeout nan, expected seconds"),
        (("--timeout", "inf"), "plan.json", "--timeout inf, expected seconds"),
    ],
)
def test_what_cannot_be_is_one_line(
    more: Sequence[str], plan: str, word: str, made: Prepared, tmp_path: Path, plan_command: Callable[..., Any]
) -> None:
    done = plan_command(*arguments(made, "http://127.0.0.1:9", tmp_path / "y", *more, plan=plan))
    assert done.code == 2
    assert word in done.err
    assert len(done.err.splitlines()) == 1


def test_a_test_set_goes_on_when_the_server_dies_and_says_what_was_local(
    made: Prepared, server: ServerProcess, tmp_path: Path, plan_command: Callable[..., Any]
) -> None:
    url, out = server.start(made.cloud), tmp_path / "run.json"
    tap = Tap(url)

    def kill_when_busy() -> None:
        while sum(map(len, tap.up)) < 30_000:  # well past the warm-up
            time.sleep(0.005)
        server.kill()

    watch = threading.Thread(target=kill_when_busy, daemon=True)
    watch.start()
    noise = ("--noise", made.folder / "noise", "--out", out)
    done = plan_command("run", made.folder / "plan.json", *noise, "--server", tap.url, "--samples", "200",
                        "--fallback", "edge")  # fmt: skip
    watch.join(timeout=5)
    tap.close()
    assert done.code == 0, done.err
    record = json.loads(out.read_text())
    assert record["errors"] >= 1
    assert record["fallbacks"] > record["errors"]  # most were not tried on a server that is gone
    assert record["fallback_ms"]["p50"] > 0
    assert record["accuracy"]["n"] == len(catalog.load_dataset("several:vectors").test)
    assert f"{record['fallbacks']} calls were answered on the edge alone" in " ".join(done.out.split())
    assert "answering on the edge meanwhile" in done.err


def test_without_fallback_the_first_failure_ends_it(
    made: Prepared, server: ServerProcess, tmp_path: Path, plan_command: Callable[..., Any]
) -> None:
    url = server.start(made.cloud)
    tap = Tap(url)

    def kill_when_busy() -> None:
        while sum(map(len, tap.up)) < 30_000:
            time.sleep(0.005)
        server.kill()

    threading.Thread(target=kill_when_busy, daemon=True).start()
    noise = ("--noise", made.folder / "noise", "--out", tmp_path / "run.json")
    done = plan_command("run", made.folder / "plan.json", *noise, "--server", tap.url, "--samples", "200")
    tap.close()
    assert done.code == 4
    assert f"{tap.url} cannot be reached" in done.err
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "run.json").exists()


def test_a_folders_edge_refuses_a_server_of_other_weights(made: Prepared, server: ServerProcess) -> None:
    url = server.start(made.other_cloud)
    plan, side = edge_side(made.folder / "halves" / "edge")
    with CloudClient(url, plan.model.name) as client, side.half(made.learned.noise, client) as edge:
        with pytest.raises(PeerError, match="serves another network than was planned"):
            edge.infer([INPUTS[:1]])
        assert client.retries_made == 0


def test_the_network_is_cut_where_both_tensors_take_noise(made: Prepared) -> None:
    assert CutNetwork.of(made.plan).beside == ()
