import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from servers import serving

from noise.cut_network import CutNetwork
from noise.datasets.records import Dataset
from planner.plan import Plan
from profiles.errors import ListenError
from runtime.cloud import Limits, listen
from runtime.serving import served_models


@pytest.fixture(scope="module")
def url(lenet_plan: Plan) -> Iterator[str]:
    models = served_models(lenet_plan, with_reference=True).values()
    with serving(*models, limits=Limits(most_rows=64)) as found:
        yield found


@pytest.fixture(scope="module")
def tensors(lenet_plan: Plan, mnist: Dataset) -> Any:
    return CutNetwork.of(lenet_plan).edge.run([mnist.test.inputs[:8]])[0]


def test_a_client_that_nobody_here_wrote_gets_the_networks_answers(
    url: str, lenet_plan: Plan, tensors: Any, mnist: Dataset
) -> None:
    client = triton.InferenceServerClient(url.removeprefix("http://"))
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("lenet")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    metadata = client.get_model_metadata("lenet")
    assert metadata["inputs"] == [{"name": "flatten", "datatype": "FP32", "shape": [-1, 120]}]
    assert metadata["outputs"] == [{"name": "output", "datatype": "FP32", "shape": [-1, 10]}]
    expected = CutNetwork.of(lenet_plan).network.model.module(__import__("torch").from_numpy(mnist.test.inputs[:8]))
    for binary in (True, False):
        given = triton.InferInput("flatten", list(tensors.shape), "FP32")
        given.set_data_from_numpy(tensors, binary_data=binary)
        wanted = triton.InferRequestedOutput("output", binary_data=binary)
        reply = client.infer("lenet", [given], outputs=[wanted], request_id="r1")
        assert reply.get_response()["id"] == "r1"
        np.testing.assert_allclose(reply.as_numpy("output"), expected.detach().numpy(), rtol=1e-5, atol=1e-5)
    with pytest.raises(triton.InferenceServerException, match="no model 'lenett'"):
        client.infer("lenett", [given])
    client.close()


def body(**changes: Any) -> bytes:
    tensor = {"name": "flatten", "shape": [1, 120], "datatype": "FP32", "data": [0.5] * 120}
    return json.dumps({"inputs": [tensor | changes]}).encode()


@pytest.mark.parametrize(
    ("content", "headers", "status", "word"),
    [
        (body(shape=[1, 119], data=[0.5] * 119), {}, 400, "expected FP32 [-1, 120]"),
        (body(shape=[120]), {}, 400, "expected FP32 [-1, 120]"),
        (body(datatype="FP64"), {}, 400, "expected FP32"),
        (body(name="pool2"), {}, 400, "expected ['flatten']"),
        (body(shape=[65, 120], data=[0.5] * 65 * 120), {}, 400, "1 to 64"),
        (body(shape=[0, 120], data=[]), {}, 400, "1 to 64"),
        (b"junk", {}, 400, "JSON header"),
        (body(), {"Inference-Header-Content-Length": "7"}, 400, "JSON header"),
        (body(), {"Content-Encoding": "gzip"}, 415, "compressed"),
        (body(), {"Inference-Header-Content-Length": "9" * 5000}, 400, "the body has"),
        (body(data=[1e308] * 120), {}, 400, "too large"),
        (b"x" * 4_000_000, {}, 413, "larger"),
    ],
)
def test_a_bad_request_gets_an_error_and_the_server_lives_on(
    url: str, content: bytes, headers: dict[str, str], status: int, word: str
) -> None:
    reply = httpx.post(f"{url}/v2/models/lenet/infer", content=content, headers=headers)
    assert reply.status_code == status
    assert word in reply.json()["error"]
    # An error says what was wrong with the request, and nothing of files or code.
    assert "/" not in reply.json()["error"].replace("got", "")
    good = httpx.post(f"{url}/v2/models/lenet/infer", content=body())
    assert good.status_code == 200
    assert good.json()["outputs"][0]["shape"] == [1, 10]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/health/live", 200),
        ("GET", "/v2/health/ready", 200),
        ("GET", "/v2/models/lenet/ready", 200),
        ("GET", "/v2/models/lenet/versions/1", 200),
        ("GET", "/v2/models/lenet/versions/2", 404),
        ("GET", "/v2/models/other", 404),
        ("GET", "/v2/models/lenet/infer", 405),
        ("GET", "/etc/passwd", 404),
        ("GET", "/v2/models/..%2f..%2fetc", 404),
    ],
)
def test_places(url: str, method: str, path: str, status: int) -> None:
    reply = httpx.request(method, f"{url}{path}")
    assert reply.status_code == status
    assert status == 200 or "error" in reply.json()


def test_a_client_that_goes_away_in_the_middle_leaves_the_server_well(url: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as cut:
        cut.sendall(b"POST /v2/models/lenet/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nhalf")
    assert httpx.get(f"{url}/v2/health/live").status_code == 200


def _half_a_request(url: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    opened = socket.create_connection((host, int(port)), timeout=10)
    opened.sendall(b"POST /v2/models/lenet/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nhalf")
    return opened


def test_a_body_that_does_not_arrive_is_given_up(lenet_plan: Plan) -> None:
    models = served_models(lenet_plan, with_reference=False).values()
    with serving(*models, limits=Limits(body_s=0.2)) as url, _half_a_request(url) as slow:
        assert b"408" in slow.recv(200)


def test_more_bodies_than_allowed_at_one_time_are_turned_away(lenet_plan: Plan) -> None:
    models = served_models(lenet_plan, with_reference=False).values()
    with serving(*models, limits=Limits(most_bodies=2)) as url:
        with _half_a_request(url), _half_a_request(url):
            deadline = time.monotonic() + 10
            while (reply := httpx.post(f"{url}/v2/models/lenet/infer", content=body())).status_code == 200:
                assert time.monotonic() < deadline
            assert reply.status_code == 503
            assert "busy" in reply.json()["error"]
        while httpx.post(f"{url}/v2/models/lenet/infer", content=body()).status_code == 503:
            assert time.monotonic() < deadline + 10


def test_a_taken_port_is_one_clear_line() -> None:
    with listen("127.0.0.1", 0) as bound:
        port = bound.getsockname()[1]
        with pytest.raises(ListenError, match=rf"cannot listen on 127\.0\.0\.1:{port}.*choose another with --port"):
            listen("127.0.0.1", port)
    with pytest.raises(ListenError, match="cannot listen"):
        listen("203.0.113.7", 8400)
    with pytest.raises(ListenError, match="no address"):
        listen("", 8400)


def test_the_whole_network_is_served_for_comparison_only_where_asked(lenet_plan: Plan) -> None:
    assert list(served_models(lenet_plan, with_reference=False)) == ["lenet"]


def test_the_reference_takes_8_bit_pixels(url: str, lenet_plan: Plan, mnist: Dataset) -> None:
    pixels = np.rint(mnist.test.inputs[:4] * 255).astype(np.uint8)
    client = triton.InferenceServerClient(url.removeprefix("http://"))
    given = triton.InferInput("input_1", list(pixels.shape), "UINT8")
    given.set_data_from_numpy(pixels)
    answers = client.infer("lenet-cloud-only", [given]).as_numpy("output").argmax(1)
    assert answers.tolist() == mnist.test.labels[:4].tolist()
    client.close()
