"""Webhooks that go out, in core's own schema of the database where a plugin's truth is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec
from psqlpy.exceptions import Error as DriverError

from marketplace_core import calls
from marketplace_core.adapters._waits import ANSWER_SECONDS
from marketplace_core.adapters.postgres.server import Database, Row, translated
from marketplace_core.ports.units import UnitOfWork
from marketplace_core.ports.webhooks_out import (
    EACH,
    LEASE,
    Attempt,
    Due,
    Endpoint,
    Wake,
    WebhookDelivery,
    WebhookMessage,
    WebhookOutbox,
)
from marketplace_core.values import Clock, new_id

__all__ = ["PostgresWebhookOutbox"]

CHANNEL = "marketplace_webhooks"

_ENDPOINT = "id, owner, url, events, state, generation, secret_at, created_at, off_at, note"
_DELIVERY = "id, endpoint_id, message_id, type, state, tries, created_at, due_at, ended_at, status, note"

#: $1: the plugin, $2: owner, $3: message, $4: type, $5: body, $6: now, $7: trace, $8: what the ids begin with, in time's order.
#: Endpoints stay on until this commits: what is switched off afterwards finds it waiting.
_SEND = f"""
WITH wanting AS (
  SELECT id, row_number() OVER () AS place FROM (
    SELECT id FROM marketplace.webhook_endpoints
    WHERE plugin = $1 AND owner = $2 AND state = 'on' AND events && ARRAY[$4, split_part($4, '.', 1) || '.*']
    ORDER BY id FOR SHARE) AS locked
), made AS (
  INSERT INTO marketplace.webhook_deliveries
    (id, plugin, endpoint_id, message_id, type, body, trace, state, created_at, due_at)
  SELECT $8 || '-' || place, $1, id, $3, $4, $5, $7, 'waiting', $6, $6 FROM wanting
  ON CONFLICT (endpoint_id, message_id) DO NOTHING RETURNING id
), told AS (SELECT pg_notify('{CHANNEL}', $1) FROM made LIMIT 1)
SELECT (SELECT count(*) FROM made) + 0 * (SELECT count(*) FROM told)
"""

#: The endpoints with something that waits, found by one look into the index for each. $1: the plugin, $2: those left out.
_WAITING = """
WITH RECURSIVE found AS (
  (SELECT endpoint_id FROM marketplace.webhook_deliveries WHERE plugin = $1 AND state = 'waiting'
   ORDER BY endpoint_id LIMIT 1)
  UNION ALL
  SELECT (SELECT d.endpoint_id FROM marketplace.webhook_deliveries AS d
          WHERE d.plugin = $1 AND d.state = 'waiting' AND d.endpoint_id > found.endpoint_id ORDER BY d.endpoint_id LIMIT 1)
  FROM found WHERE found.endpoint_id IS NOT NULL
), waiting AS (SELECT endpoint_id FROM found WHERE endpoint_id IS NOT NULL AND endpoint_id <> ALL ($2::text[]))
"""

#: $3: now, $4: at most so many, $5: of one endpoint, $6: due again at.
CLAIM = f"""
{_WAITING}, due AS (
  SELECT ready.id FROM waiting CROSS JOIN LATERAL (
    SELECT d.id, d.due_at FROM marketplace.webhook_deliveries AS d
    WHERE d.plugin = $1 AND d.state = 'waiting' AND d.endpoint_id = waiting.endpoint_id AND d.due_at <= $3
    ORDER BY d.due_at LIMIT $5::int FOR UPDATE SKIP LOCKED) AS ready
  ORDER BY ready.due_at LIMIT $4::int
), claimed AS (
  UPDATE marketplace.webhook_deliveries SET tries = tries + 1, due_at = $6
  WHERE id = ANY (ARRAY(SELECT id FROM due)) RETURNING id, endpoint_id, message_id, body, tries, trace
)
SELECT c.id AS delivery_id, c.endpoint_id, c.message_id, c.body, c.tries, c.trace, to_jsonb(e)::text AS endpoint
FROM claimed AS c LEFT JOIN marketplace.webhook_endpoints AS e ON e.id = c.endpoint_id AND e.state = 'on'
"""

NEXT_DUE = f"""
{_WAITING}
SELECT min((SELECT d.due_at FROM marketplace.webhook_deliveries AS d
            WHERE d.plugin = $1 AND d.state = 'waiting' AND d.endpoint_id = waiting.endpoint_id ORDER BY d.due_at LIMIT 1))
