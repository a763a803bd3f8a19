"""The unit of work on PostgreSQL: claims, outbox and inbox in one transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from marketplace_core.adapters.postgres.server import Connection, Database, Row, UniqueViolation, json_text
from marketplace_core.errors import MarketplaceError, Unavailable
from marketplace_core.events import Envelope, Event
from marketplace_core.ports import Claim, KeyParked, Message, UnitOfWork, Units
from marketplace_core.ports.gathering import (
    Answer,
    GatheringUnit,
    applying,
    attempt,
    conclude,
    found,
    in_flight,
    stored_answer,
)
from marketplace_core.ports.releasing import is_replaying, place_of
from marketplace_core.values import Clock

__all__ = ["PostgresUnit", "PostgresUnits"]

T = TypeVar("T")

LANES = 16
NOTIFY_CHANNEL = "marketplace_outbox"


_FLUSH = f"""
WITH item AS (
  SELECT * FROM jsonb_to_recordset($1::text::jsonb)
    AS t(position int, kind text, topic text, type text, key text, event_id text, payload text, trace text)
), counted AS (
  SELECT topic, key, count(*) AS n FROM item WHERE kind = 'event' GROUP BY topic, key
), numbered AS (
  INSERT INTO marketplace.aggregates AS a (topic, key, sequence)
  SELECT topic, key, n FROM counted ORDER BY topic, key
  ON CONFLICT (topic, key) DO UPDATE SET sequence = a.sequence + excluded.sequence
  RETURNING a.topic, a.key, a.sequence
), stored AS (
  INSERT INTO marketplace.outbox (kind, topic, type, key, lane, event_id, payload, trace, sequence)
  SELECT item.kind, item.topic, item.type, item.key,
         abs(hashtext(item.key)::bigint) % {LANES}, item.event_id, item.payload, item.trace,
         numbered.sequence - counted.n
           + row_number() OVER (PARTITION BY item.kind, item.topic, item.key ORDER BY item.position)
  FROM item LEFT JOIN counted ON item.kind = 'event' AND (counted.topic, counted.key) = (item.topic, item.key)
            LEFT JOIN numbered ON (numbered.topic, numbered.key) = (counted.topic, counted.key)
  ORDER BY item.position
), answered AS (
  INSERT INTO marketplace.idempotency (scope, method, key, digest, refused, body)
  SELECT c.scope, c.method, c.key, c.digest, c.refused, c.body FROM jsonb_to_recordset($2::text::jsonb)
    AS c(scope text, method text, key text, digest text, refused boolean, body text)
)
SELECT CASE WHEN EXISTS (SELECT FROM item) THEN pg_notify('{NOTIFY_CHANNEL}', '')::text END
"""  # noqa: S608 - constants only

_CLAIM = """
SELECT pg_try_advisory_xact_lock(hashtextextended($1 || E'\\x1f' || $2 || E'\\x1f' || $3, 0)) AS claimed,
       stored.digest, stored.refused, stored.body
FROM (SELECT 1) AS one
LEFT JOIN marketplace.idempotency AS stored ON (scope, method, key) = ($1, $2, $3)
"""

_STORED = "SELECT digest, refused, body FROM marketplace.idempotency WHERE (scope, method, key) = ($1, $2, $3)"

_APPLY = """
INSERT INTO marketplace.inbox AS i (handler, key, sequence, writer) VALUES ($1, $2, $3, $5)
ON CONFLICT (handler, key) DO UPDATE
  SET sequence = excluded.sequence, writer = coalesce(nullif(excluded.writer, ''), i.writer)
  WHERE i.sequence < excluded.sequence AND (i.parked_at IS NULL OR $4)
    AND (i.writer = excluded.writer OR '' IN (i.writer, excluded.writer))
