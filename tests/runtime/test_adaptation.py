import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from noise_networks import two_layers_plan
from servers import serving
from tap import Tap, requests

from noise import collection, prepared
from noise.collection import Accuracy, Crossing, NoiseFacts
from noise.laplace import LaplaceNoise, OrderedLaplace
from noise.prepared import PreparedCuts
from planner.alternatives import at_cut, breakpoint_cuts
from planner.plan import Plan
from planner.planning import cut
from profiles import artifact
from profiles.device import DeviceProfile
from profiles.errors import ArtifactError, NoiseError, PeerError
from profiles.link import LinkProfile, presets
from runtime import opening
from runtime.adaptation import MARGIN, AdaptiveEdge, Choice
from runtime.adaptive_trial import CutNoise, adaptive_edge, answered, noises, wholes
from runtime.emulation import Order
from runtime.link_estimate import LinkEstimate
from runtime.local import emulated_link
from runtime.serving import prepared_models

LTE = presets()["lte"]
SECRET = bytes(range(32))
#: Bytes count on the one, compute on the other.
FAST = LinkProfile(name="fast", provenance="modelled", uplink_mbps=200, downlink_mbps=200, rtt_ms=2)
SLOW = LinkProfile(name="slow", provenance="modelled", uplink_mbps=0.8, downlink_mbps=0.8, rtt_ms=20)
#: Milliseconds on the edge: up to pool1 little, beyond far more than the fast link takes and less than the slow one.
EDGE_MS = {"pool1": 1.0, "pool2": 20.0, "flatten": 1.0, "relu4": 20.0}


def test_a_better_cut_is_taken_when_it_stays_better() -> None:
    choice = Choice("a")
    assert not choice.update({"a": 100, "b": 100 * (1 - MARGIN) + 1})
    assert [choice.update({"a": 100, "b": 90}) for _ in range(3)] == [False, False, True]
    assert choice.current == "b"


def test_better_by_less_than_half_a_millisecond_is_not_better() -> None:
    choice = Choice("a")
    assert not any(choice.update({"a": 2.0, "b": 1.6}) for _ in range(20))


def test_a_far_better_cut_is_taken_at_once_but_only_once_on_one_link() -> None:
    choice = Choice("a")
    assert choice.update({"a": 100, "b": 50})
    assert not choice.update({"a": 50, "b": 100})
    choice.step()
    assert choice.update({"a": 50, "b": 100})


def test_what_is_better_now_and_then_is_not_taken() -> None:
    choice = Choice("a")
    assert not any(choice.update({"a": 100, "b": 90 if turn % 3 else 110}) for turn in range(100))


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.5])
def test_prices_that_err_make_no_cut_flap(noise: float) -> None:
    """The worst prices there are: whichever cut runs, the other seems far better, or either does at random."""
    random, count = np.random.default_rng(0), 1000
    for adverse in (True, False):
        choice, changes = Choice("a"), 0
        for _ in range(count):
            here, other = choice.current, "b" if choice.current == "a" else "a"
            told = 1 + noise * random.normal(size=2)
            changes += choice.update({here: 100 * told[0], other: (60 if adverse else 100) * told[1]})
        assert changes <= math.log2(count)
        assert changes or not adverse


@pytest.mark.parametrize("spread", [0.05, 0.15, 0.3])
@pytest.mark.parametrize("mbps", [2.0, 3.9, 4.0, 4.1, 8.0])
def test_on_a_noisy_link_the_cut_stays_or_costs_nothing(mbps: float, spread: float) -> None:
    """Two cuts that are worth the same at 4 Mbps; rate and round trip are drawn anew for every exchange."""
    bytes_up, compute_ms = {"early": 25_400, "late": 5_400}, {"early": 10.0, "late": 50.0}
    random, count = np.random.default_rng(1), 600
    estimate, choice, steps = LinkEstimate(LTE), Choice("early"), 0
    changes, spent = 0, Counter[str]()

    def seen_ms(size: int) -> float:
        return float(random.gamma(1 / spread**2, spread**2) * (LTE.rtt_ms + 8e-3 * size / mbps))

    for _ in range(count):
        size = bytes_up[choice.current]
        spent[choice.current] += 1
        if estimate.exchanged(seen_ms(size), bytes_up=size, bytes_down=0) or not estimate.pings:
            estimate.pinged(seen_ms(100), bytes_up=100, bytes_down=0)
        if estimate.steps > steps:
            steps = estimate.steps
            choice.step()
        link = estimate.link
        totals = {
            name: compute_ms[name] + link.rtt_ms + 8e-3 * bytes_up[name] / link.uplink_mbps for name in bytes_up
        }
        changes += not estimate.suspicious and choice.update(totals)
    true_ms = {name: compute_ms[name] + LTE.rtt_ms + 8e-3 * bytes_up[name] / mbps for name in bytes_up}
    mean_ms = sum(true_ms[name] * spent[name] for name in spent) / count
    assert changes <= 0.03 * count
    assert mean_ms <= 1.05 * min(true_ms.values())


