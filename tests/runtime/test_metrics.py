import httpx
import numpy as np
import pytest
from engines import WIDTH, Linear, ask, counted, model, until
from prometheus_client.parser import text_string_to_metric_families
from servers import serving

from runtime.handled import PARTS, Handled

ONE = np.ones((1, WIDTH), np.float32)


def test_requests_are_counted_by_model_and_status() -> None:
    with serving(model(Linear()), model(Linear(), name="other")) as url:
        sizes = [len(ask(url, np.ones((2, WIDTH), np.float32)).content) for _ in range(3)]
        assert ask(url, np.ones((1, WIDTH + 1), np.float32)).status_code == 400
        assert httpx.post(f"{url}/v2/models/m/infer", headers={"content-encoding": "gzip"}).status_code == 415
        until(lambda: counted(url, "plan_requests_total", model="m") == 5)
        assert counted(url, "plan_requests_total", model="m", status="200") == 3
        assert counted(url, "plan_requests_total", model="m", status="400") == 1
        assert counted(url, "plan_requests_total", model="other") == 0
        assert counted(url, "plan_refused_total", reason="request") == 1
        assert counted(url, "plan_refused_total", reason="encoding") == 1
        for part in PARTS:  # of those alone that were answered
            assert counted(url, "plan_request_seconds_count", model="m", part=part) == 3
        assert counted(url, "plan_sent_bytes_total") > sum(sizes)
        assert counted(url, "plan_received_bytes_total") > 3 * 2 * WIDTH * 4
        # The warm-up's batches are among them, of one row each.
        assert counted(url, "plan_batch_rows_sum", model="m") - counted(url, "plan_batch_rows_count", model="m") == 3
        assert counted(url, "plan_build_info", version="0") == 1


def test_the_exposition_is_prometheus_text() -> None:
    with serving(model(Linear())) as url:
        reply = httpx.get(f"{url}/metrics")
        assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
        families = {one.name: one.type for one in text_string_to_metric_families(reply.text)}
    assert families["plan_request_seconds"] == families["plan_batch_rows"] == "histogram"
    assert families["plan_queue_length"] == "gauge"


def test_two_servers_of_one_process_count_apart() -> None:
    with serving(model(Linear())) as one, serving(model(Linear())) as other:
        ask(one, ONE)
        until(lambda: counted(one, "plan_requests_total") == 1)
        assert counted(other, "plan_requests_total") == 0


def test_parts_add_up_to_the_whole_and_are_none_where_it_did_not_come_to_that() -> None:
    marks = {"received_ns": 10, "decoded_ns": 30, "start_ns": 70, "computed_ns": 150, "replied_ns": 310}
    parts = dict(Handled("m", **marks).parts_s())
    assert tuple(parts) == PARTS
    assert sum(parts[part] for part in PARTS[:-1]) == pytest.approx(parts["whole"])
    assert not dict(Handled("m", received_ns=10, decoded_ns=30).parts_s())
