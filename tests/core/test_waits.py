"""How long somebody waits for an answer."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from marketplace_core.adapters import _waits


async def test_a_wait_ends_in_time_and_others_go_on() -> None:
    waiting = _waits.Waiting()

    async def sleep(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    ended: list[object] = await asyncio.gather(
        waiting.bounded(0.1, sleep, 60.0),
        waiting.bounded(5.0, sleep, 0.6),
        waiting.bounded(None, sleep, 0.7),
        return_exceptions=True,
    )
    assert isinstance(ended[0], TimeoutError)
    assert ended[1:] == [0.6, 0.7]


async def test_who_is_cancelled_is_cancelled() -> None:
    task = asyncio.create_task(_waits.Waiting().bounded(60.0, asyncio.sleep, 60.0))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_a_process_that_was_stopped_takes_the_answers_that_came_meanwhile() -> None:
    answered = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(_waits.Waiting().bounded(0.5, lambda: answered))
    await asyncio.sleep(0.1)
    threading.Timer(0.2, lambda: answered.get_loop().call_soon_threadsafe(answered.set_result, "there")).start()
    time.sleep(2.0)  # noqa: ASYNC251 - as SIGSTOP does
    assert await task == "there"


def test_waits_are_ended_on_a_second_loop_too() -> None:
    waiting = _waits.Waiting()
    for _ in range(2):

        async def work() -> None:
            with pytest.raises(TimeoutError):
                await waiting.bounded(0.1, asyncio.sleep, 60.0)
            left = asyncio.ensure_future(waiting.bounded(60.0, asyncio.sleep, 60.0))
            await asyncio.sleep(0)
            left.cancel()

        asyncio.run(work())
        time.sleep(1.1)  # until it is seen that nobody looks


async def test_nobody_wakes_before_the_first_is_over() -> None:
    """What waits for long, as a read of a stream does, costs nothing meanwhile; who comes later may be over sooner."""
    waiting, loop = _waits.Waiting(), asyncio.get_running_loop()
    tasks = []
    for seconds in (60.0, 120.0, 1.0):
        tasks.append(asyncio.create_task(waiting.bounded(seconds, asyncio.sleep, 60.0)))
        await asyncio.sleep(0)
        assert waiting._timer is not None
        assert waiting._timer.when() - loop.time() == pytest.approx(min(seconds, 60.0), abs=0.1)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
