"""`plan audit`: small pictures under a small network, attacked in seconds."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import noise_networks
import numpy as np
import pytest
from noise_networks import pictures

from noise import auditing, collection
from noise.audit import record
from noise.audit.training import Strength
from noise.auditing import stage, tables
from noise.auditing.floors import among_class_percent, entropy_nats, floors
from noise.auditing.grounds import grounds
from noise.auditing.tables import effort_line
from noise.collection import Accuracy, Crossing, NoiseFacts
from noise.cut_network import CutNetwork
from noise.datasets.records import Dataset, Split
from noise.gaussian import GaussianNoise, LowRankNormal
from noise.laplace import LaplaceNoise, OrderedLaplace
from noise.mechanism import Mechanism
from planner.plan import Plan
from profiles import artifact
from profiles.codec import Quantisation
from profiles.errors import DataError, InfeasibleError

SMALL = replace(
    auditing.QUICK,
    name="small",
    decoder=Strength(width=64, hidden_layers=1, epochs=4, batch=64, learning_rate=8e-3),
    classifier=Strength(width=32, hidden_layers=1, epochs=2, batch=100, learning_rate=8e-3),
    critic=Strength(width=32, hidden_layers=1, epochs=2, batch=100, learning_rate=4e-3),
    train_rows=500,
    test_rows=150,
    pairs=150,
    candidates=50,
    white_box_images=4,
    white_box_steps=5,
    white_box_seeds=1,
    queries=(1, 10),
)


def of_normal(plan: Plan, scale: float) -> GaussianNoise:
    shapes = CutNetwork.of(plan).shapes
    sizes = {node: int(np.prod(shape)) for node, shape in shapes.items()}
    return GaussianNoise(
        {
            node: LowRankNormal(
                np.full(size, scale, np.float32), np.zeros((size, 0), np.float32), np.zeros(0, np.float32)
            )
            for node, size in sizes.items()
        }
    )


def of_laplace(plan: Plan, scale: float, count: int = 3) -> LaplaceNoise:
    random = np.random.default_rng(5)
    tensors = {}
    for node, shape in CutNetwork.of(plan).shapes.items():
        order = np.stack([random.permutation(int(np.prod(shape))) for _ in range(count)])
        tensors[node] = OrderedLaplace(np.zeros(count), np.full(count, scale), order)
    return LaplaceNoise(tensors)


def facts_of(plan: Plan, noise: Mechanism, data: str) -> NoiseFacts:
    cut = CutNetwork.of(plan)
    return NoiseFacts(
        kind=noise.kind,
        architecture=plan.model.architecture,
        weights=cut.network.model.weights,
        crossing=tuple(Crossing(name, shape) for name, shape in cut.shapes.items()),
        wire=plan.settings.wire,
        data=data,
        budget_points=1.0,
        accuracy=Accuracy(100.0, 99.0, 1.0, (0.5, 1.5), 100),
        snr_inverse=1.0,
        settings={},
    )


def given(plan: Plan, *noises: Mechanism, data: str = "pictures") -> dict[str, tuple[Mechanism, NoiseFacts]]:
    return {one.kind: (one, facts_of(plan, one, data)) for one in noises}


@pytest.fixture(scope="module", autouse=True)
def _few_draws() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("noise.task.JUDGED_ROWS", 1000)
        patch.setattr("noise.audit.mean_noise.POOL", 100)
        yield


@pytest.fixture(scope="module")
def data() -> Dataset:
    return noise_networks.attributed_pictures()


@pytest.fixture(scope="module")
def plan() -> Plan:
    return pictures().plan


@pytest.fixture(scope="module")
def both(plan: Plan, data: Dataset) -> record.Audit:
    noises = given(plan, of_normal(plan, 0.4), of_laplace(plan, 0.2))
    return auditing.audit(plan, noises, data, effort=SMALL)


def without_time(audit: record.Audit) -> record.Audit:
    return msgspec.structs.replace(audit, seconds=None)


def test_no_noise_is_the_ceiling_and_the_label_the_floor(both: record.Audit) -> None:
    clean, gaussian, floors = both.clean, both.gaussian, both.floors
    assert clean.reconstruction is not None
    assert gaussian is not None
    assert gaussian.reconstruction is not None
    ceiling, under = (one.reconstruction.attempts[0] for one in (clean, gaussian))
    assert ceiling.attack == under.attack == "decoder"
    assert ceiling.psnr_db > under.psnr_db + 0.3
    assert clean.reidentification is not None
    assert gaussian.reidentification is not None
    assert floors.reidentification is not None
    assert clean.reidentification.top1 == 100
    assert gaussian.reidentification.top1 >= floors.reidentification.top1
    assert clean.attributes["side"] > floors.attributes["side"]


def test_a_decoder_that_had_not_stopped_is_told_whatever_it_attacked(both: record.Audit) -> None:
    def stopped(one: record.Audited, value: bool) -> record.Audited:
        assert one.reconstruction is not None
        attempts = [msgspec.structs.replace(each, stopped_improving=value) for each in one.reconstruction.attempts]
        made = msgspec.structs.replace(one.reconstruction, attempts=tuple(attempts))
        return msgspec.structs.replace(one, reconstruction=made)

    assert both.gaussian is not None
    assert both.laplace is not None
    every = {name: stopped(getattr(both, name), True) for name in ("clean", "gaussian", "laplace")}
    assert "stopped before" not in effort_line(msgspec.structs.replace(both, **every))
    every["gaussian"] = stopped(both.gaussian, False)
    assert "stopped before" in effort_line(msgspec.structs.replace(both, **every))


def test_several_kinds_lose_what_the_first_loses(both: record.Audit) -> None:
    assert both.gaussian is not None
    assert both.laplace is not None
    assert both.gaussian.gain == 1
    assert both.gaussian.accuracy_loss_points == both.accuracy_loss_points > 0
    assert both.laplace.gain != 1
    # A gain is found to a factor of 1.01, and a few rows of 200 change their answer there.
    assert both.laplace.accuracy_loss_points == pytest.approx(both.accuracy_loss_points, abs=1)
    assert both.laplace.accuracy_loss_points <= both.accuracy_loss_points


def test_noise_that_cannot_lose_as_much_is_one_line(plan: Plan, data: Dataset) -> None:
    # However strong, one fixed order leaves some classes right.
    noises = given(plan, of_normal(plan, 2.0), of_laplace(plan, 1.0))
    with pytest.raises(InfeasibleError, match="laplace noise loses"):
        auditing.audit(plan, noises, data, effort=SMALL)


def test_the_papers_noise_is_named_and_its_order_leaves_one_candidate(both: record.Audit) -> None:
    laplace = both.laplace
    assert laplace is not None
    assert laplace.elimination is not None
    assert laplace.naming is not None
    assert laplace.elimination.remaining == 1
    assert laplace.elimination.true_remains == 100
    assert laplace.naming.right > 99
    assert laplace.reidentification is not None
    assert laplace.reidentification.top1 == 100


def test_many_inferences_tell_more(both: record.Audit) -> None:
    assert both.gaussian is not None
    bounds = both.gaussian.information.bound_by_queries
    assert bounds["1"] < bounds["10"] < bounds["100"]
    assert both.gaussian.reidentification is not None
    rates = both.gaussian.reidentification.by_queries
    assert rates["1"] <= rates["10"]
    assert both.gaussian.reconstruction is not None
    once, often = (
        next(one.psnr_db for one in both.gaussian.reconstruction.attempts if one.queries == count)
        for count in (1, 10)
    )
    assert often > once


def test_a_fixed_noise_tensor_is_worthless(plan: Plan, data: Dataset, both: record.Audit) -> None:
    # One distribution of a scale of next to nothing about a large location: the same tensor in every inference.
    fixed = of_laplace(plan, 1e-6, count=1)
    fixed = LaplaceNoise({name: replace(one, loc=np.full(1, 5.0)) for name, one in fixed.tensors.items()})
    found = auditing.audit(plan, given(plan, fixed), data, effort=replace(SMALL, seeds=1, queries=(1,)))
    assert found.laplace is not None
    assert found.laplace.reidentification is not None
    assert found.laplace.reidentification.top1 == 100
    assert found.laplace.reconstruction is not None
    assert both.clean.reconstruction is not None
    assert found.laplace.reconstruction.psnr_db > both.clean.reconstruction.psnr_db - 0.3
    ites = found.laplace.information.ite_nats, found.clean.information.ite_nats
    assert ites[0] == pytest.approx(ites[1], rel=0.01)  # a translation leaves the estimate as it was
    assert any("translation" in one for one in found.laplace.information.remarks)


def test_killed_anywhere_it_ends_with_the_same_figures(
    plan: Plan, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    effort = replace(SMALL, seeds=1)
    noises = given(plan, of_normal(plan, 1.0))
    keep = tmp_path / ".audit.json.auditing"

    def killed_after(count: int) -> Callable[[int, int], None]:
        def told(done: int, of: int) -> None:
            if done == count:
                raise KeyboardInterrupt

        return told

    ran: list[str] = []
    real = stage.Stage.name.fget  # type: ignore[attr-defined]
    assert real is not None
    for stop in (3, 9):
        with pytest.raises(KeyboardInterrupt):
            auditing.audit(plan, noises, data, effort=effort, keep=keep, progress=killed_after(stop))
    checkpoint = stage.run
    monkeypatch.setattr(
        stage,
        "run",
        lambda stages, kept, progress: (
            ran.extend(one.name for one in stages if kept.get(one.name) is None),
            checkpoint(stages, kept, progress),
        )[1],
    )
    again = auditing.audit(plan, noises, data, effort=effort, keep=keep)
    undisturbed = auditing.audit(plan, noises, data, effort=effort)
    assert without_time(again) == without_time(undisturbed)
    assert len(ran) > len(set(ran)) > 9  # the undisturbed one ran those again that were kept
    # Another seed is other work.
    with pytest.raises(KeyboardInterrupt):
        auditing.audit(plan, noises, data, effort=effort, keep=keep, seed=1, progress=killed_after(0))


@pytest.fixture
def files(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(auditing, "QUICK", replace(SMALL, name="quick", seeds=1))
    monkeypatch.chdir(tmp_path)
    artifact.write(tmp_path / "plan.json", plan)
    for noise in (of_normal(plan, 1.0), of_laplace(plan, 0.3)):
        collection.write(tmp_path / f"{noise.kind}.safetensors", noise, facts_of(plan, noise, "pictures"))
    return tmp_path


DATA = ("--data", "noise_networks:picture_pairs")


def test_the_command_writes_record_and_page_and_prints_json(files: Path, plan_command: Callable[..., Any]) -> None:
    done = plan_command("audit", "plan.json", "--noise", "gaussian.safetensors", *DATA, "--quick", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert {"clean", "gaussian", "floors", "accuracy_loss_points"} <= set(found)
    assert "laplace" not in found
    for name in ("clean", "gaussian", "floors"):
        one = found[name]
        assert {"psnr_db", "ssim"} <= set(one["reconstruction"])
        assert {"top1", "n"} <= set(one["reidentification"])
        assert set(one["attributes"]) == {"private"}
        assert {
            "ite_nats", "ksg_nats", "infonce_nats", "bound_nats", "mixture_bound_nats", "k", "n", "dimensions",
        } <= set(one["information"])  # fmt: skip
    assert record.read(files / "audit.json").gaussian is not None
    assert (files / "audit.png").read_bytes().startswith(b"\x89PNG")
    assert not [one.name for one in files.iterdir() if one.name.startswith(".")]
    assert all(len(line) <= 80 for line in done.err.splitlines() if "  " in line and not line.startswith("attacked"))


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--noise", "gaussian.safetensors", "--noise", "gaussian.safetensors"), "second file of gaussian"),
        (("--noise", "gaussian.safetensors", "--private-labels", "colour"), "colour"),
        (("--noise", "missing.safetensors"), "no such file"),
        (("--out", "plan.json"), "is read here as well"),
        (("--out", "plan.json/x"), "cannot be written"),
        (("--out", "."), "is a folder"),
        (("--pictures", "page.txt"), "expected a name that ends in"),
        (("--noise", "other.safetensors"), "learned for another network"),
    ],
)
def test_what_cannot_be_is_one_line(
    files: Path, plan: Plan, plan_command: Callable[..., Any], arguments: tuple[str, ...], word: str
) -> None:
    noise = of_normal(plan, 1.0)
    other = msgspec.structs.replace(facts_of(plan, noise, "pictures"), architecture="sha256:other")
    collection.write(files / "other.safetensors", noise, other)
    before = sorted(one.name for one in files.iterdir())
    done = plan_command("audit", "plan.json", *DATA, "--quick", *arguments)
    assert done.code == 2
    assert word in done.err
    assert len(done.err.splitlines()) == 1
    assert sorted(one.name for one in files.iterdir()) == before


def test_a_plan_that_does_not_say_where_its_model_is(
    files: Path, plan: Plan, plan_command: Callable[..., Any]
) -> None:
    artifact.write(
        files / "plan.json", msgspec.structs.replace(plan, model=msgspec.structs.replace(plan.model, source=None))
    )
    done = plan_command("audit", "plan.json", *DATA, "--quick")
    assert done.code == 2
    assert "does not say where its model is" in done.err


def test_a_page_that_cannot_be_is_said(tmp_path: Path, plan_command: Callable[..., Any]) -> None:
    artifact.write(tmp_path / "plan.json", noise_networks.two_layers_plan())
    asked = ("--data", "noise_networks:pairs", "--pictures", tmp_path / "page.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auditing, "QUICK", replace(SMALL, name="quick", seeds=1))
        done = plan_command("audit", tmp_path / "plan.json", *asked, "--quick")
    assert done.code == 0, done.err
    assert "page.png: not written, the inputs are no pictures" in done.err.replace("\n", "")


def test_vectors_have_no_page_and_no_ssim(tmp_path: Path) -> None:
    planned, data = noise_networks.two_layers_plan(), noise_networks.data()
    found = auditing.audit(planned, {}, data, effort=replace(SMALL, seeds=1), pictures=tmp_path / "page.png")
    assert found.clean.reconstruction is not None
    assert found.clean.reconstruction.ssim is None
    assert found.clean.attributes["side"] > 90
    assert found.floors.attributes["side"] < 60
    assert found.accuracy_loss_points == 0
    assert not (tmp_path / "page.png").exists()


def test_of_int8_clean_tensors_are_rounded_too(plan: Plan, data: Dataset) -> None:
    rounded = msgspec.structs.replace(plan, settings=msgspec.structs.replace(plan.settings, wire="int8"))
    noise = of_normal(rounded, 0.4)
    levels = {node: Quantisation.over(-4.0, 4.0) for node in noise.nodes}
    facts = msgspec.structs.replace(facts_of(rounded, noise, "pictures"), quantisation=levels)
    found = auditing.audit(rounded, {"gaussian": (noise, facts)}, data, effort=replace(SMALL, seeds=1))
    assert found.clean.reidentification is not None
    assert found.gaussian is not None
    assert found.gaussian.reidentification is not None
    assert found.clean.reidentification.top1 > 90
    assert found.clean.reidentification.top1 >= found.gaussian.reidentification.top1


def test_too_few_rows_are_one_line(plan: Plan, data: Dataset, tmp_path: Path) -> None:
    few = Dataset("few", data.train[:10], data.test)
    with pytest.raises(DataError, match="few: 9 rows to attack with"):
        auditing.audit(plan, {}, few, effort=SMALL, keep=tmp_path / "keep")
    assert not list(tmp_path.iterdir())


def test_figures_and_seeds_in_words(both: record.Audit) -> None:
    assert both.gaussian is not None
    nothing_lost = msgspec.structs.replace(both.gaussian, accuracy_loss_points=-0.001)
    _, rows = tables.table(msgspec.structs.replace(both, gaussian=nothing_lost))
    assert "0.00" in rows[0].cells
    assert "-0.00" not in rows[0].cells
    assert tables.effort_line(msgspec.structs.replace(both, seeds=1)).startswith("1 seed,")


def test_a_class_that_no_attacker_saw_is_one_line(plan: Plan, data: Dataset) -> None:
    train = Split(data.train.inputs, np.zeros_like(data.train.labels), data.train.private)
    with pytest.raises(DataError, match="in the test data alone"):
        auditing.audit(plan, {}, Dataset("x", train, data.test), effort=SMALL)


def test_the_floor_of_identification_is_of_all_classes_where_test_data_are_sorted(plan: Plan, data: Dataset) -> None:
    order = np.argsort(data.test.labels, kind="stable")
    test = Split(data.test.inputs[order], data.test.labels[order], {})
    effort = replace(SMALL, test_rows=None, candidates=20)
    cut = CutNetwork.of(plan)
    by_class = Dataset("x", Split(data.train.inputs, data.train.labels, {}), test)
    on = grounds(plan, cut, by_class, effort=effort, private={})
    found = floors(on, by_class, {}, effort=effort).reidentification
    assert found is not None
    among = (np.bincount(data.test.labels) > len(data.test.labels) / 20).sum()
    assert among > 1
    assert found.top1 >= 100 * among / 20


def test_floors_by_hand() -> None:
    assert among_class_percent(np.array([0, 0, 1, 2])) == 75
    assert entropy_nats(np.array([0, 0, 1, 1])) == pytest.approx(np.log(2))
