"""What is really sent, byte by byte, held against what was planned and learned."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from servers import serving
from tap import Tap, requests

from noise import collection
from noise.cut_network import CutNetwork
from noise.datasets import catalog
from noise.datasets.records import Dataset
from noise.laplace_learning import Schedule
from noise.learned import Learned
from noise.learning import learn
from noise.learning_options import Options
from noise.randomness import SeededRandom
from planner.constraints import Constraints
from planner.plan import Plan
from planner.planning import cut
from profiles import codec
from profiles.device import DeviceProfile
from profiles.link import presets
from profiles.profiling import profile
from runtime import trial
from runtime.client import CloudClient
from runtime.reach import Reach
from runtime.serving import edge_side, served_models

#: Network, cut, public inputs, data, and bytes of what crosses by wire.
NETWORKS = {
    "double": ("own_models:double", "first", (), "images_of_64_bits", (4, 2, 1)),
    "half": ("own_models:half", "first", (), "images_of_16_bits", (2, 2, 1)),
    "context": ("own_models:with_context", "context+stem", ("context",), "images_in_context", (4, 2, 1)),
    "index": ("own_models:with_index", None, (), "vectors", None),
    "encoder": ("several:encoder", "attention_mask+project+unsqueeze", ("attention_mask",), "texts", None),
}


def planned(source: str, at: str | None, public: Sequence[str], wire: str) -> Plan:
    measured = profile(source, seconds=0.02, pause_ms=0)
    constraints = Constraints(public_inputs=frozenset(public))
    return cut(measured, measured, presets()["wifi"], at=at, wire=wire, constraints=constraints)


def learned(plan: Plan, data: str) -> Learned:
    options = Options(count=2, laplace=Schedule(steps=3, alpha=0))
    return learn(plan, catalog.load_dataset(data), kind="laplace", budget_points=99, seed=0, options=options)


@pytest.mark.parametrize("wire", ["float32", pytest.param("float16", marks=pytest.mark.long), "int8"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_bytes_that_are_sent_are_those_that_were_priced(
    name: str, wire: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("noise.task.JUDGED_ROWS", 100)
    source, at, public, data, itemsizes = NETWORKS[name]
    plan = planned(source, at, public, wire)
    where = f"{source.partition(':')[0]}:{data}"
    found = learned(plan, where)
    network = CutNetwork.of(plan)
    inputs = network.fitting(catalog.load_dataset(where).test[:1].inputs, origin=data)
    with serving(*served_models(plan, with_reference=False).values()) as url:
        tap = Tap(url)
        with CloudClient(tap.url, plan.model.name) as client:
            levels = found.facts.quantisation
            with edge_side(plan, network).half(found.noise, client, quantisation=levels) as edge:
                assert np.isfinite(edge.infer(inputs).outputs[0]).all()
        tap.close()
    (tensors,) = requests(bytes(tap.up[0]))
    assert sum(one.nbytes for one in tensors.values()) == plan.predicted.upload_bytes
    floats = {one.node for one in plan.cut.crossing if codec.is_float(one.dtype)}
    assert set(found.facts.quantisation or {}) == (floats if wire == "int8" else set())
    if itemsizes is not None:
        itemsize = itemsizes[["float32", "float16", "int8"].index(wire)]
        assert plan.predicted.upload_bytes == itemsize * sum(one.size for one in tensors.values())


@pytest.fixture(scope="module")
def int8_plan(lenet_profile: DeviceProfile) -> Plan:
    return cut(lenet_profile, lenet_profile, presets()["wifi"], at="conv3", wire="int8")


@pytest.fixture(scope="module")
def int8_noise(int8_plan: Plan, mnist: Dataset) -> Learned:
    return learn(int8_plan, mnist, kind="laplace", budget_points=1.5, seed=1, options=Options(count=4))


@pytest.mark.long  # learns noise anew for the test set
def test_a_byte_an_element_stays_within_the_budget_on_held_out_data(
    int8_plan: Plan, int8_noise: Learned, mnist: Dataset
) -> None:
    held_out = Dataset("mnist", mnist.train, mnist.holdout())
    with serving(*served_models(int8_plan, with_reference=False).values()) as url:
        record = trial.run(int8_plan, int8_noise.noise, int8_noise.facts, held_out, reach=Reach(url), samples=20)
    assert record.upload_bytes == 120
    assert record.wire == "int8"
    found = record.accuracy
    assert found.loss_points is not None
    assert found.interval_points is not None
    # The very rows that gated, with other draws: off by the draws alone, whose interval is a tenth of a point.
    assert 0.75 < found.loss_points <= 1.5 + 0.25
    assert int8_noise.facts.snr_inverse > 1


def test_the_figures_in_the_file_are_of_the_levels_in_the_file(
    int8_plan: Plan, int8_noise: Learned, mnist: Dataset, tmp_path: Path
) -> None:
    collection.write(tmp_path / "noise", int8_noise.noise, int8_noise.facts)
    noise, facts = collection.read(tmp_path / "noise")
    network = CutNetwork.of(int8_plan)
    test = network.stream(mnist.test, origin="mnist")
    again, _ = network.judge(noise, test, random=SeededRandom(1, 2), levels=facts.quantisation)
    assert again == facts.accuracy
