"""Noise off the critical path: a thread of its own draws it (Shredder, Section 4: "in parallel"). No torch here.

Fresh noise does not depend on the input, so the next inference's is drawn while the reply to this one is awaited.
Keyed noise is drawn while the edge half computes, and so is what was not drawn ahead. Each draw is handed out once.
"""

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noise.keyed import DrawKey
from noise.mechanism import Mechanism
from noise.randomness import Randomness, SystemRandom

Array = NDArray[Any]
#: Draws of fewer numbers that were not made ahead are made at once: NumPy holds the interpreter's lock over short
#: arrays, so a thread would stop the edge half for as long, and for its own waking besides.
SMALL_ELEMENTS = 2048


class Drawing:
    """Noise that is being drawn."""

    # A future would do as much; its locks are Python, and after a wait cost 8 µs where a queue in C costs 2.
    def __init__(self, draw: Callable[[], list[Array]]) -> None:
        self._draw = draw
        self._drawn: SimpleQueue[list[Array] | BaseException] | None = SimpleQueue()
        self._put = self._drawn.put

    def run(self) -> None:
        try:
            self._put(self._draw())
        except BaseException as error:
            self._put(error)

    def take(self) -> list[Array]:
        """Wait for it: [rows, n] for each crossing tensor. Raises what the drawing raised; to be called once."""
        drawn, self._drawn = self._drawn, None
        if drawn is None:
            raise RuntimeError("this draw was taken before")
        found = drawn.get()
        if isinstance(found, BaseException):
            raise found
        return found


def _work(jobs: "SimpleQueue[Drawing | None]") -> None:
    while (job := jobs.get()) is not None:
        job.run()


class Sampler:
    """Draws a mechanism's noise in the background, until it is closed or nobody has it any more."""

    def __init__(self, noise: Mechanism, *, key: DrawKey | None = None, random: Randomness | None = None) -> None:
        """key: the same input gets the same noise; without one it is fresh, from `random` (the system's)."""
        self._noise, self._key, self._random = noise, key, random or SystemRandom()
        # One, with the rows it is for. To pop is to take: no two callers can be handed the same draw.
        self._ahead: deque[tuple[int, Drawing]] = deque(maxlen=1)
        self._jobs: SimpleQueue[Drawing | None] = SimpleQueue()
        self._thread = threading.Thread(target=_work, args=(self._jobs,), name="sampler", daemon=True)
        self._end = weakref.finalize(self, self._jobs.put, None)
        self._thread.start()
        self._process = os.getpid()

    def begin(self, inputs: Sequence[Array]) -> Drawing:
        """Noise for a batch [rows, ...] of each input."""
        # After a fork both processes hold what was drawn ahead; one draw for two inputs would show their difference.
        if os.getpid() != self._process:
            raise RuntimeError("the sampler is another process's; make the edge half after the fork")
        if self._key is not None:
            return self._soon(partial(keyed_draw, self._noise, self._key, list(inputs)), len(inputs[0]))
        rows = len(inputs[0])
        try:
            drawn_for, drawing = self._ahead.pop()
        except IndexError:
            drawn_for = -1
        if drawn_for == rows:
            return drawing
        return self._soon(partial(self._noise.draw, rows, self._random), rows)

    def ahead(self, rows: int) -> None:
        """Draw for the next inference, should it have as many rows."""
        if self._key is None:
            self._ahead.append((rows, self._begin(partial(self._noise.draw, rows, self._random))))

    def _soon(self, draw: Callable[[], list[Array]], rows: int) -> Drawing:
        """In the background, or at once where that takes less."""
        if rows * self._noise.elements > SMALL_ELEMENTS:
            return self._begin(draw)
        if not self._end.alive:
            raise RuntimeError("the sampler is closed")
        drawing = Drawing(draw)
        drawing.run()
        return drawing

    def _begin(self, draw: Callable[[], list[Array]]) -> Drawing:
        if not self._end.alive:
            raise RuntimeError("the sampler is closed")
        drawing = Drawing(draw)
        self._jobs.put(drawing)
        return drawing

    def close(self) -> None:
        """End the thread; what was drawn and not taken is dropped."""
        self._ahead.clear()
        self._end()
        self._thread.join()


def keyed_draw(noise: Mechanism, key: DrawKey, inputs: Sequence[Array]) -> list[Array]:
    """Noise for a batch of each input, every row's by that row alone, however rows are batched."""
    rows = [noise.draw(1, key.random(inputs, row)) for row in range(len(inputs[0]))]
    return [np.concatenate(column) for column in zip(*rows, strict=True)]
