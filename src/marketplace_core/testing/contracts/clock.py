"""What a movable :class:`~marketplace_core.values.Clock` must do."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from marketplace_core.errors import Invalid
from marketplace_core.testing.contracts import eventually
from marketplace_core.values import Clock

__all__ = ["ClockContract", "MovableClock"]


class MovableClock(Clock):
    """What the suite asks of the adapter beside the port; a Protocol would forbid to give an ABC."""

    @abstractmethod
    async def advance(self, seconds: float) -> datetime: ...

    @abstractmethod
    async def set(self, at: datetime) -> datetime: ...

    @abstractmethod
    async def refresh(self) -> None: ...


class ClockContract:
    """Fixtures: ``clock``, and ``other``, the same deployment's clock as a second process follows it."""

    async def test_it_begins_with_the_system(self, clock: MovableClock) -> None:
        assert abs(clock.now() - datetime.now(UTC)) < timedelta(milliseconds=50)
        assert clock.now().utcoffset() == timedelta()

    async def test_it_goes_on_by_itself(self, clock: MovableClock) -> None:
        await clock.advance(3600)
        first = clock.now()
        await asyncio.sleep(0.05)
        assert timedelta(milliseconds=45) < clock.now() - first < timedelta(milliseconds=500)

    async def test_moves_add_up(self, clock: MovableClock) -> None:
        for _ in range(3):
            before = clock.now()
            after = await clock.advance(86_400.5)
            assert timedelta(seconds=86_400.5) <= after - before < timedelta(seconds=86_401)

    async def test_it_can_be_set(self, clock: MovableClock) -> None:
        at = datetime.now(UTC) + timedelta(days=400)
        assert timedelta() <= await clock.set(at) - at < timedelta(milliseconds=500)

    async def test_it_never_goes_back(self, clock: MovableClock, other: MovableClock) -> None:
        await clock.advance(3600)
        before = clock.now()
        moves: list[Callable[[], Awaitable[datetime]]] = [
            lambda: clock.advance(-1),
            lambda: clock.set(before - timedelta(seconds=1)),
            lambda: other.set(before - timedelta(minutes=1)),
        ]
        for move in moves:
            with pytest.raises(Invalid) as caught:
                await move()
            assert [problem.code for problem in caught.value.errors] == ["clock.backwards"]
        assert clock.now() >= before

    async def test_others_see_a_move_at_once(self, clock: MovableClock, other: MovableClock) -> None:
        for _ in range(3):
            await clock.advance(3600)
            await eventually(lambda: abs(other.now() - clock.now()) < timedelta(seconds=1), within=0.5)

    async def test_who_rests_by_it_wakes_at_a_move(self, clock: MovableClock, other: MovableClock) -> None:
        """And after the time otherwise."""
        for moved in (clock, other):
            async with asyncio.timeout(0.5):
                resting = [asyncio.create_task(each.rest(60.0)) for each in (clock, other)]
                await asyncio.sleep(0.05)
                await moved.advance(3600)
                await asyncio.gather(*resting)
        async with asyncio.timeout(0.5):
            await clock.rest(0.05)

    async def test_moves_by_two_at_once_add_up(self, clock: MovableClock, other: MovableClock) -> None:
        began = clock.now()
        await asyncio.gather(*(each.advance(3600) for each in (clock, other) * 5))
        for each in (clock, other):
            await eventually(lambda each=each: each.now() - began >= timedelta(hours=10), within=0.5)  # type: ignore[misc]

    async def test_who_comes_later_has_the_same_time(self, clock: MovableClock, late: MovableClock) -> None:
        await clock.advance(3600)
        await late.refresh()
        assert abs(late.now() - clock.now()) < timedelta(milliseconds=50)
