"""The main job on models that are not as tidy as the zoo's, over a real socket."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from servers import serving

from noise.datasets import catalog
from noise.laplace_learning import Schedule
from noise.learned import Learned
from noise.learning import learn
from noise.learning_options import Options
from planner.plan import Plan
from planner.planning import cut
from profiles.engine import EagerEngine
from profiles.errors import DataError, NoiseError
from profiles.link import presets
from profiles.models import load_model
from profiles.profiling import profile
from profiles.trace import trace
from runtime import own, trial
from runtime.reach import Reach
from runtime.record import RunRecord
from runtime.serving import planned_edge, served_models
from runtime.stream import Streaming


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten rows are held out here: each would be judged 2,000 times."""
    monkeypatch.setattr("noise.task.JUDGED_ROWS", 100)


def planned(source: str, *, at: str | None = None, batch: int = 1) -> Plan:
    measured = profile(source, seconds=0.05, batch=batch, pause_ms=0)
    return cut(measured, measured, presets()["wifi"], at=at)


def learned(plan: Plan, data: str = "own_models:images") -> Learned:
    # Random networks on random labels: any loss is allowed, since learning is not what is tested.
    options = Options(count=2, laplace=Schedule(steps=3, alpha=0))
    return learn(plan, catalog.load_dataset(data), kind="laplace", budget_points=99, seed=0, options=options)


def ran(plan: Plan, noise: Learned, samples: int = 3) -> RunRecord:
    with serving(*served_models(plan, with_reference=False).values()) as url:
        data = catalog.load_dataset("own_models:images")
        return trial.run(plan, noise.noise, noise.facts, data, reach=Reach(url), samples=samples)


@pytest.mark.parametrize(
    ("source", "at", "batch"),
    [
        ("own_models:fixed", "conv", 1),
        ("own_models:windows", "fold", 1),
        ("own_models:early", "stem", 1),
        ("own_models:half", None, 1),
        ("own_models:early", "stem", 4),
    ],
)
def test_untidy_models_are_learned_and_run(source: str, at: str | None, batch: int) -> None:
    plan = planned(source, at=at, batch=batch)
    record = ran(plan, learned(plan))
    assert record.accuracy.n == 40
    assert record.equal_to_whole
    assert record.upload_bytes == plan.predicted.upload_bytes
    assert record.latency_ms.cloud is not None  # our own server tells how long it computed


@pytest.mark.parametrize(("wire", "itemsize"), [("float16", 2), ("int8", 1)])
def test_floats_cross_in_the_bits_of_the_wire(wire: str, itemsize: int, tmp_path: Path) -> None:
    measured = profile("own_models:early", seconds=0.05, pause_ms=0)
    plan, plain = (cut(measured, measured, presets()["wifi"], at="stem", wire=one) for one in (wire, "float32"))
    assert plan.predicted.upload_bytes == itemsize * 4 * 36
    noise = learned(plan)
    saved = 4 * 4 * 36 - plan.predicted.upload_bytes
    assert ran(plain, learned(plain)).bytes_up - ran(plan, noise).bytes_up == pytest.approx(saved, abs=120)
    with pytest.raises(NoiseError, match=f"learned for wire {wire}, the plan sends float32"):
        ran(plain, noise)


def test_one_timed_inference_is_of_the_batch_that_was_planned() -> None:
    single, fourfold = (planned("own_models:early", at="stem", batch=batch) for batch in (1, 4))
    noise = learned(single)
    sent = [ran(plan, noise).bytes_up for plan in (single, fourfold)]
    payload = single.predicted.upload_bytes
    assert fourfold.predicted.upload_bytes == 4 * payload
    assert sent[1] - sent[0] == pytest.approx(3 * payload, abs=50)


class Seen:
    """An engine, and every row it was given."""

    name = "torch"

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.rows: list[Any] = []

    def run(self, inputs: Any) -> list[Any]:
        self.rows.extend(inputs[0])
        return self._inner.run(inputs)  # type: ignore[no-any-return]


