"""Clocks, schedules and blobs with one mistake each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, BinaryIO

from msgspec.structs import replace

from marketplace_core.adapters.folder.blobs import FolderBlobs
from marketplace_core.adapters.postgres.schedules import PostgresSchedules
from marketplace_core.adapters.redis.clock import RedisClock
from marketplace_core.hookspecs import Schedule
from marketplace_core.values import SystemClock

# ── clocks ───────────────────────────────────────────────────────────────────────────────────────────────────


class HasNoZone(RedisClock):
    def now(self) -> datetime:
        return super().now().astimezone().replace(tzinfo=None)


class StandsStill(RedisClock):
    """Goes only when it is moved."""

    _at: datetime | None = None

    def now(self) -> datetime:
        self._at = self._at or super().now()
        return self._at + self._offset


class ForgetsFractions(RedisClock):
    async def advance(self, seconds: float) -> datetime:
        return await super().advance(int(seconds))


class MovesByWhatItIsSetTo(RedisClock):
    async def set(self, at: datetime) -> datetime:
        return await self.advance((at - self.now()).total_seconds() * 2)


class GoesBack(RedisClock):
    async def advance(self, seconds: float) -> datetime:
        self._offset += timedelta(seconds=seconds)
        await self._redis.set(self._key, self._offset // timedelta(microseconds=1))
        return self.now()


class TellsNobody(RedisClock):
    """Others learn of it when they read the key again."""

    async def advance(self, seconds: float) -> datetime:
        self._take(int(await self._redis.incrby(self._key, round(seconds * 1_000_000))))
        return self.now()


class RestsThroughIt(RedisClock):
    async def rest(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class AddsToWhatItKnows(RedisClock):
    """Two moves at once are one."""

    async def advance(self, seconds: float) -> datetime:
        offset = int(await self._redis.get(self._key) or 0) + round(seconds * 1_000_000)
        await asyncio.sleep(0)
        await self._redis.set(self._key, offset)
        await self._redis.publish(self._key, offset)
        self._take(offset)
        return self.now()


class KeepsItToItself(RedisClock):
    async def advance(self, seconds: float) -> datetime:
        self._offset += timedelta(seconds=seconds)
        return self.now()


# ── schedules ────────────────────────────────────────────────────────────────────────────────────────────────


class RunsAlways(PostgresSchedules):
    async def _done(self, name: str, owner: str, began: datetime) -> None:
        pass


class NamesByMethod(PostgresSchedules):
    """Schedules of one method name are one."""

    async def _due(self, schedules: Sequence[Schedule]) -> list[tuple[Schedule, bool]]:
        return await super()._due([replace(each, name=each.name.rpartition(".")[2]) for each in schedules])


class CatchesUpOneByOne(PostgresSchedules):
    """After a month an hourly one is due 720 times."""

    async def _done(self, name: str, owner: str, began: datetime) -> None:
        last = await self._database.value("SELECT last_at FROM marketplace.schedules WHERE name = $1", name)
        await super()._done(name, owner, (last or began - timedelta(days=30)) + timedelta(hours=1))


class ClaimsNothing(PostgresSchedules):
    async def _claim(self, name: str, owner: str) -> bool:
        await super()._claim(name, owner)
        return True


class DoneBeforehand(PostgresSchedules):
    """What begins counts as done."""

    async def _run(self, schedule: Schedule, owner: str, run: Any) -> bool:
        await self._done(schedule.name, owner, self._clock.now())
        return await super()._run(schedule, owner, run)


class KeepsItForEver(PostgresSchedules):
    """Nobody else may run what a killed process had begun."""

    async def _claim(self, name: str, owner: str) -> bool:
        self._lease = 3600.0
        return await super()._claim(name, owner)


class OwnsItForAMoment(PostgresSchedules):
    """What takes longer than a lease is begun by another too."""

    async def _keep(self, name: str, owner: str) -> None:
        pass


class GivesUpOnFailures(PostgresSchedules):
    async def _failed(self, name: str, owner: str, error: Exception) -> None:
        await self._done(name, owner, self._clock.now())


class FollowsTheSystem(PostgresSchedules):
    def __init__(self, database: Any, clock: Any, *given: Any, **named: Any) -> None:
        super().__init__(database, SystemClock(), *given, **named)


class OneAfterTheOther(PostgresSchedules):
    async def run(self, schedules: Sequence[Schedule], service: object) -> None:
        async def call(schedule: Schedule) -> None:
            await schedule.method(service)

        while True:
            await self.run_due(schedules, call)
            await asyncio.sleep(0.05)

    async def run_due(self, schedules: Iterable[Schedule], run: Any) -> int:
        return sum([await self._attempt(schedule, run) for schedule in await self._ready(schedules)])


class RunsWhatItSeesFirst(PostgresSchedules):
    """A time of day that was before anybody knew of the schedule."""

    async def _see(self, names: Sequence[str]) -> None:
        await super()._see(names)
        await self._database.execute(
            "UPDATE marketplace.schedules SET last_at = '2000-01-01' WHERE name = ANY($1)", list(names)
        )


class ByGreenwich(PostgresSchedules):
    def __init__(self, database: Any, clock: Any, *_: Any, **named: Any) -> None:
        super().__init__(database, clock, **named)


class EveryDay(PostgresSchedules):
    async def _due(self, schedules: Sequence[Schedule]) -> list[tuple[Schedule, bool]]:
        found = await super()._due([replace(each, on=()) for each in schedules])
        return [(next(each for each in schedules if each.name == one.name), waits) for one, waits in found]


class DayAfterDay(PostgresSchedules):
    """Each day that was missed is made up for by a run of its own."""

    async def _done(self, name: str, owner: str, began: datetime) -> None:
        last = await self._database.value("SELECT last_at FROM marketplace.schedules WHERE name = $1", name)
        await super()._done(name, owner, min(began, last + timedelta(days=1)))


class ByTheHourHand(PostgresSchedules):
    """Runs whenever the clocks show the time, however often a day shows it."""

    async def _due(self, schedules: Sequence[Schedule]) -> list[tuple[Schedule, bool]]:
        shown = self._clock.now().astimezone(self._zone).time().replace(second=0, microsecond=0)
        return [(schedule, False) for schedule in schedules if shown == schedule.at]


Content = bytes | BinaryIO


# ── blobs ────────────────────────────────────────────────────────────────────────────────────────────────────


class CutsBlobs(FolderBlobs):
    async def put(self, items: Mapping[str, Content], content_type: str | None = None) -> None:
        await super().put({key: data[:100_000] if isinstance(data, bytes) else data for key, data in items.items()})


class ReadsOn(FolderBlobs):
    """A file is read from where it is."""

    async def put(self, items: Mapping[str, Content], content_type: str | None = None) -> None:
        rest = {key: data if isinstance(data, bytes) else _parts(data) for key, data in items.items()}
        await super().put(rest, content_type)


class ReadsAll(FolderBlobs):
    async def put(self, items: Mapping[str, Content], content_type: str | None = None) -> None:
        for data in items.values():
            if not isinstance(data, bytes):
                data.seek(0)
        await super().put({k: v if isinstance(v, bytes) else v.read() for k, v in items.items()}, content_type)


class ClosesFiles(FolderBlobs):
    async def put(self, items: Mapping[str, Content], content_type: str | None = None) -> None:
        await super().put(items, content_type)
        for data in items.values():
            if not isinstance(data, bytes):
                data.close()


def _parts(file: BinaryIO) -> bytes:
    return b"".join(iter(lambda: file.read(1 << 16), b""))


class MissingIsEmpty(FolderBlobs):
    async def get(self, key: str) -> bytes | None:
        return await super().get(key) or b""


class WritesOnce(FolderBlobs):
    """A repeat is an error."""

    async def put(self, items: Mapping[str, Content], content_type: str | None = None) -> None:
        for key in items:
            if await self.get(key) is not None:
                raise FileExistsError(key)
        await super().put(items)


class DeletesTheFirst(FolderBlobs):
    async def delete(self, keys: Sequence[str]) -> None:
        await super().delete(keys[:1])


class ListsByFolder(FolderBlobs):
    """The order of names in a folder is not that of keys."""

    async def list(self, prefix: str = "", after: str = "", limit: int = 1000) -> Any:
        entries = sorted(await super().list(prefix, "", 1_000_000), key=lambda entry: entry.key.split("/"))
        return [entry for entry in entries if entry.key > after][:limit]


class ListsWholeFolders(FolderBlobs):
    async def list(self, prefix: str = "", after: str = "", limit: int = 1000) -> Any:
        return await super().list(prefix and f"{prefix.rstrip('/')}/", after, limit)


class ListsWhatWas(FolderBlobs):
    async def delete(self, keys: Sequence[str]) -> None:
        self.gone = [*getattr(self, "gone", []), *(entry for entry in await super().list() if entry.key in keys)]
        await super().delete(keys)

    async def list(self, prefix: str = "", after: str = "", limit: int = 1000) -> Any:
        return [*await super().list(prefix, after, limit), *getattr(self, "gone", [])]


class HidesTheKey(FolderBlobs):
    def url(self, key: str) -> str:
        return "/media/?"


class GoesAnywhere(FolderBlobs):
    def _path(self, key: str) -> Any:
        return self._folder / key.replace("\0", "")


class WritesInPlace(FolderBlobs):
    def _write(self, path: Any, data: Content) -> None:
        data = data if isinstance(data, bytes) else _parts(data)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for start in range(0, len(data), 50_000):
                file.write(data[start : start + 50_000])
                file.flush()
                time.sleep(0.001)


class TakesAnyType(FolderBlobs):
    async def put(self, items: Mapping[str, Content], content_type: str | None = None) -> None:
        await super().put(items)


class ChecksOneByOne(FolderBlobs):
    """What is good of a call that is refused is put."""

    async def put(self, items: Mapping[str, Content], content_type: str | None = None) -> None:
        for key, data in items.items():
            await super().put({key: data}, content_type)
