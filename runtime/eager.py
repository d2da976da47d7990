"""Coroutines that begin at once, where the caller stands, and become a task only if they have to wait.

Python 3.12 has this as `asyncio.eager_task_factory`; here it is for one coroutine, and for 3.11.
"""

import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any


def begin(coroutine: Coroutine[Any, Any, None], spawn: Callable[[Coroutine[Any, Any, None]], object]) -> None:
    """Run a coroutine up to its first wait; `spawn` is given what is left of it, if anything is.

    Up to there it has no current task, so that nothing in it may ask for one (`asyncio.timeout`).
    """
    try:
        awaited = coroutine.send(None)
    except StopIteration:
        return
    spawn(_rest(coroutine, awaited))


@types.coroutine
def _rest(coroutine: Coroutine[Any, Any, None], awaited: Any) -> Generator[Any, Any, None]:
    """Waits for what a begun coroutine waits for, and hands it whatever comes of it."""
    step: Callable[[Any], Any]
    argument: Any
    while True:
        try:
            value = yield awaited
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as error:
            step, argument = coroutine.throw, error
        else:
            step, argument = coroutine.send, value
        try:
            awaited = step(argument)
        except StopIteration:
            return