RETURNING i.sequence
"""


class PostgresUnit(GatheringUnit):
    """A unit of work inside one PostgreSQL transaction."""

    def __init__(self, connection: Connection, now: datetime, check: Callable[[Event], None] = lambda _: None) -> None:
        """``check`` raises on an event that may not be emitted here."""
        super().__init__(now, check)
        self.connection = connection

    async def flush(self, answer: Row | None = None) -> None:
        if self.items or answer:
            await self.connection.execute(_FLUSH, json_text(self.items), json_text([answer] if answer else []))


class PostgresUnits(Units):
    """Units of work of one plugin on one database."""

    def __init__(self, database: Database, clock: Clock, plugin: str, topics: frozenset[str] | None = None) -> None:
        super().__init__(plugin, topics)
        self._database = database
        self._clock = clock

    def _unit(self, connection: Connection) -> PostgresUnit:
        return PostgresUnit(connection, self._clock.now(), self.check_topic)

    async def run(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        async def transaction(connection: Connection) -> tuple[PostgresUnit, T]:
            unit = self._unit(connection)
            answer = await work(unit)
            await unit.flush()
            return unit, answer

        unit, answer = await self._database.transact(transaction)
        await unit.committed()
        return answer

    async def once(self, claim: Claim, answer: type[T], work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        async def transaction(connection: Connection) -> tuple[PostgresUnit | None, T | MarketplaceError]:
            row = await connection.row(_CLAIM, claim.scope, self.qualified(claim.method), claim.key)
            if row is None or (row["digest"] is None and not row["claimed"]):
                raise in_flight()
            if row["digest"] is not None:
                return None, _replay(claim, row, answer)
            unit = self._unit(connection)
            result = await attempt(unit, work, connection.execute)
            await unit.flush(self._answer_row(claim, Answer.of(result)))
            return unit, result

        for _ in range(3):
            try:
                unit, result = await self._database.transact(transaction)
            except UniqueViolation as error:
                if error.constraint != "idempotency_pkey":
                    raise
                continue  # its owner committed between our look and our insert: look again
            return await conclude(unit, result)
        raise Unavailable()

    async def stored(self, claim: Claim, answer: type[T]) -> tuple[bool, T | None]:
        row = await self._database.row(_STORED, claim.scope, self.qualified(claim.method), claim.key)
        return found(None if row is None else _replay(claim, row, answer))

    def _answer_row(self, claim: Claim, answer: Answer) -> Row:
        return {
            "scope": claim.scope,
            "method": self.qualified(claim.method),
            "key": claim.key,
            "digest": claim.digest.hex(),
            "refused": answer.refused,
            "body": answer.body,
        }

    async def apply(self, handler: str, envelope: Envelope, work: Callable[[UnitOfWork], Awaitable[None]]) -> bool:
        handler = self.qualified(handler)

        async def transaction(connection: Connection) -> PostgresUnit | None:
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


async def _is_next(connection: Connection, handler: str, envelope: Envelope) -> bool:
    """Note that the handler has seen it. False: it had, or a later one. :raises KeyParked:"""
    place = f"{envelope.topic}:{envelope.key}"
    while True:
        row = await connection.row(_APPLY, handler, place, envelope.sequence, is_replaying(), envelope.writer)
        if row is not None:
            return True
        if place == (other := await place_in(connection, handler, envelope)):
            break
        place = other
    state = await connection.row("SELECT sequence FROM marketplace.inbox WHERE (handler, key) = ($1, $2)", handler, place)
    if state is not None and state["sequence"] < envelope.sequence:
        raise KeyParked(place)
    return False


async def place_in(connection: Connection | Database, handler: str, event: Envelope | Message) -> str:
    """Of the handler's inbox."""
    place = f"{event.topic}:{event.key}"
    row = await connection.row("SELECT writer FROM marketplace.inbox WHERE (handler, key) = ($1, $2)", handler, place)
    return place_of(event, None if row is None else row["writer"])


def _replay(claim: Claim, row: Row, answer: type[T]) -> T | MarketplaceError:
    return stored_answer(claim, row["digest"], row["refused"], row["body"], answer)