@pytest.mark.parametrize("stream", [None, Streaming(2)])
def test_no_input_gets_two_draws_where_the_last_batch_is_not_full(tmp_path: Path, stream: Streaming | None) -> None:
    module, example = __import__("own_models").early()
    four = torch.export.export(module.eval(), (example[:1].repeat(4, 1, 1, 1),))
    torch.export.save(four, tmp_path / "four.pt2")
    plan = planned(str(tmp_path / "four.pt2"), batch=4)
    noise = learned(plan)
    _, side = planned_edge(plan)
    assert side.agreed.rows == 4
    inputs = np.random.default_rng(1).random((5, 3, 8, 8), dtype=np.float32)
    np.save(tmp_path / "x.npy", inputs)
    seen = Seen(side.engine)
    with serving(*served_models(plan, with_reference=False).values()) as url:
        given = (plan, noise.noise, noise.facts, tmp_path / "x.npy", tmp_path / "y.npy")
        own.run(*given, side=replace(side, engine=seen), reach=Reach(url), streaming=stream)
    assert len(seen.rows) == 8
    assert [sum(np.array_equal(row, one) for row in seen.rows) for one in inputs] == [1] * 5
    assert len(np.load(tmp_path / "y.npy")) == 5


def test_no_input_gets_two_draws_where_there_are_fewer_than_a_batch() -> None:
    plan = planned("own_models:early", at="stem", batch=4)
    _, side = planned_edge(plan)
    inputs = np.random.default_rng(1).random((3, 3, 8, 8), dtype=np.float32)
    (part,) = trial._first([inputs], side, 300, lambda done, of: None)
    assert len(part[0]) == 4
    assert [sum(np.array_equal(row, one) for row in part[0]) for one in inputs] == [1] * 3


def test_the_answer_with_hardly_any_noise_is_the_models_own(tmp_path: Path) -> None:
    plan = planned("own_models:early", at="stem")
    noise = learned(plan)
    (one,) = noise.noise.tensors.values()
    one.scale[:], one.loc[:] = 1e-5, 0
    inputs = np.random.default_rng(1).random((7, 3, 8, 8), dtype=np.float32)
    np.save(tmp_path / "x.npy", inputs)
    with serving(*served_models(plan, with_reference=False).values()) as url:
        given = (plan, noise.noise, noise.facts, tmp_path / "x.npy", tmp_path / "y.npy")
        own.run(*given, reach=Reach(url))
    expected = EagerEngine(trace(load_model("own_models:early"))).run([inputs])[0]
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), expected, atol=1e-3)


def test_an_exported_file_of_one_batch_runs(tmp_path: Path) -> None:
    module, inputs = __import__("own_models").early()
    torch.export.save(torch.export.export(module.eval(), (inputs,)), tmp_path / "early.pt2")
    plan = planned(str(tmp_path / "early.pt2"))
    assert ran(plan, learned(plan)).equal_to_whole


@pytest.mark.parametrize(
    ("source", "data", "error", "word"),
    [
        ("own_models:early", "own_models:many_classes", DataError, "labels from 0 to 39, the model tells 5 classes"),
        ("own_models:early", "own_models:whole_numbers", DataError, "inputs of type uint8, the model takes float32"),
        ("own_models:early", "own_models:dictionaries", DataError, "picture among the inputs, the model takes x;"),
        ("own_models:bfloat", "own_models:images", NoiseError, "holds bfloat16; noise is for float16"),
    ],
)
def test_what_does_not_fit_is_said(source: str, data: str, error: type[Exception], word: str) -> None:
    with pytest.raises(error, match=word):
        learned(planned(source, at="stem" if "early" in source else None), data)


def test_a_model_that_prints_does_not_spoil_the_document() -> None:
    command = [sys.executable, "-m", "runtime.cli", "profile", "own_models:talkative", "--seconds", "0.1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent.parent, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["schema"] == "plan.profile/1"
    assert "making the model" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--input", "x.npy", "--output", "y.npy", "--data", "mnist"), "leave them out with --input"),
        (("--input", "x.npy", "--output", "y.npy", "--samples", "9"), "leave them out with --input"),
        (("--server", "http://host:port"), "expected http://host:port"),
    ],
)
def test_options_that_would_be_ignored_are_refused(
    tmp_path: Path, plan_command: Callable[..., Any], arguments: tuple[str, ...], word: str
) -> None:
    from noise import collection
    from profiles import artifact

    plan = planned("own_models:early", at="stem")
    noise = learned(plan)
    artifact.write(tmp_path / "plan.json", plan)
    collection.write(tmp_path / "noise.safetensors", noise.noise, noise.facts)
    done = plan_command("run", tmp_path / "plan.json", "--noise", tmp_path / "noise.safetensors", *arguments)
    assert done.code == 2
    assert word in done.err
    assert len(done.err.splitlines()) == 1
