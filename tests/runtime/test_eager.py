import asyncio
from collections.abc import Coroutine
from typing import Any

from runtime import eager


def test_what_need_not_wait_is_done_at_once_and_makes_no_task() -> None:
    seen: list[str] = []

    async def work() -> None:
        await asyncio.sleep(0) if seen else None
        seen.append("done")

    eager.begin(work(), lambda rest: seen.append("a task"))
    assert seen == ["done"]


def test_what_waits_goes_on_as_a_task() -> None:
    seen: list[Any] = []

    async def work(future: "asyncio.Future[int]", broken: "asyncio.Future[int]") -> None:
        seen.append(asyncio.current_task())
        seen.append(await future)
        try:
            await broken
        except ValueError as error:
            seen.append(str(error))
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            seen.append("in a task")
        try:
            await asyncio.sleep(30)
        finally:
            seen.append("cancelled")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        future, broken = loop.create_future(), loop.create_future()
        tasks: list[asyncio.Task[None]] = []

        def spawn(rest: Coroutine[Any, Any, None]) -> None:
            tasks.append(loop.create_task(rest))

        # Begun from a callback, as a protocol does: there is no current task.
        loop.call_soon(lambda: eager.begin(work(future, broken), spawn))
        await asyncio.sleep(0.01)
        future.set_result(7)
        await asyncio.sleep(0.01)
        broken.set_exception(ValueError("odd"))
        await asyncio.sleep(0.01)
        tasks[0].cancel()
        await asyncio.wait(tasks)
        assert tasks[0].cancelled()

    asyncio.run(main())
    assert seen == [None, 7, "odd", "in a task", "cancelled"]
