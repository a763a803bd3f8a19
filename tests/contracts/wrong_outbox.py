"""PostgreSQL outboxes, parkings and relays' surroundings with one mistake each."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence

from msgspec.structs import replace

from marketplace_core.adapters.postgres import Connection, Row, json_text
from marketplace_core.adapters.postgres import units as postgres_units
from marketplace_core.adapters.postgres.outbox import PostgresOutbox, _PostgresLanes
from marketplace_core.adapters.postgres.parking import PostgresParking
from marketplace_core.adapters.postgres.units import PostgresUnit, PostgresUnits
from marketplace_core.events import Envelope
from marketplace_core.outbox import Lanes, Parked, Subscription
from marketplace_core.ports import Message, OutboxRow, RawMessage, Reader
from marketplace_core.values import new_id

NONE: Mapping[str, Reader] = {}


def _flushing(change: tuple[str, str]) -> type[PostgresUnits]:
    class Unit(PostgresUnit):
        async def flush(self, answer: Row | None = None) -> None:
            assert change[0] in postgres_units._FLUSH
            rows = json_text([answer] if answer else [])
            await self.connection.execute(postgres_units._FLUSH.replace(*change), json_text(self.items), rows)

    class Units(PostgresUnits):
        def _unit(self, connection: Connection) -> PostgresUnit:
            return Unit(connection, self._clock.now())

    return Units


#: Each unit counts from 1 again.
CountsPerUnit = _flushing(("a.sequence + excluded.sequence", "excluded.sequence"))
#: The events of one unit have the same number.
NumbersAUnit = _flushing(("- counted.n", "- 1"))
#: Nobody is told of a commit.
TellsNobody = _flushing(("WHEN EXISTS (SELECT FROM item)", "WHEN false"))


class _Lanes(_PostgresLanes):
    async def take(self) -> None:
        """All, whoever has them."""
        self._owned = list(range(postgres_units.LANES))


class OwnsEveryLane(PostgresOutbox):
    @contextlib.asynccontextmanager
    async def lanes(self) -> AsyncIterator[Lanes]:
        async with self._database.connection() as connection:
            lanes = _Lanes(connection, asyncio.Event())
            await lanes.take()
            yield lanes


class NeverTakesAgain(PostgresOutbox):
    """Has what it got when it came."""

    @contextlib.asynccontextmanager
    async def lanes(self) -> AsyncIterator[Lanes]:
        async with super().lanes() as lanes:
            assert isinstance(lanes, _PostgresLanes)
            lanes._tried = float("inf")
            yield lanes


class MarksNothing(PostgresOutbox):
    @contextlib.asynccontextmanager
    async def lanes(self) -> AsyncIterator[Lanes]:
        class Lost(_PostgresLanes):
            async def mark(self, ids: Sequence[int]) -> None:
                pass

        async with super().lanes() as lanes:
            lanes.__class__ = Lost
            yield lanes


class MarksWhatItReads(PostgresOutbox):
    @contextlib.asynccontextmanager
    async def lanes(self) -> AsyncIterator[Lanes]:
        class Early(_PostgresLanes):
            async def pending(self, limit: int) -> list[OutboxRow]:
                rows = await super().pending(limit)
                await super().mark([row.id for row in rows])
                return rows

        async with super().lanes() as lanes:
            lanes.__class__ = Early
            yield lanes


class ReadsTheNewestFirst(PostgresOutbox):
    @contextlib.asynccontextmanager
    async def lanes(self) -> AsyncIterator[Lanes]:
        class Backwards(_PostgresLanes):
            async def pending(self, limit: int) -> list[OutboxRow]:
                return list(reversed(await super().pending(limit)))

        async with super().lanes() as lanes:
            lanes.__class__ = Backwards
            yield lanes


class TellsNoWriter(PostgresOutbox):
    @contextlib.asynccontextmanager
    async def lanes(self) -> AsyncIterator[Lanes]:
        class Silent(_PostgresLanes):
            async def pending(self, limit: int) -> list[OutboxRow]:
                return [replace(row, writer="") for row in await super().pending(limit)]

        async with super().lanes() as lanes:
            lanes.__class__ = Silent
            yield lanes


class MixesTopics(PostgresOutbox):
    """Rows under another topic than they were written for."""

    @contextlib.asynccontextmanager
    async def lanes(self) -> AsyncIterator[Lanes]:
        class Mixed(_PostgresLanes):
            async def pending(self, limit: int) -> list[OutboxRow]:
                return [replace(row, topic="other", kind="event") for row in await super().pending(limit)]

        async with super().lanes() as lanes:
            lanes.__class__ = Mixed
            yield lanes


# ── parking ──────────────────────────────────────────────────────────────────────────────────────────────────


class ParksTheEventOnly(PostgresParking):
    """Later events of the key go on."""

    async def park(self, handler: str, message: Message, error: str, attempts: int) -> None:
        await super().park(handler, message, error, attempts)
        await self._database.execute("UPDATE marketplace.inbox SET parked_at = NULL")


class MixesWriters(PostgresParking):
    """A key is parked whoever wrote it."""

    async def park(self, handler: str, message: Message, error: str, attempts: int) -> None:
        await super().park(handler, replace(message, writer=""), error, attempts)


class ForgetsWhatWaits(PostgresParking):
    async def append(self, handler: str, message: Message) -> bool:
        return True


class NamesByPackage(PostgresParking):
    """Parks under another name than that by which the handler looks."""

    async def park(self, handler: str, message: Message, error: str, attempts: int) -> None:
        await super().park(handler.replace("contract.", "acme_x."), message, error, attempts)


class KeepsItEachTime(PostgresParking):
    async def keep(self, group: str, message: RawMessage) -> None:
        await super().keep(group, message)
        await self._database.execute("UPDATE marketplace.unreadable SET id = id || $1", new_id())


class CutsWhatItKeeps(PostgresParking):
    async def keep(self, group: str, message: RawMessage) -> None:
        await super().keep(group, replace(message, raw=message.raw[:1]))


class ForgetsHowFarItCame(PostgresParking):
    async def seen(self, handler: str, message: Message) -> int:
        return 0


class ReplaysTheFirstOnly(PostgresParking):
    """And forgets what waits behind it."""

    async def release(self, handlers: Mapping[str, Subscription], readers: Mapping[str, Reader] = NONE) -> int:
        await self._database.execute("DELETE FROM marketplace.parked WHERE requested IS NULL")
        return await super().release(handlers, readers)


class ReplaysBackwards(PostgresParking):
    async def release(self, handlers: Mapping[str, Subscription], readers: Mapping[str, Reader] = NONE) -> int:
        await self._database.execute("UPDATE marketplace.parked SET requested = 'drop' WHERE sequence = 3")
        return await super().release(handlers, readers)


class GivesUpOnFailures(PostgresParking):
    """What fails at a replay is dropped."""

    async def failed_again(self, id_: str, error: str) -> None:
        await self._database.execute("DELETE FROM marketplace.parked WHERE id = $1", id_)


class DropsByReplay(PostgresParking):
    async def request(self, id_: str, *, drop: bool) -> bool:
        return await super().request(id_, drop=False)


class OverwritesWhatIsParked(PostgresParking):
    """A redelivery of the parked event takes its error away."""

    async def append(self, handler: str, message: Message) -> bool:
        await self.park(handler, message, "", 0)
        return True


class QueuesAlways(PostgresParking):
    async def append(self, handler: str, message: Message) -> bool:
        await self.park(handler, message, "", 0)
        return True


class ParksOnlyKnownKeys(PostgresParking):
    """Marks a key of which the handler has seen something; a new one passes."""

    async def park(self, handler: str, message: Message, error: str, attempts: int) -> None:
        known = await self._database.row("SELECT FROM marketplace.inbox")
        await super().park(handler, message, error, attempts)
        if known is None:
            await self._database.execute("DELETE FROM marketplace.inbox")


class BlamesTheEvent(PostgresParking):
    """A store that is away counts as a failure."""

    async def release(self, handlers: Mapping[str, Subscription], readers: Mapping[str, Reader] = NONE) -> int:
        def blaming(subscription: Subscription) -> Subscription:
            async def apply(envelope: Envelope) -> bool:
                try:
                    return await subscription.apply(envelope)
                except Exception as error:
                    raise RuntimeError(str(error)) from None

            return replace(subscription, apply=apply)

        return await super().release({name: blaming(each) for name, each in handlers.items()}, readers)


class AsksAPerson(PostgresParking):
    """Of an event for which somebody is away too."""

    async def defer(self, handler: str, message: Message, error: str) -> None:
        await self.park(handler, message, error, 1)


class NeverTriesAgain(PostgresParking):
    async def release(self, handlers: Mapping[str, Subscription], readers: Mapping[str, Reader] = NONE) -> int:
        await self._database.execute("UPDATE marketplace.parked SET retry_at = retry_at + interval '1 hour'")
        return await super().release(handlers, readers)


class WaitsForEverybody(PostgresParking):
    """Stops at the first key for which somebody is away."""

    async def _try_key(self, subscription: Subscription, key: str) -> int:
        return await self._release_key(subscription, key)


class ForgetsWhoStandsBehind(PostgresParking):
    """What stood behind an event waits for a person, once that has gone on."""

    async def _try_key(self, subscription: Subscription, key: str) -> int:
        released = await super()._try_key(subscription, key)
        await self._database.execute("UPDATE marketplace.parked SET retry_at = NULL")
        return released


class CountsWhoStandsBehind(PostgresParking):
    async def backlog(self, handlers: Sequence[str]) -> int:
        count: int = await self._database.value("SELECT count(*) FROM marketplace.parked WHERE retry_at IS NOT NULL")
        return count


class ShowsEverybodys(PostgresParking):
    async def list(self, handlers: Sequence[str]) -> list[Parked]:
        rows = await self._database.fetch("SELECT DISTINCT handler FROM marketplace.parked")
        return await super().list([row["handler"] for row in rows])
