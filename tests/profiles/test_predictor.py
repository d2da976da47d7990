"""The latency predictor: exact trees, closed forms, and what a bad table is told."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import networks
import numpy as np
import pytest
import torch
from torch import nn

from profiles import artifact, layer_bench, predictor, regression
from profiles.errors import ArtifactError, DataError
from profiles.layer_table import COLUMNS, Layers, read_table
from profiles.modelled import node_features
from profiles.operator_facts import operator_facts
from profiles.predictor import Predictor
from profiles.trees import Trees


def roofline_layers(rows: int, seed: int = 0, noise: float = 0.02) -> Layers:
    """Layers of a device that is a roofline, 2 % of scatter."""
    rng = np.random.default_rng(seed)
    flops = np.exp(rng.uniform(np.log(1e4), np.log(4e9), rows))
    sizes = np.exp(rng.uniform(np.log(1e2), np.log(1e7), (rows, 3)))
    latency = 0.02 + 1000 * np.maximum(flops / 3e10, sizes.sum(axis=1) / 6e9)
    return Layers(np.column_stack([flops, sizes]), latency * np.exp(noise * rng.standard_normal(rows)))


def write_table(path: Path, kinds: dict[str, Layers]) -> Path:
    with path.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(COLUMNS)
        for kind, layers in kinds.items():
            for row, latency in zip(layers.features, layers.latency_ms, strict=True):
                table.writerow([kind, *row, latency])
    return path


def test_trees_as_arrays_are_scikit_learns() -> None:
    from sklearn.ensemble import GradientBoostingRegressor

    rng = np.random.default_rng(3)
    rows, target = rng.normal(size=(300, 6)), rng.normal(size=300)
    model = GradientBoostingRegressor(n_estimators=40, max_depth=4, random_state=0).fit(rows, target)
    trees = regression.trees_of(model)
    # The training rows lie on thresholds' own sides; new ones fall anywhere.
    for given in (rows, rng.normal(size=(500, 6))):
        np.testing.assert_allclose(trees.predict(given), model.predict(given), rtol=0, atol=1e-13)
    again = msgspec.json.decode(msgspec.json.encode(trees), type=Trees)
    np.testing.assert_array_equal(again.predict(rows), trees.predict(rows))


@pytest.mark.parametrize(
    "change",
    [{"left": (0, -1, -1)}, {"right": (3, -1, -1)}, {"roots": (1,)}, {"value": (0.0,)}, {"roots": ()}],
)
def test_arrays_that_are_no_trees_are_refused(change: dict[str, Any]) -> None:
    stump: dict[str, Any] = {
        "initial": 0.0,
        "roots": (0,),
        "feature": (0, -1, -1),
        "threshold": (0.5, 0.0, 0.0),
        "left": (1, -1, -1),
        "right": (2, -1, -1),
        "value": (0.0, -1.0, 1.0),
    }
    assert Trees(**stump).predict([[0.5], [0.6]]).tolist() == [-1.0, 1.0]
    with pytest.raises(ArtifactError, match="trees"):
        Trees(**stump | change)


def test_the_plain_regression_finds_a_plane() -> None:
    rng = np.random.default_rng(0)
    features = rng.uniform(0, [1e9, 1e6, 1e6, 1e6], (50, 4))
    latency = 0.5 + features @ np.array([1e-9, 2e-6, 3e-6, 4e-6])
    found = regression.fit_linear(features, latency)
    assert found.intercept == pytest.approx(0.5)
    assert found.coefficients == pytest.approx((1e-9, 2e-6, 3e-6, 4e-6))


def test_scores_by_hand() -> None:
    found = regression.score(np.array([1.05, 2.0, 3.6]), np.array([1.0, 2.0, 3.0]))
    assert found.r2 == pytest.approx(1 - (0.05**2 + 0.6**2) / 2)
    assert found.median_relative_error == pytest.approx(0.05)
    assert found.within_10_percent == pytest.approx(2 / 3)
    assert regression.score(np.array([1.0]), np.array([1.0])).r2 is None


def test_boosted_beats_the_plain_regression_on_a_roofline() -> None:
    found = regression.fit_kind(roofline_layers(400), seed=1)
    assert found.boosted_scores is not None
    assert found.boosted_scores.median_relative_error < 0.06
    assert found.boosted_scores.median_relative_error < found.linear_scores.median_relative_error / 2
    assert found.boosted_scores.within_10_percent > found.linear_scores.within_10_percent


def test_the_model_that_predicts_is_the_one_that_does_better_on_layers_it_has_not_seen() -> None:
    assert regression.fit_kind(roofline_layers(200), seed=0).better == "boosted"
    rng = np.random.default_rng(0)
    features = rng.uniform(1e3, 1e6, (200, 4))
    plane = Layers(features, 5.0 + features @ np.array([1e-5, 2e-5, 3e-5, 4e-5]))
    model = regression.fit_kind(plane, seed=0)
    assert model.better == "linear"
    np.testing.assert_allclose(model.predict(features), np.maximum(plane.latency_ms, model.lowest_ms), rtol=1e-6)


@pytest.mark.parametrize("rows", [10, 60])
def test_a_prediction_is_always_a_time(rows: int) -> None:
    model = regression.fit_kind(roofline_layers(rows), seed=0)
    assert (model.boosted is None) == (rows < regression.LEAST_ROWS_FOR_TREES)
    strange = np.array([[0.0] * 4, [1e18] * 4, [0, 1e15, 0, 0], [1e15, 0, 0, 0]])
    found = model.predict(strange)
    assert np.isfinite(found).all()
    assert (found > 0).all()


def test_the_file_gives_back_the_same_times(tmp_path: Path) -> None:
    layers = roofline_layers(60)
    made = regression.fit(read_table(write_table(tmp_path / "l.csv", {"gemm": layers})), seed=4).predictor
    predictor.write(tmp_path / "p.json", made)
    again = predictor.read(tmp_path / "p.json")
    np.testing.assert_array_equal(
        again.kinds["gemm"].predict(layers.features), made.kinds["gemm"].predict(layers.features)
    )
    file = json.loads((tmp_path / "p.json").read_text())
    file["kinds"]["gemm"]["linear"]["coefficients"].pop()
    with pytest.raises(ArtifactError, match="gemm"):
        artifact.decode(json.dumps(file).encode(), Predictor, origin="p.json")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("kind,flops\n", "input_bytes is missing"),
        (",".join(COLUMNS) + "\n", "no layers"),
        (",".join(COLUMNS) + "\nconv,1,2,3,4,fast\n", "line 2: column latency_ms is 'fast'"),
        (",".join(COLUMNS) + "\nconv,1,2,3,4,5\nconv,nan,2,3,4,5\n", "line 3: column flops is nan"),
        (",".join(COLUMNS) + "\nconv,1,2,3,4,-1\n", "line 2: column latency_ms is -1"),
        (",".join(COLUMNS) + "\nconv,1,-2,3,4,1\n", "line 2: column input_bytes is -2"),
        (",".join(COLUMNS) + "\nconv,1,2,3\n", "line 2: 4 cells"),
        (",".join(COLUMNS) + "\n,1,2,3,4,5\n", "line 2: column kind"),
    ],
)
def test_a_bad_table_is_told_by_line_and_column(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "layers.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        read_table(path)


def test_too_few_layers_are_told(tmp_path: Path) -> None:
    kinds = {"a": roofline_layers(3), "b": roofline_layers(12)}
    made = regression.fit(read_table(write_table(tmp_path / "l.csv", kinds)))
    assert list(made.predictor.kinds) == ["b"]
    assert [line.partition(":")[0] for line in made.remarks] == ["a", "b"]
    with pytest.raises(DataError, match="at least 5"):
        regression.fit(read_table(write_table(tmp_path / "l.csv", {"a": roofline_layers(3)})))


class OneOfEach(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6)
        self.act, self.pool = nn.ReLU(), nn.MaxPool2d(2, 2)
        self.fc = nn.Linear(24, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.pool(self.act(self.norm(self.conv(x)))).flatten(1))


def test_the_bench_counts_as_the_trace_does() -> None:
    network = networks.traced((OneOfEach(), (torch.rand(1, 3, 8, 8),)))
    facts = operator_facts(network)
    of_node = {
        name: node_features(network.graph, network.graph.by_id[name], facts[name]) for name in ("conv", "fc", "pool")
    }
    window = {"kernel_size": [2, 2], "stride": [2, 2]}
    bench = {
        "conv": layer_bench.Layer(
            "convolution", "conv2d.default", ((1, 3, 8, 8),), ((6, 3, 3, 3), (6,)),
            {"stride": [2, 2], "padding": [1, 1]}, kernel=9, stride=2, groups=1,
        ),
        "fc": layer_bench.Layer("linear", "linear.default", ((1, 24),), ((5, 24), (5,))),
        "pool": layer_bench.Layer(
            "pooling", "max_pool2d.default", ((1, 6, 4, 4),), settings=window, kernel=4, stride=2
        ),
    }  # fmt: skip
    for name, layer in bench.items():
        assert layer.features(tuple(layer.call()().shape)) == of_node[name], name


def test_a_measured_table_fits_and_profiles_without_running(tmp_path: Path, plan_command: Callable[..., Any]) -> None:
    from profiles import device

    table, made, out = tmp_path / "layers.csv", tmp_path / "predictor.json", tmp_path / "edge.json"
    assert plan_command("predictor", "measure", "--seconds", "3", "--threads", "1", "--out", table).code == 0
    done = plan_command(
        "predictor", "fit", table, "--features", "kernel,stride,groups", "--out", made, "--json", "--seed", "3"
    )
    assert done.code == 0
    scores = json.loads(done.out)["kinds"]["convolution"]["linear"]
    assert set(scores) == {"r2", "median_relative_error", "within_10_percent"}
    done = plan_command("profile", "lenet", "--predict", made, "--out", out)
    assert done.code == 0
    assert "predicted by" in done.out
    found = device.read(out)
    assert found.device.provenance == "modelled"
    assert found.device.software is not None
    assert found.device.software.startswith("predicted by predictor.json")
    assert all(one.time_ms > 0 for one in found.nodes if one.computational)


def test_a_predictor_without_the_layers_of_a_cut_is_refused(tmp_path: Path, plan_command: Callable[..., Any]) -> None:
    table = write_table(tmp_path / "l.csv", {"linear": roofline_layers(30)})
    assert plan_command("predictor", "fit", table, "--out", tmp_path / "p.json").code == 0
    done = plan_command("profile", "lenet", "--predict", tmp_path / "p.json", "--json")
    assert done.code == 2
    assert "no model for kind convolution" in done.err