FROM waiting
"""

#: $1: the plugin, $2: what ended before goes, $3: at most so many. By place, as a join could choose to read all of them.
PURGE_DELIVERIES = """
DELETE FROM marketplace.webhook_deliveries WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM marketplace.webhook_deliveries WHERE plugin = $1 AND state <> 'waiting' AND ended_at < $2
  ORDER BY ended_at LIMIT $3::int FOR UPDATE SKIP LOCKED)) RETURNING id
"""


class PostgresWebhookOutbox(WebhookOutbox):
    def __init__(self, database: Database, clock: Clock, plugin: str) -> None:
        self._database, self._clock, self._plugin = database, clock, plugin

    # ── who wants which ──────────────────────────────────────────────────────────────────────────────────────

    async def add_endpoint(self, uow: UnitOfWork, endpoint_id: str, owner: str, url: str, events: Sequence[str]) -> Endpoint:
        row = await self._database.on(uow).row(
            "INSERT INTO marketplace.webhook_endpoints"
            " (id, plugin, owner, url, events, state, generation, secret_at, created_at)"
            f" VALUES ($1, $2, $3, $4, $5::text[], 'on', 1, $6, $6) RETURNING {_ENDPOINT}",
            endpoint_id,
            self._plugin,
            owner,
            url,
            list(events),
            uow.now,
        )
        return msgspec.convert(row, Endpoint)

    async def endpoints(self, owner: str) -> list[Endpoint]:
        rows = await self._database.fetch(
            f"SELECT {_ENDPOINT} FROM marketplace.webhook_endpoints WHERE plugin = $1 AND owner = $2 ORDER BY created_at, id",
            self._plugin,
            owner,
        )
        return msgspec.convert(rows, list[Endpoint])

    async def remove_endpoint(self, uow: UnitOfWork, owner: str, endpoint_id: str) -> bool:
        statement = "DELETE FROM marketplace.webhook_endpoints WHERE plugin = $1 AND owner = $2 AND id = $3 RETURNING id"
        return await self._database.on(uow).value(statement, self._plugin, owner, endpoint_id) is not None

    async def renew_secret(self, uow: UnitOfWork, owner: str, endpoint_id: str) -> Endpoint | None:
        return await self._change(uow, owner, endpoint_id, "generation = generation + 1, secret_at = $4", uow.now)

    async def switch_on(self, uow: UnitOfWork, owner: str, endpoint_id: str) -> Endpoint | None:
        return await self._change(uow, owner, endpoint_id, "state = 'on', off_at = NULL, note = NULL")

    async def _change(self, uow: UnitOfWork, owner: str, endpoint_id: str, change: str, *given: Any) -> Endpoint | None:
        row = await self._database.on(uow).row(
            f"UPDATE marketplace.webhook_endpoints SET {change} WHERE plugin = $1 AND owner = $2 AND id = $3"
            f" RETURNING {_ENDPOINT}",
            self._plugin,
            owner,
            endpoint_id,
            *given,
        )
        return None if row is None else msgspec.convert(row, Endpoint)

    # ── what is to be sent ───────────────────────────────────────────────────────────────────────────────────

    async def send(self, uow: UnitOfWork, owner: str, message: WebhookMessage) -> int:
        made: int = await self._database.on(uow).value(
            _SEND,
            self._plugin,
            owner,
            message.id,
            message.type,
            message.body.decode(),
            uow.now,
            calls.current().trace,
            new_id(),
        )
        return made

    async def deliveries(self, owner: str, endpoint_id: str, size: int, before: str | None = None) -> list[WebhookDelivery]:
        rows = await self._database.fetch(
            f"SELECT {_DELIVERY} FROM marketplace.webhook_deliveries"
            " WHERE endpoint_id = (SELECT id FROM marketplace.webhook_endpoints WHERE plugin = $1 AND owner = $2 AND id = $3)"
            " AND ($4::text IS NULL OR id < $4::text) ORDER BY id DESC LIMIT $5::int",
            self._plugin,
            owner,
            endpoint_id,
            before,
            size,
        )
        return msgspec.convert(rows, list[WebhookDelivery])

    async def redeliver(self, uow: UnitOfWork, owner: str, endpoint_id: str, delivery_id: str) -> bool:
        found = await self._database.on(uow).row(
            "UPDATE marketplace.webhook_deliveries SET state = 'waiting', tries = 0, due_at = $5, ended_at = NULL"
            " WHERE id = $4 AND state <> 'waiting' AND endpoint_id ="
            " (SELECT id FROM marketplace.webhook_endpoints WHERE plugin = $1 AND owner = $2 AND id = $3)"
            f" RETURNING pg_notify('{CHANNEL}', $1)::text",
            self._plugin,
            owner,
            endpoint_id,
            delivery_id,
            uow.now,
        )
        return found is not None

    # ── for who sends ────────────────────────────────────────────────────────────────────────────────────────

    async def claim(self, limit: int, busy: Collection[str] = ()) -> list[Due]:
        now = self._clock.now()
        rows = await self._database.fetch(CLAIM, self._plugin, list(busy), now, limit, EACH, now + LEASE)
        return [_due(row) for row in rows]

    async def finish(self, uow: UnitOfWork, due: Due, attempt: Attempt) -> Endpoint | None:
        state = "delivered" if attempt.delivered else "failed" if attempt.again_at is None else "waiting"
        ours = await self._database.on(uow).value(
            "UPDATE marketplace.webhook_deliveries SET state = $3, status = $4::int, note = $5,"
            " due_at = coalesce($6::timestamptz, due_at), ended_at = CASE WHEN $3 <> 'waiting' THEN $7::timestamptz END"
            " WHERE id = $1 AND tries = $2::int AND state = 'waiting' RETURNING id",
            due.id,
            due.tries,
            state,
            attempt.status,
            attempt.note,
            attempt.again_at,
            uow.now,
        )
        if ours is None or not attempt.switch_off:
            return None
        row = await self._database.on(uow).row(
            "UPDATE marketplace.webhook_endpoints SET state = 'off', off_at = $2, note = $3 WHERE id = $1 AND state = 'on'"
            f" RETURNING {_ENDPOINT}",
            due.endpoint_id,
            uow.now,
            attempt.note,
        )
        return None if row is None else msgspec.convert(row, Endpoint)

    async def next_due(self, busy: Collection[str] = ()) -> datetime | None:
        found: datetime | None = await self._database.value(NEXT_DUE, self._plugin, list(busy))
        return found

    async def delete_ended(self, uow: UnitOfWork, before: datetime, limit: int) -> int:
        return len(await self._database.on(uow).fetch(PURGE_DELIVERIES, self._plugin, before, limit))

    @contextlib.asynccontextmanager
    async def waking(self) -> AsyncIterator[Wake]:
        woken = asyncio.Event()

        async def wake(_: Any, plugin: str, *__: Any) -> None:
            if plugin == self._plugin:
                woken.set()

        try:
            listener = self._database.pool.listener()
            await listener.add_callback(channel=CHANNEL, callback=wake)
            async with asyncio.timeout(ANSWER_SECONDS):
                await listener.startup()
            listener.listen()
        except DriverError as error:
            raise translated(error)  # noqa: B904 - it has its cause
        try:
            yield _Woken(woken)
        finally:
            with contextlib.suppress(Exception):
                listener.abort_listen()
                async with asyncio.timeout(ANSWER_SECONDS):
                    await listener.shutdown()


class _Woken(Wake):
    def __init__(self, woken: asyncio.Event) -> None:
        self._woken = woken

    async def wait(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        heard = self._woken.is_set()
        self._woken.clear()
        return heard


def _due(row: Row) -> Due:
    return Due(
        id=row["delivery_id"],
        endpoint_id=row["endpoint_id"],
        endpoint=None if row["endpoint"] is None else msgspec.json.decode(row["endpoint"], type=Endpoint),
        message_id=row["message_id"],
        body=row["body"].encode(),
        tries=row["tries"],
        trace=row["trace"],
    )
