import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines import WIDTH, Gated, Linear, answer, ask, model, until
from servers import serving

from profiles.errors import PlanError
from runtime.logs import Log, clean_id

VALUE = 0.123456789


def lines(path: Path, event: str = "inference") -> list[dict[str, Any]]:
    return [one for one in map(json.loads, path.read_text().splitlines()) if one["event"] == event]


def test_a_line_for_each_inference_with_the_clients_id(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    with serving(model(Linear()), log=Log.to(str(path))) as url:
        reply = ask(url, np.full((2, WIDTH), VALUE, np.float32), id="edge-7/1")
        assert b'"id":"edge-7/1"' in reply.content
        assert answer(reply).shape == (2, 7)
        other = ask(url, np.ones((1, WIDTH), np.float32), headers={"X-Request-ID": "proxy 9\tx"})
        assert other.headers["x-request-id"] == "proxy_9_x"
        both = ask(url, np.ones((1, WIDTH), np.float32), id="own", headers={"X-Request-ID": "of a proxy"})
        assert both.headers["x-request-id"] == "of_a_proxy"
        ask(url, np.ones((1, WIDTH), np.float32))
        until(lambda: len(lines(path)) == 4)
    first, second, behind_proxy, third = lines(path)
    assert behind_proxy["request_id"] == "own"
    assert first["request_id"] == "edge-7/1"
    assert (first["level"], first["model"], first["status"], first["rows"]) == ("info", "m", 200, 2)
    assert first["bytes_out"] == len(reply.content)
    parts = [first[f"{part}_ms"] for part in ("decode", "queue", "compute", "encode")]
    assert sum(parts) == pytest.approx(first["whole_ms"], abs=1e-3)
    assert second["request_id"] == "proxy_9_x"
    assert len(third["request_id"]) == 16  # made here
    assert [one["model"] for one in lines(path, "ready")] == ["m"]


def test_no_log_holds_a_tensors_values_or_a_token(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    with serving(model(Gated(odd=1e9)), log=Log.to(str(path))) as url:
        secret = {"Authorization": "Bearer secret-token"}
        assert ask(url, np.full((1, WIDTH), 1e9, np.float32), headers=secret).status_code == 500
        assert ask(url, np.full((1, WIDTH + 1), VALUE, np.float32), headers=secret).status_code == 400
        until(lambda: len(lines(path)) == 2)
    failed, refused = lines(path)
    assert (failed["level"], failed["status"], failed["refused"]) == ("error", 500, "engine")
    assert (refused["level"], refused["status"], refused["refused"]) == ("warning", 400, "request")
    (told,) = lines(path, "engine_failed")
    assert told["error"] == "ValueError"
    assert any("engines.py" in one for one in told["where"])
    for word in ("12345.678", "secret-token", "0.1234"):
        assert word not in path.read_text()


@pytest.mark.parametrize(
    ("given", "kept"),
    [("a-1", "a-1"), ("a\nb\x1b[31m", "a_b__31m"), ("é" * 3, "___"), ("x" * 500, "x" * 64), ("", "")],
)
def test_a_request_id_cannot_break_a_line(given: str, kept: str) -> None:
    assert clean_id(given) == kept


def test_a_log_that_cannot_be_opened_is_one_clear_line(
    tmp_path: Path, plan_command: Callable[..., Any], lenet_plan: Any
) -> None:
    from profiles import artifact

    with pytest.raises(PlanError, match="give a file that can be written"):
        Log.to(str(tmp_path))
    artifact.write(tmp_path / "plan.json", lenet_plan)
    told = plan_command("serve", tmp_path / "plan.json", "--port", "0", "--log", tmp_path)
    assert told.code == 2
    assert "give a file that can be written" in told.err


def test_a_stream_that_is_gone_stops_no_inference(tmp_path: Path) -> None:
    log = Log.to(str(tmp_path / "log"))
    log._stream.close()
    with serving(model(Linear()), log=log) as url:
        assert answer(ask(url, np.ones((1, WIDTH), np.float32))).shape == (1, 7)
