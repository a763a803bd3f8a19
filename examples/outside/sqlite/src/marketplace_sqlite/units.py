"""The unit of work on SQLite: claims, outbox and inbox in one transaction."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from marketplace_core.errors import MarketplaceError
from marketplace_core.events import Envelope, Event
from marketplace_core.ports import Claim, KeyParked, Message, UnitOfWork, Units
from marketplace_core.ports.gathering import (
    Answer,
    GatheringUnit,
    Leaving,
    applying,
    attempt,
    conclude,
    found,
    in_flight,
    stored_answer,
)
from marketplace_core.ports.releasing import is_replaying, place_of
from marketplace_core.values import Clock
from marketplace_sqlite.server import Connection, Database, Row

__all__ = ["SqliteUnit", "SqliteUnits"]

T = TypeVar("T")

_COUNT = """
INSERT INTO marketplace_aggregates AS a (topic, key, sequence) VALUES (?, ?, 1)
ON CONFLICT (topic, key) DO UPDATE SET sequence = a.sequence + 1 RETURNING sequence
"""

_STORE = """
INSERT INTO marketplace_outbox (kind, topic, type, key, sequence, event_id, payload, trace, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

_ANSWER = """
INSERT INTO marketplace_idempotency (scope, method, key, digest, refused, body, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)
"""

_STORED = "SELECT digest, refused, body FROM marketplace_idempotency WHERE (scope, method, key) = (?, ?, ?)"

_APPLY = """
INSERT INTO marketplace_inbox AS i (handler, key, sequence, writer) VALUES (?1, ?2, ?3, ?5)
ON CONFLICT (handler, key) DO UPDATE
  SET sequence = excluded.sequence, writer = coalesce(nullif(excluded.writer, ''), i.writer)
  WHERE i.sequence < excluded.sequence AND (i.parked_at IS NULL OR ?4)
    AND (i.writer = excluded.writer OR '' IN (i.writer, excluded.writer))
RETURNING sequence
"""


class SqliteUnit(GatheringUnit):
    """A unit of work inside the transaction that writes."""

    def __init__(self, connection: Connection, now: datetime, check: Callable[[Event], None] = lambda _: None) -> None:
        super().__init__(now, check)
        self.connection = connection

    async def flush(self) -> None:
        if self.items:
            await self.connection.do(self._store)

    def _store(self, raw: sqlite3.Connection) -> None:
        at = time.time()
        raw.executemany(_STORE, [self._row(raw, item, at) for item in self.items])

    @staticmethod
    def _row(raw: sqlite3.Connection, item: Leaving, at: float) -> tuple[object, ...]:
        counted = raw.execute(_COUNT, (item.topic, item.key)).fetchall() if item.kind == "event" else [{"sequence": None}]
        sequence = counted[0]["sequence"]
        return (item.kind, item.topic, item.type, item.key, sequence, item.event_id, item.payload, item.trace, at)


class SqliteUnits(Units):
    """Units of work of one plugin on one file. They take turns: while one has begun to work, another's waits."""

    def __init__(self, database: Database, clock: Clock, plugin: str, topics: frozenset[str] | None = None) -> None:
        super().__init__(plugin, topics)
        self._database = database
        self._clock = clock

    def _unit(self, connection: Connection) -> SqliteUnit:
        return SqliteUnit(connection, self._clock.now(), self.check_topic)

    async def run(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        async def transaction(connection: Connection) -> tuple[SqliteUnit, T]:
            unit = self._unit(connection)
            answer = await work(unit)
            await unit.flush()
            return unit, answer

        unit, answer = await self._database.transact(transaction, unit=True)
        self._tell(unit)
        await unit.committed()
        return answer

    async def once(self, claim: Claim, answer: type[T], work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        """Another process's equal request waits for the file, and finds the answer; one of this process need not wait."""
        known, stored = await self.stored(claim, answer)
        if known:
            return stored  # type: ignore[return-value]
        place, claims = self._place(claim), self._database.told.claims

        async def transaction(connection: Connection) -> tuple[SqliteUnit | None, T | MarketplaceError]:
            row = await connection.row(_STORED, *place)
            if row is not None:
                return None, _replay(claim, row, answer)
            unit = self._unit(connection)
            result = await attempt(unit, work, connection.execute)
            await unit.flush()
            await self._keep(connection, claim, Answer.of(result))
            return unit, result

        if place in claims:
            raise in_flight()
        claims.add(place)
        unit, result = await self._database.transact(transaction, unit=True, ended=lambda: claims.discard(place))
        if unit is not None:
            self._tell(unit)
        return await conclude(unit, result)

    async def stored(self, claim: Claim, answer: type[T]) -> tuple[bool, T | None]:
        row = await self._database.row(_STORED, *self._place(claim))
        return found(None if row is None else _replay(claim, row, answer))

    def _place(self, claim: Claim) -> tuple[str, str, str]:
        return claim.scope, self.qualified(claim.method), claim.key

    async def _keep(self, connection: Connection, claim: Claim, answer: Answer) -> None:
        row = (*self._place(claim), claim.digest.hex(), answer.refused, answer.body, time.time())
        await connection.execute(_ANSWER, *row)

    def _tell(self, unit: SqliteUnit) -> None:
        if unit.items:
            self._database.told.tell()

    async def apply(self, handler: str, envelope: Envelope, work: Callable[[UnitOfWork], Awaitable[None]]) -> bool:
        handler, may_pass = self.qualified(handler), is_replaying()

        async def transaction(connection: Connection) -> SqliteUnit | None:
            if not await connection.do(lambda raw: _is_next(raw, handler, envelope, may_pass)):
                return None
            unit = self._unit(connection)
            await work(unit)
            await unit.flush()
            return unit

        with applying(envelope):
            unit = await self._database.transact(transaction, unit=True)
            if unit is not None:
                self._tell(unit)
                await unit.committed()
            return unit is not None


def _is_next(raw: sqlite3.Connection, handler: str, envelope: Envelope, may_pass: bool) -> bool:
    """Note that the handler has seen it. False: it had, or a later one. :raises KeyParked:"""
    place = place_in(raw, handler, envelope)
    if raw.execute(_APPLY, (handler, place, envelope.sequence, may_pass, envelope.writer)).fetchall():
        return True
    rows = raw.execute("SELECT sequence FROM marketplace_inbox WHERE (handler, key) = (?, ?)", (handler, place)).fetchall()
    if rows and rows[0]["sequence"] < envelope.sequence:
        raise KeyParked(place)
    return False


def place_in(raw: sqlite3.Connection, handler: str, event: Envelope | Message) -> str:
    """Of the handler's inbox."""
    place = f"{event.topic}:{event.key}"
    rows = raw.execute("SELECT writer FROM marketplace_inbox WHERE (handler, key) = (?, ?)", (handler, place)).fetchall()
    return place_of(event, rows[0]["writer"] if rows else None)


def _replay(claim: Claim, row: Row, answer: type[T]) -> T | MarketplaceError:
    return stored_answer(claim, row["digest"], bool(row["refused"]), row["body"], answer)
