"""What keeps schedules must run each when it is due, once, and one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, time, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from marketplace_core.hookspecs import Schedule
from marketplace_core.testing.contracts import eventually, running
from marketplace_core.testing.contracts.bus import ConsumerProcess
from marketplace_core.testing.contracts.clock import MovableClock

__all__ = ["HOURLY", "LEASE", "ZONE", "Schedules", "SchedulesContract", "StartProcess"]

#: Seconds after which what a killed process was running may be run by another.
LEASE = 0.5
#: By whose clocks the schedules under test have their times of day. They are put on, and back, in spring and in autumn.
ZONE = ZoneInfo("Europe/Berlin")
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
NIGHTLY = Schedule("contract.nightly", Service.daily, at=time(2, 30))
WEEKLY = Schedule("contract.weekly", Service.hourly, at=time(18), on=("sun", "wed"))
FAILING = Schedule("contract.failing", Service.failing, timedelta(hours=1))


class SchedulesContract:
    """Fixtures: ``clock``, movable; ``schedules`` on it, and ``second``, the same as another process has them;
    both with :data:`LEASE` and :data:`ZONE`; ``start_process``, a :data:`StartProcess`.
    """

    async def test_a_time_of_day_comes_once_a_day(self, schedules: Schedules, second: Schedules, clock: MovableClock) -> None:
        service, year = Service(), clock.now().year + 1
        await clock.set(datetime(year, 1, 10, 12, tzinfo=ZONE))
        assert (await schedules.due([NIGHTLY]), await schedules.run_due([NIGHTLY], _on(service))) == (0, 0)
        for day in (11, 12):
            await clock.set(datetime(year, 1, day, 2, 29, tzinfo=ZONE))
            assert await second.run_due([NIGHTLY], _on(service)) == 0
            await clock.set(datetime(year, 1, day, 2, 30, tzinfo=ZONE))
            assert (await second.due([NIGHTLY]), await schedules.run_due([NIGHTLY], _on(service))) == (1, 1)
            assert (await second.due([NIGHTLY]), await second.run_due([NIGHTLY], _on(service))) == (0, 0)
        assert service.ran == ["daily", "daily"]

    async def test_a_time_is_on_some_days_of_the_week(self, schedules: Schedules, clock: MovableClock) -> None:
        service, ran = Service(), []
        monday = datetime(clock.now().year + 1, 5, 1, 12, tzinfo=ZONE)
        while monday.weekday() != 0:
            monday += timedelta(days=1)
        for hours in range(0, 14 * 24, 6):
            at = (monday + timedelta(hours=hours)).astimezone(UTC)
            await clock.set(at)
            if await schedules.run_due([WEEKLY], _on(service)):
                ran.append(f"{at.astimezone(ZONE):%a %H}")
        assert ran == ["Wed 18", "Sun 18"] * 2

    async def test_missed_times_are_made_up_for_by_one_run(self, schedules: Schedules, clock: MovableClock) -> None:
        service, year = Service(), clock.now().year + 1
        await clock.set(datetime(year, 6, 1, 12, tzinfo=ZONE))
        both = [NIGHTLY, WEEKLY]
        assert await schedules.run_due(both, _on(service)) == 0
        for month in (7, 9):
            await clock.set(datetime(year, month, 3, 12, tzinfo=ZONE))
            assert await schedules.run_due(both, _on(service)) == 2
            assert await schedules.run_due(both, _on(service)) == 0
        await clock.set(datetime(year, 9, 4, 2, 30, tzinfo=ZONE))
        assert await schedules.run_due([NIGHTLY], _on(service)) == 1

    async def test_clocks_that_are_changed_make_no_run_more_or_less(self, schedules: Schedules, clock: MovableClock) -> None:
        """The night in which 2:30 is not, and the one in which it is twice."""
        service, year = Service(), clock.now().year + 1
        for month in (3, 10):
            day = datetime(year, month, 31, 12)
            while day.weekday() != 6:
                day -= timedelta(days=1)
            begin = (day - timedelta(days=1)).replace(tzinfo=ZONE).astimezone(UTC)
            await clock.set(begin)
            await schedules.run_due([NIGHTLY], _on(service))
            service.ran.clear()
            for half_hours in range(1, 97):
                await clock.set(begin + timedelta(minutes=30 * half_hours))
                await schedules.run_due([NIGHTLY], _on(service))
            assert service.ran == ["daily", "daily"], month

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
