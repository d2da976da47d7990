"""Another server of the Open Inference Protocol (v2), from its text and Python's own library; nothing of ours.

Serves the cloud half of `several:residual` cut at `stem+relu`: output = (stem + relu·Bᵀ + b)·Hᵀ.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

TYPES = {"FP32": "<f4", "FP64": "<f8", "FP16": "<f2", "INT8": "<i1", "INT32": "<i4", "INT64": "<i8"}


@dataclass
class SecondServer:
    """model: its name. datatype: of the inputs it takes. binary: whether it has binary tensors. takes_fp16_json: some
    servers refuse 16-bit floats as numbers. nested: replies as nested lists, rows in rows, else flat.

    asked, bodies: the paths and the bodies that were asked for.
    """

    model: str
    weights: dict[str, np.ndarray]
    datatype: str = "FP32"
    binary: bool = False
    takes_fp16_json: bool = True
    nested: bool = False
    asked: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def network(self, stem: np.ndarray, relu: np.ndarray) -> np.ndarray:
        back = relu.astype(np.float32) @ self.weights["back.weight"].T + self.weights["back.bias"]
        return (stem.astype(np.float32) + back) @ self.weights["head.weight"].T

    def described(self) -> dict[str, Any]:
        sizes = {"stem": 8, "relu": 5}
        return {
            "name": self.model,
            "versions": ["7"],
            "platform": "numpy",
            "inputs": [{"name": n, "datatype": self.datatype, "shape": [-1, size]} for n, size in sizes.items()],
            "outputs": [{"name": "output", "datatype": "FP32", "shape": [-1, 3]}],
        }

    def infer(self, header: dict[str, Any], tail: bytes) -> tuple[dict[str, Any], bytes]:
        """The reply's JSON, and the bytes behind it."""
        given = {}
        for one in header["inputs"]:
            dtype, size = np.dtype(TYPES[one["datatype"]]), one.get("parameters", {}).get("binary_data_size")
            if one["datatype"] != self.datatype:
                raise ValueError(f"{one['name']} is {one['datatype']}, not {self.datatype}")
            if size is None:
                if one["datatype"] == "FP16" and not self.takes_fp16_json:
                    raise ValueError("FP16 has no representation in JSON")
                array = np.array(one["data"], dtype)
            else:
                array, tail = np.frombuffer(tail[:size], dtype), tail[size:]
            array = array.reshape(one["shape"])
            if dtype == np.int8:  # as a DequantizeLinear in front of the model would
                levels = header["parameters"]
                scale, zero = levels[f"{one['name']}.scale"], levels.get(f"{one['name']}.zero_point", 0)
                array = (array.astype(np.float32) - zero) * scale
            given[one["name"]] = array
        answer = self.network(given["stem"], given["relu"]).astype("<f4")
        output: dict[str, Any] = {"name": "output", "datatype": "FP32", "shape": list(answer.shape)}
        data = b""
        if header.get("parameters", {}).get("binary_data_output") and self.binary:
            data = answer.tobytes()
            output["parameters"] = {"binary_data_size": len(data)}
        else:
            output["data"] = answer.tolist() if self.nested else answer.reshape(-1).tolist()
        return {"id": header.get("id"), "model_name": self.model, "model_version": "7", "outputs": [output]}, data


def handler(served: SecondServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            served.asked.append(self.path)
            answers: dict[str, Any] = {
                "/v2": {"name": "second", "version": "1", "extensions": ["binary_tensor_data"] * served.binary},
                "/v2/health/live": {},
                f"/v2/models/{served.model}": served.described(),
            }
            if self.path in answers:
                self.reply(200, json.dumps(answers[self.path]).encode())
            else:
                self.reply(404, b'{"error": "nothing there"}')

        def do_POST(self) -> None:
            served.asked.append(self.path)
            body = self.rfile.read(int(self.headers["Content-Length"]))
            served.bodies.append(body)
            length = int(self.headers.get("Inference-Header-Content-Length", len(body)))
            if length != len(body) and not served.binary:
                self.reply(400, b'{"error": "no binary tensors here"}')
                return
            try:
                answer, data = served.infer(json.loads(body[:length]), body[length:])
            except (ValueError, KeyError) as error:
                self.reply(400, json.dumps({"error": str(error)}).encode())
                return
            head = json.dumps(answer).encode()
            self.reply(200, head + data, **({"Inference-Header-Content-Length": str(len(head))} if data else {}))

        def reply(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@contextmanager
def second_server(served: SecondServer) -> Iterator[str]:
    """Its URL, while it runs."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler(served)) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