@pytest.fixture(scope="module")
def lenet(lenet_profile: DeviceProfile) -> Plan:
    """On the fast link pool1 is the best cut by far, on the slow one flatten."""
    nodes = tuple(msgspec.structs.replace(one, time_ms=EDGE_MS.get(one.id, 0.0)) for one in lenet_profile.nodes)
    edge = msgspec.structs.replace(lenet_profile, nodes=nodes, whole_ms=sum(EDGE_MS.values()))
    return cut(edge, lenet_profile, FAST, noise="laplace")


def prepare(plan: Plan, folder: Path) -> PreparedCuts:
    artifact.write(folder / prepared.PLAN, plan)
    for number, name in enumerate(breakpoint_cuts(plan), start=1):
        artifact.write(prepared.place(folder, number, name) / prepared.PLAN, at_cut(plan, name))
    return prepared.read(folder)


def noise_for(plan: Plan) -> CutNoise:
    (one,) = plan.cut.crossing
    order = np.random.default_rng(len(plan.cut.name)).permutation(math.prod(one.shape))[None]
    facts = NoiseFacts(
        kind="laplace", architecture=plan.model.architecture, weights=plan.model.weights or "",
        crossing=(Crossing(one.node, one.shape[1:]),), wire="float32", data="none", budget_points=1.0,
        accuracy=Accuracy(None, 0.0, None, None, 0), snr_inverse=1.0, settings={},
    )  # fmt: skip
    made = OrderedLaplace(np.zeros(1), np.full(1, 0.1), order)
    return CutNoise(LaplaceNoise({one.node: made}), facts, f"digest of {plan.cut.name}")


class Slowed:
    """An engine on a board on which a linear cut costs its planned time."""

    def __init__(self, inner: Any, wait_ms: float) -> None:
        self.inner, self.name, self._wait_s = inner, inner.name, wait_ms / 1000

    def run(self, inputs: Sequence[Any]) -> Any:
        time.sleep(self._wait_s)
        return self.inner.run(inputs)


@dataclass
class Running:
    edge: AdaptiveEdge
    cuts: PreparedCuts
    order: Any
    tap: Tap
    side: Any


@pytest.fixture(scope="module")
def parts(lenet: Plan, tmp_path_factory: pytest.TempPathFactory) -> Any:
    cuts = prepare(lenet, tmp_path_factory.mktemp("prepared"))
    sides = {
        name: replace(one.edge, engine=Slowed(one.edge.engine, cuts.cuts[name].plan.predicted.edge_ms))
        for name, one in wholes(cuts).items()
    }
    learned = {name: noise_for(one.plan) for name, one in cuts.cuts.items()}
    return cuts, sides, learned, prepared_models(cuts, threads=1)


@contextmanager
def running(parts: Any, link: LinkProfile, *, tapped: bool = True) -> Iterator[Running]:
    """The prepared cuts over an emulated link. tapped: seen on the edge's side; a tap may hold bytes for 40 ms."""
    cuts, sides, learned, models = parts
    with ExitStack() as stack:
        url = stack.enter_context(serving(*models.values()))
        far, order = stack.enter_context(emulated_link(link, url))
        tap = Tap(far)
        stack.callback(tap.close)
        start = cuts.plan.cut.name
        edge = stack.enter_context(
            adaptive_edge(
                tap.url if tapped else far, cuts, sides, learned, start=start, prior=cuts.plan.link, secret=SECRET
            )
        )
        yield Running(edge, cuts, order, tap, sides[start])


def inputs(count: int) -> Any:
    return (np.random.default_rng(3).random((count, 1, 28, 28), dtype=np.float32),)


