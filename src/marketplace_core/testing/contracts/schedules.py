"""What keeps schedules must run each when it is due, once, and one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any, Protocol

from marketplace_core.hookspecs import Schedule
from marketplace_core.testing.contracts import eventually, running
from marketplace_core.testing.contracts.bus import ConsumerProcess
from marketplace_core.testing.contracts.clock import MovableClock

__all__ = ["HOURLY", "LEASE", "Schedules", "SchedulesContract", "StartProcess"]

#: Seconds after which what a killed process was running may be run by another.
LEASE = 0.5
#: A process that begins :data:`HOURLY`, notes ``began`` in ``seen``, and does not end it.
StartProcess = Callable[[], AbstractAsyncContextManager[ConsumerProcess]]


class Schedules(Protocol):
    async def run_due(self, schedules: Iterable[Schedule], run: Callable[[Schedule], Awaitable[Any]]) -> int: ...

    async def due(self, schedules: Iterable[Schedule]) -> int: ...

    async def run(self, schedules: Sequence[Schedule], service: object) -> None: ...


class Service:
    def __init__(self) -> None:
        self.ran: list[str] = []
        self.bad = False
        self.at_once = self.most_at_once = 0
        self.hold: asyncio.Event | None = None
        self.began = asyncio.Event()

    async def hourly(self) -> None:
        await self._work("hourly")

    async def daily(self) -> None:
        await self._work("daily")

    async def failing(self) -> None:
        self.ran.append("failing")
        if self.bad:
            raise ValueError("a bad day")

    async def _work(self, name: str) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.began.set()
        await asyncio.sleep(0.005)
        if self.hold is not None:
            await self.hold.wait()
        self.ran.append(name)
        self.at_once -= 1


HOURLY = Schedule("contract.hourly", Service.hourly, timedelta(hours=1))
DAILY = Schedule("contract.daily", Service.daily, timedelta(days=1))
FAILING = Schedule("contract.failing", Service.failing, timedelta(hours=1))


class SchedulesContract:
    """Fixtures: ``clock``, movable; ``schedules`` on it, and ``second``, the same as another process has them;
    both with :data:`LEASE`; ``start_process``, a :data:`StartProcess`.
    """

    async def test_each_is_due_once_per_interval(self, schedules: Schedules, clock: MovableClock) -> None:
        service = Service()
        run, both = _on(service), [HOURLY, DAILY]
        assert await schedules.due(both) == 2
        assert await schedules.run_due(both, run) == 2
        assert await schedules.due(both) == 0
        assert await schedules.run_due(both, run) == 0
        await clock.advance(3599)
        assert await schedules.run_due(both, run) == 0
        await clock.advance(2)
        assert (await schedules.due(both), await schedules.run_due(both, run)) == (1, 1)
        assert sorted(service.ran) == ["daily", "hourly", "hourly"]

    async def test_schedules_of_one_method_name_are_each_their_plugins(self, schedules: Schedules) -> None:
        """Whatever package their code stands in."""
        service = Service()
        for name in ("acme_x.hourly", "acme_y.hourly"):
            each = Schedule(name, Service.hourly, timedelta(hours=1))
            assert await schedules.run_due([each], _on(service)) == 1
            assert await schedules.due([each]) == 0
        assert service.ran == ["hourly", "hourly"]

    async def test_one_run_catches_up(self, schedules: Schedules, clock: MovableClock) -> None:
        service = Service()
        for _ in range(3):
            await clock.advance(30 * 86_400)
            assert await schedules.run_due([HOURLY], _on(service)) == 1
            assert await schedules.run_due([HOURLY], _on(service)) == 0
        assert service.ran == ["hourly"] * 3

    async def test_two_processes_run_it_once(self, schedules: Schedules, second: Schedules, clock: MovableClock) -> None:
        service = Service()
        for n in range(1, 6):
            await asyncio.gather(*(each.run_due([HOURLY], _on(service)) for each in (schedules, second) * 2))
            assert service.ran == ["hourly"] * n
            await clock.advance(3600)
        assert service.most_at_once == 1

    async def test_what_runs_is_due_until_it_has_ended(self, schedules: Schedules, second: Schedules) -> None:
        service = Service()
        service.hold = asyncio.Event()
        task = asyncio.create_task(schedules.run_due([HOURLY], _on(service)))
        await eventually(service.began.is_set)
        assert await second.due([HOURLY]) == 1
        assert await second.run_due([HOURLY], _on(service)) == 0
        service.hold.set()
        assert await task == 1
        assert await second.due([HOURLY]) == 0

    async def test_what_was_cut_short_is_due_again(self, schedules: Schedules, second: Schedules) -> None:
        service = Service()
        service.hold = asyncio.Event()
        async with running(schedules.run([HOURLY], service)):
            await eventually(service.began.is_set)
        service.hold = None
        assert await second.run_due([HOURLY], _on(service)) == 1

    async def test_what_a_killed_process_ran_is_run_again(self, schedules: Schedules, start_process: StartProcess) -> None:
        service = Service()
        async with start_process() as process:
            await eventually(lambda: process.seen == ["began"])
            assert await schedules.run_due([HOURLY], _on(service)) == 0
            await process.kill()

        async def taken_over() -> bool:
            return await schedules.run_due([HOURLY], _on(service)) == 1

        await eventually(taken_over, within=4 * LEASE)

    async def test_a_long_run_stays_alone(self, schedules: Schedules, second: Schedules) -> None:
        service = Service()
        service.hold = asyncio.Event()
        task = asyncio.create_task(schedules.run_due([HOURLY], _on(service)))
        await eventually(service.began.is_set)
        for _ in range(10):
            await asyncio.sleep(LEASE / 5)
            assert await asyncio.wait_for(second.run_due([HOURLY], _on(service)), LEASE) == 0
        service.hold.set()
        assert await task == 1

    async def test_a_failure_is_tried_again_later(self, schedules: Schedules, clock: MovableClock) -> None:
        service = Service()
        service.bad = True
        assert await schedules.run_due([FAILING, HOURLY], _on(service)) == 1
        assert await schedules.run_due([FAILING, HOURLY], _on(service)) == 0
        assert sorted(service.ran) == ["failing", "hourly"]  # not at once
        assert await schedules.due([FAILING, HOURLY]) == 1
        service.bad = False

        async def mended() -> bool:
            return await schedules.run_due([FAILING, HOURLY], _on(service)) == 1

        await eventually(mended)
        assert await schedules.due([FAILING, HOURLY]) == 0

    async def test_the_loop_follows_the_clock(self, schedules: Schedules, second: Schedules, clock: MovableClock) -> None:
        service = Service()
        async with running(schedules.run([HOURLY, FAILING], service), second.run([HOURLY, FAILING], service)):
            for n in range(1, 4):
                await eventually(lambda n=n: service.ran.count("hourly") >= n, within=2.0)  # type: ignore[misc]
                await clock.advance(3600)
        assert service.most_at_once == 1

    async def test_a_slow_one_does_not_delay_the_others(self, schedules: Schedules, clock: MovableClock) -> None:
        service = Service()
        service.hold = asyncio.Event()
        async with running(schedules.run([HOURLY, FAILING], service)):
            for n in range(1, 3):
                await eventually(lambda n=n: service.ran.count("failing") >= n, within=2.0)  # type: ignore[misc]
                await clock.advance(3600)
        assert service.ran.count("hourly") == 0


def _on(service: Service) -> Callable[[Schedule], Awaitable[Any]]:
    async def run(schedule: Schedule) -> None:
        await schedule.method(service)

    return run
