import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from servers import serving

from noise import collection
from noise.datasets.records import Dataset
from noise.laplace import LaplaceNoise, OrderedLaplace
from noise.learned import Learned
from planner.message_cost import MessageCost
from planner.plan import Cut, Plan
from profiles import artifact
from profiles.errors import EqualityError, PeerError
from profiles.link import presets
from runtime import trial
from runtime.reach import Reach
from runtime.record import RunRecord
from runtime.serving import served_models


def small(mnist: Dataset) -> Dataset:
    return Dataset("mnist", mnist.train, mnist.test[:400])


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


@pytest.fixture(scope="module")
def others() -> set[str]:
    """Children from before: a pool's resource tracker lives as long as this process."""
    return children()


@pytest.fixture(scope="module")
def record(others: set[str], lenet_plan: Plan, lenet_learned: Learned, mnist: Dataset) -> RunRecord:
    return trial.run(lenet_plan, lenet_learned.noise, lenet_learned.facts, small(mnist), samples=30)


def test_two_processes_over_an_emulated_link(record: RunRecord) -> None:
    assert record.emulated
    assert record.accuracy.n == 400
    assert record.samples == 30
    assert record.equal_to_whole
    assert record.largest_difference is not None
    assert record.largest_difference <= 1e-5
    # The link's own time cannot be undercut: half a round trip and the tensor's bytes.
    link = presets()["wifi"]
    assert record.latency_ms.uplink.p50 >= link.uplink_ms(size_bytes=480)
    assert record.latency_ms.total.p50 >= record.limit_ms * 0.9  # type: ignore[operator]
    assert record.bytes_up > record.upload_bytes == 480
    assert record.cloud_only_provenance == "measured"
    assert record.cloud_only_ms >= link.uplink_ms(size_bytes=784)


def test_parts_add_up_to_the_total(record: RunRecord) -> None:
    parts = record.latency_ms
    total = sum(getattr(parts, name).p50 for name in ("edge", "noise", "uplink", "cloud", "downlink"))
    assert total == pytest.approx(parts.total.p50, rel=0.15)


def test_predicted_is_the_plans(record: RunRecord, lenet_plan: Plan) -> None:
    assert record.predicted_ms.total == pytest.approx(lenet_plan.predicted.total_ms)
    message = MessageCost.between(lenet_plan.edge, lenet_plan.cloud)
    uplink_ms = presets()["wifi"].uplink_ms(size_bytes=480 + message.up_bytes(1))
    assert record.predicted_ms.uplink == pytest.approx(uplink_ms + message.up_ms)
    assert record.predicted_ms.handling == pytest.approx(message.up_ms + message.down_ms)
    assert record.prediction_error == pytest.approx(record.predicted_ms.total / record.latency_ms.total.p50 - 1)


def test_no_process_is_left(record: RunRecord, others: set[str]) -> None:
    assert children() <= others


def test_a_server_elsewhere_is_used_and_never_sent_an_input(
    lenet_plan: Plan, lenet_learned: Learned, mnist: Dataset
) -> None:
    with serving(*served_models(lenet_plan, with_reference=False).values()) as url:
        found = trial.run(
            lenet_plan, lenet_learned.noise, lenet_learned.facts, small(mnist), reach=Reach(url), samples=5
        )
    assert not found.emulated
    assert found.cloud_only_provenance == "modelled"
    assert found.speedup_vs_cloud_only is None
    assert found.accuracy.noisy > 90


def test_a_server_with_another_cut_is_refused(lenet_plan: Plan, lenet_learned: Learned, mnist: Dataset) -> None:
    pool2 = next(one for one in lenet_plan.candidates if one.name == "pool2")
    other = msgspec.structs.replace(lenet_plan, cut=Cut(pool2.name, pool2.edge_nodes, pool2.crossing))
    with serving(*served_models(other, with_reference=False).values()) as url:
        with pytest.raises(PeerError, match="start `plan serve` there with this plan"):
            trial.run(lenet_plan, lenet_learned.noise, lenet_learned.facts, small(mnist), reach=Reach(url), samples=5)