def test_the_cut_follows_a_link_that_changes_and_every_answer_arrives_in_order(parts: Any) -> None:
    cuts, given = parts[0], inputs(200)
    assert list(cuts.cuts) == ["flatten", "pool1"]
    of_cut: list[str] = []
    got = []
    # Each link until its best cut has run for ten inferences on end, however busy the machine is.
    links, wanted = iter([SLOW, FAST]), iter(["pool1", "flatten", "pool1"])
    with running(parts, FAST, tapped=False) as run:
        assert run.edge.current == "pool1"
        waited_for: str | None = next(wanted)
        for done, _ in answered(run.edge, given, run.side):
            of_cut.append(done.exchange.reply.model.partition("@")[2])
            got.append(done.outputs[0])
            if of_cut[-10:] == [waited_for] * 10:
                waited_for = next(wanted, None)
                if waited_for is None:
                    break
                run.order(Order(link=next(links)))
        assert waited_for is None, of_cut
        record = run.edge.record()
        expected = {
            name: np.concatenate([one.half.infer([row[None]]).outputs[0] for row in given[0][: len(got)]])
            for name, one in run.edge.halves.items()
        }
    assert sum(record.cuts.values()) == pytest.approx(1)
    # Keyed draws: every answer is that of its own input at the cut that ran, and that cut's noise.
    assert len(record.changes) >= 2
    for index, name in enumerate(of_cut):
        np.testing.assert_array_equal(got[index][0], expected[name][index])


def test_everything_on_the_wire_is_of_one_cut_and_carries_its_noise(parts: Any) -> None:
    cuts, sides = parts[:2]
    given = inputs(20)
    with running(parts, FAST) as run:
        for index, _ in enumerate(answered(run.edge, given, run.side)):
            if index == 4:
                run.order(Order(link=SLOW))
        sent = [one for stream in run.tap.up for one in requests(bytes(stream))]
    example = sides[cuts.plan.cut.name].example[0]
    clean = {
        name: [side.engine.inner.run([one[None]])[0] for one in (*given[0], example[0])]
        for name, side in sides.items()
    }
    nodes = {one.plan.cut.crossing[0].node: name for name, one in cuts.cuts.items()}
    seen: dict[str, set[int]] = {}
    for request in sent:
        ((node, tensor),) = request.items()
        name = nodes[node]
        distances = [float(np.abs(tensor - one).mean()) for one in clean[name]]
        nearest = int(np.argmin(distances))
        # Laplace of scale 0.1: a mean distance of 0.1, and not one element in hundred as it was.
        assert distances[nearest] == pytest.approx(0.1, rel=0.5)
        assert (tensor == clean[name][nearest]).mean() < 0.01
        seen.setdefault(name, set()).add(nearest)
    assert len(sent) >= 20
    # No input at two cuts: a second draw would average out. The example, the last, is nobody's.
    for name, rows in seen.items():
        others = set().union(*(more for other, more in seen.items() if other != name))
        assert not (rows & others) - {20}
    assert set(range(20)) <= set().union(*seen.values())


def test_an_exchange_that_breaks_is_sent_again_at_its_own_cut_with_the_same_bytes(parts: Any) -> None:
    with running(parts, FAST) as run:
        run.order(Order(reply_bytes=10))
        time.sleep(0.05)
        run.edge.infer(inputs(1))
        assert run.edge.halves[run.edge.current].client.retries_made == 1
        streams = [requests(bytes(one)) for one in run.tap.up]
    node = run.cuts.plan.cut.crossing[0].node
    again, earlier = streams[-1][0][node], [one[node] for stream in streams[:-1] for one in stream if node in one]
    assert sum(np.array_equal(again, one) for one in earlier) == 1


def test_a_server_without_the_prepared_cuts_is_refused(parts: Any, lenet: Plan) -> None:
    from runtime.serving import served_models

    cuts, sides, learned, _ = parts
    with serving(*served_models(lenet, with_reference=False).values()) as url:
        with pytest.raises(PeerError, match="serves no model 'lenet@"):
            with adaptive_edge(url, cuts, sides, learned, start=lenet.cut.name, prior=lenet.link):
                pass


def test_a_prepared_folder_is_served_under_names_that_differ(lenet: Plan, tmp_path: Path) -> None:
    cuts = prepare(lenet, tmp_path)
    served = opening.to_serve(tmp_path, with_reference=False, threads=1)
    assert set(served) == {"lenet", *(f"lenet@{name}" for name in cuts.cuts)}
    own = served[f"lenet@{lenet.cut.name}"]
    assert served["lenet"].inputs == own.inputs


