"""The unit of work on MongoDB: claims, outbox and inbox in one multi-document transaction."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

from pymongo import UpdateOne

from marketplace_core.adapters.mongo.errors import Met
from marketplace_core.adapters.mongo.schema import AGGREGATES, ANSWERS, COUNTERS, INBOX, OUTBOX
from marketplace_core.adapters.mongo.server import Connection, Database, Document, Operations
from marketplace_core.errors import MarketplaceError
from marketplace_core.events import Envelope, Event
from marketplace_core.ports import Claim, KeyParked, Message, UnitOfWork, Units
from marketplace_core.ports.gathering import Answer, GatheringUnit, Leaving, applying, conclude, found, in_flight, stored_answer
from marketplace_core.ports.releasing import is_replaying, place_of
from marketplace_core.values import Clock

__all__ = ["LANES", "MongoUnit", "MongoUnits", "inbox_place", "lane_of"]

T = TypeVar("T")

LANES = 16


def lane_of(key: str) -> int:
    return zlib.crc32(key.encode()) % LANES


class _InUse(Exception):
    """Another call has the key, or had it a moment ago."""


class _Refused(Exception):
    """The work was refused: there is no savepoint to return to, so its transaction ends, and another one keeps the refusal."""

    def __init__(self, error: MarketplaceError) -> None:
        super().__init__(error)
        self.error = error


class MongoUnit(GatheringUnit):
    """A unit of work inside one transaction."""

    def __init__(self, connection: Connection, now: datetime, check: Callable[[Event], None] = lambda _: None) -> None:
        super().__init__(now, check)
        self.connection = connection

    async def flush(self) -> None:
        if not self.items:
            return
        sequences = await self._count()
        # Numbered outside of the transaction, or any two units would meet here; and after the aggregates were counted, where
        # those that tell of one key do meet: so of one key the later row has the greater number.
        number = await _numbers(self.connection.database, len(self.items)) - len(self.items)
        at, rows = datetime.now(UTC), []
        for item in self.items:
            number += 1
            sequence = None
            if item.kind == "event":
                sequence = sequences[item.topic, item.key] = sequences[item.topic, item.key] + 1
            rows.append(_row(item, number, sequence, at))
        await self.connection.insert(OUTBOX, rows)

    async def _count(self) -> dict[tuple[str, str], int]:
        """How far each aggregate was before this unit."""
        counted = Counter((item.topic, item.key) for item in self.items if item.kind == "event")
        places = [{"topic": topic, "key": key} for topic, key in sorted(counted)]
        adding = [
            UpdateOne({"_id": place}, {"$inc": {"sequence": counted[place["topic"], place["key"]]}}, upsert=True)
            for place in places
        ]
        await self.connection.write(AGGREGATES, adding)
        rows = await self.connection.find(AGGREGATES, {"_id": {"$in": places}}) if places else []
        places_of = {(row["_id"]["topic"], row["_id"]["key"]): row["sequence"] for row in rows}
        return {place: sequence - counted[place] for place, sequence in places_of.items()}


def _row(item: Leaving, number: int, sequence: int | None, at: datetime) -> Document:
    return {
        "_id": number,
        "kind": item.kind,
        "topic": item.topic,
        "type": item.type,
        "key": item.key,
        "lane": lane_of(item.key),
        "sequence": sequence,
        "event_id": item.event_id,
        "payload": item.payload,
        "trace": item.trace,
        "created_at": at,
        "pending": True,
    }


async def _numbers(database: Database, count: int) -> int:
    """The last of so many new ones."""
    row = await database.change(COUNTERS, {"_id": OUTBOX}, {"$inc": {"last": count}}, upsert=True)
    last: int = row["last"] if row else 0
    return last


class MongoUnits(Units):
    """Units of work of one plugin on one database. Two that write one document do not wait for each other: one is run again."""

    def __init__(self, database: Database, clock: Clock, plugin: str, topics: frozenset[str] | None = None) -> None:
        super().__init__(plugin, topics)
        self._database = database
        self._clock = clock

    def _unit(self, connection: Connection) -> MongoUnit:
        return MongoUnit(connection, self._clock.now(), self.check_topic)

    async def run(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        async def transaction(connection: Connection) -> tuple[MongoUnit, T]:
            unit = self._unit(connection)
            answer = await work(unit)
            await unit.flush()
            return unit, answer

        unit, answer = await self._database.transact(transaction)
        await unit.committed()
        return answer

    async def once(self, claim: Claim, answer: type[T], work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        place = self._place(claim)

        async def transaction(connection: Connection) -> tuple[MongoUnit | None, T | MarketplaceError]:
            row = await connection.find_one(ANSWERS, {"_id": place})
            if row is not None:
                return None, _replay(claim, row, answer)
            try:
                await connection.insert(ANSWERS, [_answer_row(place, claim, Answer(False, ""))])
            except Met:
                raise _InUse from None
            unit = self._unit(connection)
            try:
                result = await work(unit)
            except MarketplaceError as error:
                if error.is_refusal:
                    raise _Refused(error) from error
                raise
            await unit.flush()
            await connection.update(ANSWERS, {"_id": place}, {"$set": {"body": Answer.of(result).body}})
            return unit, result

        try:
            unit, result = await self._database.transact(transaction)
        except _InUse:
            known, stored = await self.stored(claim, answer)
            if known:
                return stored  # type: ignore[return-value]
            raise in_flight() from None
        except _Refused as refused:
            return await self._refuse(claim, refused.error, answer)
        return await conclude(unit, result)

    async def _refuse(self, claim: Claim, error: MarketplaceError, answer: type[T]) -> T:
        """Keep the refusal, unless an equal request was answered since: then that is the answer."""
        place = self._place(claim)

        async def transaction(connection: Connection) -> Document | None:
            row = await connection.find_one(ANSWERS, {"_id": place})
            if row is None:
                await connection.insert(ANSWERS, [_answer_row(place, claim, Answer.of(error))])
            return row

        row = await self._database.transact(transaction)
        if row is None:
            raise error
        return await conclude(None, _replay(claim, row, answer))

    async def stored(self, claim: Claim, answer: type[T]) -> tuple[bool, T | None]:
        row = await self._database.find_one(ANSWERS, {"_id": self._place(claim)})
        return found(None if row is None else _replay(claim, row, answer))

    def _place(self, claim: Claim) -> Document:
        return {"scope": claim.scope, "method": self.qualified(claim.method), "key": claim.key}

    async def apply(self, handler: str, envelope: Envelope, work: Callable[[UnitOfWork], Awaitable[None]]) -> bool:
        handler = self.qualified(handler)

        async def transaction(connection: Connection) -> MongoUnit | None:
            if not await _is_next(connection, handler, envelope):
                return None
            unit = self._unit(connection)
            await work(unit)
            await unit.flush()
            return unit

        with applying(envelope):
            unit = await self._database.transact(transaction)
            if unit is not None:
                await unit.committed()
            return unit is not None


def _answer_row(place: Document, claim: Claim, answer: Answer) -> Document:
    kept = {"refused": answer.refused, "body": answer.body, "created_at": datetime.now(UTC)}
    return {"_id": place, "digest": claim.digest.hex(), **kept}


def _replay(claim: Claim, row: Document, answer: type[T]) -> T | MarketplaceError:
    return stored_answer(claim, row["digest"], row["refused"], row["body"], answer)


async def _is_next(connection: Connection, handler: str, envelope: Envelope) -> bool:
    """Note that the handler has seen it. False: it had, or a later one. :raises KeyParked:"""
    place, row = await inbox_place(connection, handler, envelope)
    if row is None:
        seen = {"_id": {"handler": handler, "key": place}, "sequence": envelope.sequence, "writer": envelope.writer}
        await connection.insert(INBOX, [seen])
        return True
    if row["sequence"] >= envelope.sequence:
        return False
    if row.get("parked_at") is not None and not is_replaying():
        raise KeyParked(place)
    change = {"sequence": envelope.sequence, "writer": envelope.writer or row["writer"]}
    await connection.update(INBOX, {"_id": row["_id"]}, {"$set": change})
    return True


async def inbox_place(source: Operations, handler: str, event: Envelope | Message) -> tuple[str, Document | None]:
    """The key of the document that counts this event, and that."""
    first = place_of(event, None)
    row = await source.find_one(INBOX, {"_id": {"handler": handler, "key": first}})
    place = place_of(event, None if row is None else row["writer"])
    if place != first:
        row = await source.find_one(INBOX, {"_id": {"handler": handler, "key": place}})
    return place, row
