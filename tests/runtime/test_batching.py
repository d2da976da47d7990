import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np
import pytest
from engines import WEIGHTS, WIDTH, Gated, Linear, answer, ask, counted, model, until
from servers import serving

from runtime import protocol
from runtime.batching import Batching
from runtime.client import CloudClient
from runtime.inference import MOST_INLINE_BYTES
from runtime.protocol import InferRequest
from runtime.served import ServedModel

HOLDING = 40


def waiting(url: str) -> float:
    return counted(url, "plan_queue_length")


@contextmanager
def behind(engine: Gated, url: str, pool: ThreadPoolExecutor) -> Iterator[Any]:
    """While a first request holds the engine."""
    with engine.held():
        first = pool.submit(ask, url, np.zeros((HOLDING, WIDTH), np.float32))
        assert engine.began.wait(20)
        yield first


def test_requests_that_wait_are_one_batch_and_get_the_answers_they_get_alone() -> None:
    engine = Gated()
    tensors = [np.random.default_rng(i).normal(size=(1 + i % 3, WIDTH)).astype(np.float32) for i in range(12)]
    with serving(model(engine)) as url, ThreadPoolExecutor(20) as pool:
        alone = [answer(ask(url, one)) for one in tensors]
        with behind(engine, url, pool):
            asked = [pool.submit(ask, url, one) for one in tensors]
            until(lambda: waiting(url) == len(tensors))
        together = [answer(one.result()) for one in asked]
    assert engine.rows == [HOLDING, sum(map(len, tensors))]
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_int8_with_scales_of_their_own_share_a_batch() -> None:
    engine = Gated()
    levels = np.random.default_rng(0).integers(-128, 128, size=(6, 1, WIDTH)).astype(np.int8)
    scales = [{"x.scale": 0.1 * (i + 1), "x.zero_point": float(i - 3)} for i in range(6)]
    with serving(model(engine, dtype="int8")) as url, ThreadPoolExecutor(20) as pool:
        with engine.held():
            pool.submit(ask, url, np.zeros((HOLDING, WIDTH), np.int8), **scales[0])
            assert engine.began.wait(20)
            asked = [pool.submit(ask, url, one, **own) for one, own in zip(levels, scales, strict=True)]
            until(lambda: waiting(url) == 6)
        answers = [answer(one.result()) for one in asked]
    assert engine.rows == [HOLDING, 6]
    for one, own, got in zip(levels, scales, answers, strict=True):
        expected = (one.astype(np.float64) - own["x.zero_point"]) * own["x.scale"] @ WEIGHTS
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-4)


def test_a_batch_is_no_larger_than_it_may_be() -> None:
    engine = Gated()
    with serving(model(engine), batching=Batching(most_rows=4)) as url, ThreadPoolExecutor(20) as pool:
        with behind(engine, url, pool):
            asked = [pool.submit(ask, url, np.ones((2, WIDTH), np.float32)) for _ in range(3)]
            until(lambda: waiting(url) == 3)
        assert all(answer(one.result()).shape == (2, 7) for one in asked)
    assert engine.rows == [HOLDING, 4, 2]


def test_a_model_of_fixed_rows_makes_no_batches() -> None:
    engine = Gated()
    with serving(model(engine, rows=1)) as url, ThreadPoolExecutor(8) as pool:
        engine.rows.clear()
        asked = [pool.submit(ask, url, np.ones((1, WIDTH), np.float32)) for _ in range(8)]
        assert all(answer(one.result()).shape == (1, 7) for one in asked)
    assert engine.rows == [1] * 8


def test_what_comes_within_the_delay_is_computed_together() -> None:
    engine = Gated()
    with serving(model(engine), batching=Batching(most_rows=4, delay_ms=1000)) as url:
        engine.rows.clear()
        with ThreadPoolExecutor(4) as pool:
            [answer(one) for one in pool.map(lambda _: ask(url, np.ones((1, WIDTH), np.float32)), range(4))]
    assert engine.rows == [4]  # full, so that nobody waits for the second to end


def test_one_odd_request_fails_alone_and_tells_nothing() -> None:
    engine = Gated(odd=1e9)
    with serving(model(engine)) as url, ThreadPoolExecutor(20) as pool:
        with behind(engine, url, pool):
            odd = pool.submit(ask, url, np.full((1, WIDTH), 1e9, np.float32))
            asked = [pool.submit(ask, url, np.full((1, WIDTH), float(i), np.float32)) for i in range(5)]
            until(lambda: waiting(url) == 6)
        for i, one in enumerate(asked):
            np.testing.assert_allclose(answer(one.result()), i * WEIGHTS.sum(0)[None], rtol=1e-4, atol=1e-4)
        assert odd.result().status_code == 500
        assert odd.result().json() == {"error": "the server failed on this request"}
        assert answer(ask(url, np.ones((1, WIDTH), np.float32))).shape == (1, 7)


class Summing(Gated):
    """Has no rows in what it makes of three."""

    def run(self, inputs: Any) -> list[Any]:
        (found,) = super().run(inputs)
        return [found.sum() if len(found) == 3 else found]


