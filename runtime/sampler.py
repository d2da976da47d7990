"""Noise off the critical path: a thread of its own draws it (Shredder, Section 4: "in parallel"). No torch here.

Fresh noise does not depend on the input, so the next inference's is drawn while the reply to this one is awaited.
Keyed noise is drawn while the edge half computes. Each draw is handed out once.
"""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noise.keyed import DrawKey
from noise.mechanism import Mechanism
from noise.randomness import Randomness, SystemRandom

Array = NDArray[Any]
Drawing = Future[list[Array]]


class Sampler:
    """Draws a mechanism's noise, in the background, until it is closed."""

    def __init__(self, noise: Mechanism, *, key: DrawKey | None = None, random: Randomness | None = None) -> None:
        """key: the same input gets the same noise; without one it is fresh, from `random` (the system's)."""
        self._noise, self._key, self._random = noise, key, random or SystemRandom()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sampler")
        # One, with the rows it is for. To pop is to take: no two callers can be handed the same draw.
        self._ahead: deque[tuple[int, Drawing]] = deque(maxlen=1)

    def begin(self, inputs: Sequence[Array]) -> Drawing:
        """Noise for a batch [rows, ...] of each input: [rows, n] for each crossing tensor, when it is done.

        Its `result()` raises what the drawing raised.
        """
        if self._key is not None:
            return self._thread.submit(keyed_draw, self._noise, self._key, list(inputs))
        rows = len(inputs[0])
        try:
            drawn_for, drawing = self._ahead.pop()
        except IndexError:
            pass
        else:
            if drawn_for == rows:
                return drawing
            drawing.cancel()
        return self._thread.submit(self._noise.draw, rows, self._random)

    def ahead(self, rows: int) -> None:
        """Draw for the next inference, should it have as many rows."""
        if self._key is None:
            self._ahead.append((rows, self._thread.submit(self._noise.draw, rows, self._random)))

    def close(self) -> None:
        """End the thread; what was drawn and not taken is dropped."""
        self._ahead.clear()
        self._thread.shutdown(cancel_futures=True)


def keyed_draw(noise: Mechanism, key: DrawKey, inputs: Sequence[Array]) -> list[Array]:
    """Noise for a batch of each input, every row's by that row alone, however rows are batched."""
    rows = [noise.draw(1, key.random(inputs, row)) for row in range(len(inputs[0]))]
    return [np.concatenate(column) for column in zip(*rows, strict=True)]