def test_noise_for_another_cut_or_network_is_refused(lenet: Plan, tmp_path: Path) -> None:
    cuts = prepare(lenet, tmp_path)
    with pytest.raises(ArtifactError, match="no such file"):
        noises(cuts, lenet)
    with pytest.raises(NoiseError, match="prepare its own"):
        noises(cuts, two_layers_plan())


def test_a_folder_that_is_not_whole_is_one_line(lenet: Plan, tmp_path: Path) -> None:
    cuts = prepare(lenet, tmp_path)
    artifact.write(tmp_path / "1-again" / prepared.PLAN, lenet)
    with pytest.raises(ArtifactError, match="second plan for the cut"):
        prepared.read(tmp_path)
    artifact.write(tmp_path / "1-again" / prepared.PLAN, two_layers_plan())
    with pytest.raises(ArtifactError, match=r"1-again.*architecture"):
        prepared.read(tmp_path)
    (tmp_path / "1-again" / prepared.PLAN).unlink()
    with pytest.raises(ArtifactError, match="or the folder above"):
        prepared.read(cuts.cuts[lenet.cut.name].noise.parent)
    cuts.cuts[lenet.cut.name].noise.with_name(prepared.PLAN).unlink()
    with pytest.raises(ArtifactError, match="go on with"):
        prepared.read(tmp_path)


@pytest.fixture
def folder(lenet: Plan, tmp_path: Path) -> Path:
    """Whole, with noise; and its plan beside it."""
    for one in prepare(lenet, tmp_path / "prepared").cuts.values():
        made = noise_for(one.plan)
        collection.write(one.noise, made.noise, made.facts)
    artifact.write(tmp_path / "plan.json", lenet)
    return tmp_path / "prepared"


def test_the_command_runs_a_test_set_between_prepared_cuts(
    folder: Path, mnist: Any, plan_command: Callable[..., Any]
) -> None:
    done = plan_command(
        "run", folder.parent / "plan.json", "--adapt", folder, "--data", "mnist", "--samples", "20",
        "--link", "lte", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    record = json.loads(done.out)
    names = list(prepared.read(folder).cuts)
    assert record["accuracy"]["n"] == record["samples"] == 20
    assert record["equal_to_whole"]
    assert list(record["adaptation"]["cuts"]) == names
    assert sum(record["adaptation"]["cuts"].values()) == pytest.approx(1)
    assert record["adaptation"]["rtt_ms"] == pytest.approx(50, rel=0.1)
    assert "inferences by cut" in done.err


def test_own_inputs_are_answered_in_order(folder: Path, tmp_path: Path, plan_command: Callable[..., Any]) -> None:
    np.save(tmp_path / "x.npy", inputs(5)[0])
    given = ("--input", tmp_path / "x.npy", "--output", tmp_path / "y.npy")
    with serving(*opening.to_serve(folder, with_reference=False, threads=1).values()) as url:
        done = plan_command("run", folder.parent / "plan.json", "--adapt", folder, "--server", url, *given)
        assert done.code == 0, done.err
    assert np.load(tmp_path / "y.npy").shape == (5, 10)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("plan.json", "--adapt", "prepared", "--stream"), "leave them out with --adapt"),
        (("plan.json", "--adapt", "nowhere"), "plan learn PLAN --breakpoints"),
        (("prepared", "--noise", "plan.json"), "with --adapt prepared"),
        (("prepared", "--adapt", "prepared"), "needs the plan's file"),
        (("plan.json", "--adapt", "prepared", "--noise", "plan.json"), "not a whole safetensors file"),
    ],
)
def test_bad_options_are_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, plan_command: Callable[..., Any], arguments: Any, word: str
) -> None:
    monkeypatch.chdir(folder.parent)
    done = plan_command("run", *arguments)
    assert done.code == 2
    assert word in done.err
    assert len(done.err.splitlines()) == 1


def test_no_folder_is_taken_for_a_prepared_one(tmp_path: Path) -> None:
    assert not prepared.is_prepared(tmp_path)
    with pytest.raises(ArtifactError, match="plan learn PLAN --breakpoints"):
        prepared.read(tmp_path)
    (tmp_path / "plan.json").write_text("{}")
    (tmp_path / "half.json").write_text("{}")
    assert not prepared.is_prepared(tmp_path)