def test_halves_that_differ_stop_before_anything_is_sent(
    lenet_plan: Plan, lenet_learned: Learned, mnist: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    from profiles.engine import TorchEngine

    plain = TorchEngine.run

    def off(self: Any, inputs: Any) -> Any:
        return [value + 1e-3 * len(inputs[0][0].shape) for value in plain(self, inputs)]

    monkeypatch.setattr(TorchEngine, "run", off)
    monkeypatch.setattr("runtime.reach.local_cloud", lambda *_: pytest.fail("a cloud was started"))
    with pytest.raises(EqualityError):
        trial.run(lenet_plan, lenet_learned.noise, lenet_learned.facts, small(mnist), samples=5)


@pytest.fixture
def files(lenet_plan: Plan, lenet_learned: Learned, tmp_path: Path) -> tuple[Path, Path]:
    plan, noise = tmp_path / "plan.json", tmp_path / "noise.safetensors"
    artifact.write(plan, lenet_plan)
    collection.write(noise, lenet_learned.noise, lenet_learned.facts)
    return plan, noise


def test_own_inputs_from_file_to_file(
    files: Any, mnist: Dataset, tmp_path: Path, plan_command: Callable[..., Any]
) -> None:
    np.save(tmp_path / "x.npy", mnist.test.inputs[:130])
    done = plan_command(
        "run", files[0], "--noise", files[1], "--input", tmp_path / "x.npy", "--output", tmp_path / "y.npy", "--json"
    )
    assert done.code == 0, done.err
    assert json.loads(done.out)["inputs"] == 130
    answers = np.load(tmp_path / "y.npy").argmax(1)
    assert (answers == mnist.test.labels[:130]).mean() > 0.9


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (np.zeros((3, 28, 28), np.float32), "the model takes [n, 1, 28, 28]"),
        (np.zeros((3, 1, 28, 28), np.float64), "float64, the model takes float32"),
        (np.zeros((0, 1, 28, 28), np.float32), "the model takes"),
        (np.array([{"a": 1}], dtype=object), "not an .npy file"),
        (np.full((3, 1, 28, 28), np.nan, np.float32), "holds NaN or infinity"),
        (None, "no such file"),
    ],
)
def test_own_inputs_of_another_form_are_one_line(
    files: Any, tmp_path: Path, plan_command: Callable[..., Any], content: Any, word: str
) -> None:
    if content is not None:
        np.save(tmp_path / "x.npy", content)
    out = tmp_path / "y.npy"
    done = plan_command("run", files[0], "--noise", files[1], "--input", tmp_path / "x.npy", "--output", out)
    assert done.code == 2
    assert word in done.err
    assert len(done.err.splitlines()) == 1
    assert not out.exists()


def test_a_server_that_is_gone_is_exit_4(files: Any, plan_command: Callable[..., Any]) -> None:
    done = plan_command("run", files[0], "--noise", files[1], "--server", "http://127.0.0.1:9", "--data", "mnist")
    assert done.code == 4
    assert "127.0.0.1:9" in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--input", "x.npy"), "go together"),
        (("--server", "http://h:1", "--no-emulation"), "leave them out with --server"),
        (("--link", "wify"), "neither a preset"),
        (("--data", "mnits"), "there are: mnist"),
        (("--samples", "one"), "--samples"),
    ],
)
def test_bad_options_are_one_line(files: Any, plan_command: Callable[..., Any], arguments: Any, word: str) -> None:
    done = plan_command("run", files[0], "--noise", files[1], *arguments)
    assert done.code == 2
    assert word in done.err
    assert len(done.err.splitlines()) == 1


def test_noise_is_not_optional(files: Any, plan_command: Callable[..., Any]) -> None:
    done = plan_command("run", files[0])
    assert done.code == 2
    assert "--noise" in done.err


def test_noise_that_would_leave_a_tensor_clean_stops_before_anything_is_sent(
    lenet_plan: Plan, lenet_learned: Learned, mnist: Dataset, tmp_path: Path, plan_command: Callable[..., Any]
) -> None:
    artifact.write(tmp_path / "plan.json", lenet_plan)
    (one,) = lenet_learned.noise.tensors.values()
    for scale, word in ((1e-38, "too weak"), (3e38, "no finite number")):
        weak = OrderedLaplace(0 * one.loc, np.full_like(one.scale, scale), one.order)
        collection.write(tmp_path / "noise", LaplaceNoise({"flatten": weak}), lenet_learned.facts)
        np.save(tmp_path / "x.npy", mnist.test.inputs[:2])
        with serving(*served_models(lenet_plan, with_reference=False).values()) as url:
            given = ("--input", tmp_path / "x.npy", "--output", tmp_path / "y.npy", "--server", url)
            done = plan_command("run", tmp_path / "plan.json", "--noise", tmp_path / "noise", *given)
        assert done.code == 2
        assert word in done.err
        assert not (tmp_path / "y.npy").exists()


def test_a_result_never_takes_the_place_of_what_is_read(files: Any, plan_command: Callable[..., Any]) -> None:
    before = files[1].read_bytes()
    done = plan_command("run", files[0], "--noise", files[1], "--out", files[1])
    assert done.code == 2
    assert "would be lost" in done.err
    assert files[1].read_bytes() == before
