import gc
import itertools
import os
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from noise.keyed import DrawKey
from noise.laplace import LaplaceNoise, OrderedLaplace
from noise.randomness import Randomness, SeededRandom
from runtime import sampler
from runtime.sampler import Sampler

KEY = DrawKey(b"s" * 32, "sha256:noise")
INPUTS = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)


class Numbered:
    """Noise whose n-th draw is n everywhere; who drew it and how often is kept."""

    kind, distributions, elements, nodes = "numbered", 1, 3, ("a",)

    def __init__(self) -> None:
        self.numbers = itertools.count(1)
        self.drawn: list[int] = []
        self.threads: set[str] = set()

    def draw(self, rows: int, random: Randomness) -> list[Any]:
        number = next(self.numbers)
        self.drawn.append(rows)
        self.threads.add(threading.current_thread().name)
        return [np.full((rows, 3), number, dtype=np.float32)]

    def carried(self, tensors: Sequence[Any]) -> list[Any]:
        return list(tensors)


def laplace(elements: int) -> LaplaceNoise:
    order = np.stack([np.random.default_rng(seed).permutation(elements) for seed in range(3)])
    return LaplaceNoise({"a": OrderedLaplace(np.arange(3.0), np.ones(3), order)})


def samplers() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "sampler"]


def test_no_draw_is_handed_out_twice_whatever_sizes_come() -> None:
    noise = Numbered()
    taken = []
    with_rows = np.random.default_rng(1).integers(1, 4, size=200)
    sampling = Sampler(noise)
    for rows in with_rows:
        (drawn,) = sampling.begin([INPUTS[:rows]]).take()
        assert drawn.shape == (rows, 3)
        taken.append(int(drawn[0, 0]))
        sampling.ahead(rows)
    sampling.close()
    assert len(set(taken)) == 200
    # What is drawn ahead is used where the size is the same: one draw an inference, and one more where it is not.
    assert len(noise.drawn) == 201 + np.count_nonzero(np.diff(with_rows))
    assert "sampler" in noise.threads


def test_no_draw_is_handed_out_twice_to_callers_at_once() -> None:
    noise, taken = Numbered(), []
    sampling = Sampler(noise)

    def take() -> None:
        for _ in range(300):
            taken.append(float(sampling.begin([INPUTS[:1]]).take()[0][0, 0]))
            sampling.ahead(1)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    sampling.close()
    assert len(taken) == len(set(taken)) == 1200


def test_a_draw_can_be_taken_once() -> None:
    sampling = Sampler(Numbered())
    drawing = sampling.begin([INPUTS[:1]])
    drawing.take()
    with pytest.raises(RuntimeError, match="taken before"):
        drawing.take()
    sampling.close()


def test_noise_is_drawn_ahead() -> None:
    noise = Numbered()
    sampling = Sampler(noise)
    sampling.ahead(2)
    end = time.monotonic() + 5
    while not noise.drawn and time.monotonic() < end:
        time.sleep(0.001)
    assert noise.drawn == [2]
    assert sampling.begin([INPUTS[:2]]).take()[0][0, 0] == 1
    sampling.close()


def test_the_thread_ends_with_the_sampler_closed_or_forgotten() -> None:
    before = len(samplers())
    sampling = Sampler(Numbered())
    assert len(samplers()) == before + 1
    sampling.close()
    sampling.close()
    assert len(samplers()) == before
    with pytest.raises(RuntimeError, match="closed"):
        sampling.begin([INPUTS])
    forgotten = Sampler(Numbered())
    forgotten.ahead(1)
    del forgotten
    gc.collect()
    for one in samplers():
        one.join(timeout=5)
    assert len(samplers()) == before


@pytest.mark.parametrize("key", [None, KEY])
def test_what_goes_wrong_in_drawing_surfaces_as_itself_and_the_thread_goes_on(key: DrawKey | None) -> None:
    class Failing(Numbered):
        elements = 10**6

        def draw(self, rows: int, random: Randomness) -> list[Any]:
            if not self.drawn:
                self.drawn.append(rows)
                raise MemoryError("no room for noise")
            return super().draw(rows, random)

    sampling = Sampler(Failing(), key=key)
    sampling.ahead(1)
    with pytest.raises(MemoryError, match="no room for noise"):
        sampling.begin([INPUTS[:1]]).take()
    assert sampling.begin([INPUTS[:1]]).take()[0].shape == (1, 3)
    sampling.close()


@pytest.mark.parametrize("elements", [7, sampler.SMALL_ELEMENTS + 1])
def test_keyed_noise_is_decided_by_the_row_and_nothing_else(elements: int) -> None:
    noise = laplace(elements)

    def drawn(inputs: Any, key: DrawKey = KEY) -> Any:
        sampling = Sampler(noise, key=key)
        (found,) = sampling.begin([inputs]).take()
        sampling.close()
        return found

    whole = drawn(INPUTS)
    assert whole.shape == (12, elements)
    assert (whole == drawn(INPUTS)).all()
    assert (whole[::-1] == drawn(INPUTS[::-1])).all()
    assert (whole[5:6] == drawn(INPUTS[5:6])).all()
    # Inputs, secrets and noise files that differ share nothing.
    assert all(len(np.unique(column)) == 12 for column in whole.T)
    for other in (DrawKey(b"t" * 32, KEY.noise), DrawKey(KEY.secret, "sha256:other")):
        assert (drawn(INPUTS, other) != whole).all()


def test_fresh_noise_comes_from_the_given_source() -> None:
    noise = laplace(9)
    sampling = Sampler(noise, random=SeededRandom(4))
    (drawn,) = sampling.begin([INPUTS]).take()
    sampling.close()
    assert (drawn == noise.draw(12, SeededRandom(4))[0]).all()


def test_what_was_drawn_ahead_is_not_used_by_a_forked_process_too() -> None:
    with closing(Sampler(Numbered())) as sampling:
        sampling.ahead(1)
        child = os.fork()
        if child == 0:
            try:
                sampling.begin([INPUTS[:1]])
            except RuntimeError:
                os._exit(0)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert sampling.begin([INPUTS[:1]]).take()[0][0, 0] == 1
