"""The edge half against a server of the protocol that is not ours, with tensors as bytes and as JSON."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import several
import torch
from second_server import SecondServer, second_server

from noise.laplace import LaplaceNoise, OrderedLaplace
from planner.plan import Plan
from planner.planning import cut
from profiles.errors import PeerError
from profiles.link import presets
from profiles.profiling import profile
from runtime.client import CloudClient
from runtime.connecting import connect
from runtime.contract import TensorContract
from runtime.edge import EdgeHalf
from runtime.serving import planned_edge

INPUTS = np.random.default_rng(3).standard_normal((7, 6)).astype(np.float32)
WEIGHTS = {name: one.numpy() for name, one in several.residual()[0].state_dict().items()}
#: So weak that the answers are the whole network's to four digits, and strong enough to change every number.
WEAK = LaplaceNoise(
    {
        name: OrderedLaplace(np.zeros(1), np.full(1, 1e-5), np.arange(elements)[None])
        for name, elements in {"stem": 8, "relu": 5}.items()
    }
)


@pytest.fixture(scope="module")
def plan() -> Plan:
    measured = profile("several:residual", seconds=0.02, pause_ms=0)
    return cut(measured, measured, presets()["wifi"], at="stem+relu")


@contextmanager
def edge(plan: Plan, served: SecondServer, **options: Any) -> Iterator[EdgeHalf]:
    _, side = planned_edge(plan)
    with second_server(served) as url, connect(url, plan, side) as client:
        with side.half(WEAK, client, timing=True, **options) as half:
            yield half


def whole() -> np.ndarray:
    with torch.inference_mode():
        answers: np.ndarray = several.residual()[0](torch.from_numpy(INPUTS)).numpy()
    return answers


@pytest.mark.parametrize("nested", [False, True], ids=["flat", "nested"])
@pytest.mark.parametrize("binary", [False, True], ids=["json", "binary"])
def test_answers_are_right_whether_tensors_go_as_numbers_or_as_bytes(plan: Plan, binary: bool, nested: bool) -> None:
    served = SecondServer(plan.model.name, WEIGHTS, binary=binary, nested=nested)
    with edge(plan, served) as half:
        for _ in range(2):
            np.testing.assert_allclose(half.infer([INPUTS]).outputs[0], whole(), atol=1e-3)
    # Nothing is asked that the protocol does not have, and nothing is said that only our own server knows.
    model = f"/v2/models/{plan.model.name}"
    assert served.asked == [model, "/v2", f"{model}/infer", f"{model}/infer"]
    assert all((body.find(b'"data"') < 0) == binary for body in served.bodies)
    assert not any(b"plan_" in body for body in served.bodies)
    ids = [json.JSONDecoder().raw_decode(body.decode("latin1"))[0]["id"] for body in served.bodies]
    assert len(set(ids)) == 2


def test_every_bit_of_a_float_survives_json(plan: Plan) -> None:
    served = SecondServer(plan.model.name, WEIGHTS)
    extreme = np.array([[1e-45, -0.0, 3.4028235e38, 0.1, 1 / 3, -1e-30, 16777217, 1]], np.float32)
    with second_server(served) as url, CloudClient(url, plan.model.name) as client:
        client.infer({"stem": extreme, "relu": np.zeros((1, 5), np.float32)})
    sent = json.loads(served.bodies[0])["inputs"][0]
    assert sent["shape"] == [1, 8]
    assert (np.array(sent["data"], np.float32).view(np.uint32) == extreme.view(np.uint32)).all()


def sent_as(wire: str, served: SecondServer, tensors: dict[str, np.ndarray], **parameters: float) -> np.ndarray:
    with second_server(served) as url, CloudClient(url, "residual") as client:
        reply = client.infer(tensors, parameters=parameters).reply
    return np.asarray(reply.tensors["output"])


@pytest.mark.parametrize("binary", [False, True], ids=["json", "binary"])
@pytest.mark.parametrize("datatype", ["FP16", "INT8"])
def test_tensors_of_fewer_bits_arrive_as_they_were_sent(datatype: str, binary: bool) -> None:
    served = SecondServer("residual", WEIGHTS, datatype=datatype, binary=binary)
    random = np.random.default_rng(0)
    stem, relu = (random.standard_normal((4, n)).astype(np.float32) for n in (8, 5))
    levels = {}
    tensors = {"stem": stem.astype(np.float16), "relu": relu.astype(np.float16)}
    if datatype == "INT8":
        levels = {"stem.scale": 0.03, "stem.zero_point": 3, "relu.scale": 0.02, "relu.zero_point": -7}
        tensors = {
            name: np.clip(np.rint(one / levels[f"{name}.scale"] + levels[f"{name}.zero_point"]), -128, 127).astype(
                np.int8
            )
            for name, one in (("stem", stem), ("relu", relu))
        }
    answer = sent_as(datatype, served, tensors, **levels)
    np.testing.assert_allclose(answer, served.network(stem, relu), atol=0.02 if datatype == "FP16" else 0.1)


def test_a_server_without_bytes_that_takes_no_fp16_says_what_to_do() -> None:
    served = SecondServer("residual", WEIGHTS, datatype="FP16", takes_fp16_json=False)
    half = {"stem": np.ones((1, 8), np.float16), "relu": np.ones((1, 5), np.float16)}
    with pytest.raises(PeerError, match=r"FP16 has no representation in JSON.*plan with --wire float32"):
        sent_as("FP16", served, half)


def test_integers_beside_floats_go_as_json_whole() -> None:
    """Several tensors, one of them of whole numbers, larger than a float holds."""

    class Echo(SecondServer):
        def described(self) -> dict[str, Any]:
            return {"name": "echo", "inputs": [], "outputs": []}

        def infer(self, header: dict[str, Any], tail: bytes) -> tuple[dict[str, Any], bytes]:
            for one in header["inputs"]:
                one["data"] = np.array(one["data"]).reshape(one["shape"]).tolist()
            return {"model_name": "echo", "outputs": header["inputs"]}, b""

    ids, mask = np.array([[2**53 + 1, -(2**63), 2**63 - 1]]), np.array([[True, False, True]])
    tensors = {"x": INPUTS[:1], "ids": ids, "mask": mask, "small": ids.astype(np.int32)}
    with second_server(Echo("echo", {})) as url, CloudClient(url, "echo") as client:
        reply = client.infer(tensors).reply.tensors
    for name, one in tensors.items():
        assert reply[name].dtype == one.dtype
        np.testing.assert_array_equal(reply[name], one)


def test_one_edge_half_with_integers_runs_against_it() -> None:
    """What takes no noise crosses as it is, as JSON too."""

    class Summing(SecondServer):
        def infer(self, header: dict[str, Any], tail: bytes) -> tuple[dict[str, Any], bytes]:
            given = {one["name"]: np.array(one["data"]).reshape(one["shape"]) for one in header["inputs"]}
            sums = given["ids"].sum(1, keepdims=True) + 0 * given["x"][:, :1]
            output = {"name": "sum", "datatype": "FP32", "shape": list(sums.shape), "data": sums.tolist()}
            return {"model_name": "sum", "outputs": [output]}, b""

    class Engine:
        name = "arrays"

        def run(self, inputs: Any) -> list[np.ndarray]:
            return [inputs[0], np.rint(100 * inputs[0]).astype(np.int64)]

    noise = LaplaceNoise({"x": OrderedLaplace(np.zeros(1), np.ones(1), np.arange(6)[None])})
    with second_server(Summing("sum", {})) as url, CloudClient(url, "sum") as client:
        replies = [TensorContract("sum", "float32", (-1, 1))]
        with EdgeHalf(Engine(), noise, client, crossing=["x", "ids"], beside=["ids"], replies=replies) as half:
            (answer,) = half.infer([INPUTS]).outputs
    np.testing.assert_array_equal(answer[:, 0], np.rint(100 * INPUTS).sum(1))


def test_plan_run_takes_its_answers(plan: Plan, tmp_path: Path, plan_command: Callable[..., Any]) -> None:
    """The command itself, against numbers alone."""
    from noise import collection
    from noise.datasets import catalog
    from noise.laplace_learning import Schedule
    from noise.learning import learn
    from noise.learning_options import Options
    from profiles import artifact

    options = Options(count=2, laplace=Schedule(steps=3, alpha=0))
    data = catalog.load_dataset("several:vectors")
    found = learn(plan, data, kind="laplace", budget_points=60, seed=0, options=options)
    collection.write(tmp_path / "noise", found.noise, found.facts)
    artifact.write(tmp_path / "plan.json", plan)
    served = SecondServer(plan.model.name, WEIGHTS)
    with second_server(served) as url:
        done = plan_command("run", tmp_path / "plan.json", "--noise", tmp_path / "noise", "--server", url,
                            "--samples", "5", "--json")  # fmt: skip
    assert done.code == 0, done.err
    record = json.loads(done.out)
    assert record["cloud_engine"] == "numpy"
    assert record["latency_ms"]["cloud"] is None  # it does not tell
    assert record["accuracy"]["noisy"] == pytest.approx(found.facts.accuracy.noisy, abs=10)
    assert not any(b"plan_" in body for body in served.bodies)


def test_a_server_of_another_shape_is_refused_before_anything_is_sent(plan: Plan) -> None:
    served = SecondServer(plan.model.name, WEIGHTS, datatype="FP64")
    with pytest.raises(PeerError, match=r"takes relu FP64 \[-1, 5\].*this plan sends relu FP32"):
        with edge(plan, served):
            pass
    assert not served.bodies