def test_a_batch_that_comes_back_without_rows_leaves_nobody_waiting() -> None:
    engine = Summing()
    with serving(model(engine)) as url, ThreadPoolExecutor(20) as pool:
        with behind(engine, url, pool):
            asked = [pool.submit(ask, url, np.ones((1, WIDTH), np.float32), timeout_s=10) for _ in range(3)]
            until(lambda: waiting(url) == 3)
        for one in asked:
            np.testing.assert_allclose(answer(one.result()), WEIGHTS.sum(0)[None], rtol=1e-4, atol=1e-4)
        assert 3 in engine.rows


def test_numbers_in_a_long_header_are_read_apart_from_the_event_loop() -> None:
    values = np.arange(400 * WIDTH, dtype=np.float32).reshape(400, WIDTH)
    head = protocol.encode_request(InferRequest({"x": values}), binary=False).body
    assert MOST_INLINE_BYTES < len(head) < protocol.MOST_HEADER_BYTES
    read_in = list[str]()

    class Watched(ServedModel):
        def taken(self, *given: Any, **more: Any) -> list[Any]:
            read_in.append(threading.current_thread().name)
            return super().taken(*given, **more)

    plain = model(Linear())
    watched = Watched(plain.name, plain.engine, plain.inputs, plain.outputs, plain.dtypes)
    with serving(watched) as url:
        for headers in ({}, {protocol.HEADER_LENGTH: str(len(head))}):
            assert httpx.post(f"{url}/v2/models/m/infer", content=head, headers=headers).status_code == 200
    assert all(name.startswith("read") for name in read_in)
    assert len(read_in) == 2


def test_beyond_the_queue_a_client_is_told_when_to_come_again() -> None:
    engine = Gated()
    with serving(model(engine), batching=Batching(most_waiting=2)) as url, ThreadPoolExecutor(20) as pool:
        with behind(engine, url, pool):
            asked = [pool.submit(ask, url, np.ones((1, WIDTH), np.float32)) for _ in range(2)]
            until(lambda: waiting(url) == 2)
            refused = ask(url, np.ones((1, WIDTH), np.float32))
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) >= 1
            assert "busy" in refused.json()["error"]
            assert counted(url, "plan_refused_total", reason="queue") == 1
        assert all(one.result().status_code == 200 for one in asked)


def test_what_waits_for_a_client_that_has_gone_is_dropped() -> None:
    engine = Gated()
    with serving(model(engine)) as url, ThreadPoolExecutor(20) as pool:
        with behind(engine, url, pool) as first:
            with pytest.raises(httpx.ReadTimeout):
                ask(url, np.ones((1, WIDTH), np.float32), timeout_s=0.3)
            until(lambda: counted(url, "plan_refused_total", reason="gone") == 1)
        first.result()
        assert answer(ask(url, np.ones((2, WIDTH), np.float32))).shape == (2, 7)
    assert engine.rows == [HOLDING, 2]


def test_health_and_metrics_answer_while_an_inference_runs() -> None:
    engine = Gated()
    with serving(model(engine)) as url, ThreadPoolExecutor(2) as pool, behind(engine, url, pool):
        assert httpx.get(f"{url}/v2/health/live").status_code == 200
        assert httpx.get(f"{url}/v2/health/ready").status_code == 200
        assert waiting(url) == 0


def test_live_is_not_ready_until_an_inference_was_made() -> None:
    engine = Gated()
    with engine.held(), serving(model(engine), warm=False) as url:
        assert httpx.get(f"{url}/v2/health/live").status_code == 200
        assert httpx.get(f"{url}/v2/health/ready").status_code == 503
        assert httpx.get(f"{url}/v2/models/m/ready").status_code == 503
        engine.gate.set()
        until(lambda: httpx.get(f"{url}/v2/health/ready").status_code == 200)
        assert httpx.get(f"{url}/v2/models/m/ready").status_code == 200


def test_a_model_that_cannot_make_an_inference_never_gets_ready() -> None:
    with serving(model(Gated(odd=0.0)), warm=False) as url:
        assert ask(url, np.zeros((1, WIDTH), np.float32)).status_code == 500
        assert httpx.get(f"{url}/v2/health/ready").status_code == 503
        assert answer(ask(url, np.ones((1, WIDTH), np.float32))).shape == (1, 7)


def test_the_engines_own_time_is_within_the_clouds() -> None:
    with serving(model(Gated())) as url, CloudClient(url, "m") as client:
        given = {"x": np.ones((1, WIDTH), np.float32)}
        timing = client.infer(given, parameters={"plan_timing": True}).reply.parameters
        assert 0 < timing["plan_compute_ns"] <= timing["plan_replied_ns"] - timing["plan_received_ns"]


def test_many_clients_at_once_get_their_own_answers_and_no_error() -> None:
    random = np.random.default_rng(2)

    def client(url: str, seed: int) -> int:
        tensors = [np.full((1, WIDTH), seed + i / 100, np.float32) for i in range(60)]
        with CloudClient(url, "m") as connection:
            for one in tensors:
                got = connection.infer({"x": one}).reply.tensors["y"]
                np.testing.assert_allclose(got, one @ WEIGHTS, rtol=1e-4, atol=1e-4)
        return len(tensors)

    for engine in (Linear(), Gated()):
        with serving(model(engine)) as url, ThreadPoolExecutor(20) as pool:
            done = sum(pool.map(lambda seed, url=url: client(url, seed), random.permutation(20)))
            until(lambda url=url: counted(url, "plan_requests_total", status="200") == 20 * 60)
        assert done == 20 * 60
