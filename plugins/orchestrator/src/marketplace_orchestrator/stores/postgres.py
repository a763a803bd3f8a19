"""The orchestrator's own tables in PostgreSQL, beside those of its engine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from marketplace_core.adapters.dbos import FAILED, SCHEMA, STATUS, WORKFLOW
from marketplace_core.adapters.postgres import Database, json_text
from marketplace_core.capabilities.orchestrator import SagaQuery
from marketplace_core.errors import Failure, Unavailable
from marketplace_core.ports import UnitOfWork
from marketplace_core.sagas import Decision
from marketplace_orchestrator.store import OpenStatus, OrchestratorStore, ParkedSaga, StartedSaga, Try, Wait

__all__ = ["PostgresOrchestratorStore"]

_PARKED = "saga_id, step, failure::text AS failure, at, decision"


class PostgresOrchestratorStore(OrchestratorStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_saga(self, uow: UnitOfWork, saga: StartedSaga) -> str:
        id_: str | None = await self._database.on(uow).value(
            "INSERT INTO orchestrator.sagas AS s (id, name, version, key, started_at)"
            " SELECT CASE WHEN EXISTS (SELECT FROM orchestrator.sagas WHERE id = $1 AND name <> $2)"
            "   THEN $1 || ':' || $2 ELSE $1 END, $2, $3::int, $4, $5"
            " ON CONFLICT (id) DO UPDATE SET name = s.name WHERE s.name = excluded.name RETURNING id",
            saga.id,
            saga.name,
            saga.version,
            saga.key,
            saga.started_at,
        )
        if id_ is None:
            raise Unavailable("Another saga of the same key is beginning.")
        return id_

    async def get_ids(self, uow: UnitOfWork, key: str) -> list[str]:
        rows = await self._database.on(uow).fetch("SELECT id FROM orchestrator.sagas WHERE key = $1 ORDER BY id", key)
        return [row["id"] for row in rows]

    async def list_sagas(self, query: SagaQuery, after: tuple[Any, ...] | None) -> list[StartedSaga]:
        rows = await self._database.fetch(
            "SELECT s.id, s.name, s.version, s.key, s.started_at FROM orchestrator.sagas s"
            f" LEFT JOIN {SCHEMA}.workflow_status w ON w.workflow_uuid = s.id"
            " LEFT JOIN orchestrator.parked p ON p.saga_id = s.id AND NOT p.told"
            " WHERE ($1::text IS NULL OR s.name = $1::text)"
            " AND ($2::text IS NULL OR CASE WHEN w.status IN ('PENDING', 'ENQUEUED') AND p.saga_id IS NOT NULL"
            "   THEN 'waiting' ELSE ($3::text::jsonb)->>w.status END = $2::text)"
            " AND ($4::timestamptz IS NULL OR (s.started_at, s.id) < ($4::timestamptz, $5::text))"
            " ORDER BY s.started_at DESC, s.id DESC LIMIT $6::int",
            query.name,
            query.status,
            json_text(STATUS),
            *(after or (None, None)),
            query.size + 1,
        )
        return [StartedSaga(**row) for row in rows]

    async def get_saga(self, saga_id: str, uow: UnitOfWork | None = None) -> StartedSaga | None:
        source = self._database if uow is None else self._database.on(uow)
        row = await source.row("SELECT id, name, version, key, started_at FROM orchestrator.sagas WHERE id = $1", saga_id)
        return None if row is None else StartedSaga(**row)

    async def add_wait(self, wait: Wait) -> None:
        await self._database.execute(
            "INSERT INTO orchestrator.waits (saga_id, signal, number, due_at, state)"
            f" SELECT $1, $2, $3::int, $4, CASE WHEN EXISTS (SELECT FROM {SCHEMA}.notifications"
            "   WHERE destination_uuid = $1 AND topic = $2 AND NOT consumed) THEN 'signalled' ELSE 'waiting' END"
            " ON CONFLICT DO NOTHING",
            wait.saga_id,
            wait.signal,
            wait.number,
            wait.due_at,
        )

    async def end_wait(self, saga_id: str, signal: str, number: int) -> None:
        await self._database.execute(
            "UPDATE orchestrator.waits SET state = 'over' WHERE (saga_id, signal, number) = ($1, $2, $3::int)",
            saga_id,
            signal,
            number,
        )

    async def mark_signalled(self, uow: UnitOfWork, saga_id: str, signal: str) -> None:
        await self._database.on(uow).execute(
            "UPDATE orchestrator.waits SET state = 'signalled' WHERE saga_id = $1 AND signal = $2 AND state = 'waiting'",
            saga_id,
            signal,
        )

    async def request_giving_up(self, uow: UnitOfWork, saga_id: str) -> bool:
        row = await self._database.on(uow).row(
            "UPDATE orchestrator.waits SET state = CASE state WHEN 'waiting' THEN 'giving_up' ELSE state END"
            " WHERE saga_id = $1 AND state IN ('waiting', 'giving_up', 'given_up') RETURNING saga_id",
            saga_id,
        )
        return row is not None

    async def take_given_up(self) -> list[Wait]:
        rows = await self._database.fetch(
            "SELECT saga_id, signal, number, due_at FROM orchestrator.waits WHERE state = 'giving_up' LIMIT 100"
        )
        return [Wait(**row) for row in rows]

    async def end_given_up(self, wait: Wait) -> None:
        await self._database.execute(
            "UPDATE orchestrator.waits SET state = 'given_up'"
            " WHERE (saga_id, signal, number) = ($1, $2, $3::int) AND state = 'giving_up'",
            wait.saga_id,
            wait.signal,
            wait.number,
        )

    async def due_waits(self, now: datetime) -> list[Wait]:
        rows = await self._database.fetch(
            "SELECT saga_id, signal, number, due_at FROM orchestrator.waits"
            " WHERE state NOT IN ('over', 'given_up') AND due_at <= $1 ORDER BY due_at LIMIT 100",
            now,
        )
        return [Wait(**row) for row in rows]

    async def count_runnable(self, now: datetime) -> int:
        count: int = await self._database.value(
            "SELECT (SELECT count(*) FROM orchestrator.reopenings) + count(*)"
            f" FROM {SCHEMA}.workflow_status w WHERE w.name = $1 AND w.status IN ('PENDING', 'ENQUEUED')"
            " AND NOT EXISTS (SELECT FROM orchestrator.waits a"
            "   WHERE a.saga_id = w.workflow_uuid AND a.state = 'waiting' AND a.due_at > $2)"
            " AND NOT EXISTS (SELECT FROM orchestrator.parked p WHERE p.saga_id = w.workflow_uuid AND p.decision IS NULL)",
            WORKFLOW,
            now,
        )
        return count

    async def count_open(self, now: datetime) -> dict[tuple[str, OpenStatus], int]:
        rows = await self._database.fetch(
            "SELECT name, status, count(*) AS count FROM ("
            " SELECT s.name, CASE WHEN w.status = ANY($3::text[]) THEN 'failed'"
            "   WHEN EXISTS (SELECT FROM orchestrator.parked p"
            "     WHERE p.saga_id = s.id AND p.decision IS NULL) THEN 'waits_for_person'"
            "   WHEN EXISTS (SELECT FROM orchestrator.waits a"
            "     WHERE a.saga_id = s.id AND a.state = 'waiting' AND a.due_at > $2) THEN 'waits_for_signal'"
            "   ELSE 'running' END AS status"
            f" FROM {SCHEMA}.workflow_status w JOIN orchestrator.sagas s ON s.id = w.workflow_uuid"
            " WHERE w.name = $1 AND w.status = ANY($3::text[] || '{PENDING,ENQUEUED}'::text[])) AS open GROUP BY name, status",
            WORKFLOW,
            now,
            list(FAILED),
        )
        return {(row["name"], row["status"]): row["count"] for row in rows}

    async def park(self, parked: ParkedSaga) -> None:
        await self._database.execute(
            "INSERT INTO orchestrator.parked (saga_id, step, failure, at) VALUES ($1, $2, $3::text::jsonb, $4)"
            " ON CONFLICT (saga_id) DO UPDATE SET step = excluded.step, failure = excluded.failure, at = excluded.at,"
            " decision = NULL, told = false WHERE parked.step <> excluded.step",
            parked.saga_id,
            parked.step,
            json_text(parked.failure),
            parked.at,
        )

    async def decide(self, uow: UnitOfWork, saga_id: str, decision: Decision) -> bool:
        row = await self._database.on(uow).row(
            "UPDATE orchestrator.parked SET decision = $2 WHERE saga_id = $1 AND"
            " CASE WHEN told THEN decision = $2 AND $2 = 'compensate' ELSE coalesce(decision, $2) = $2 END"
            " RETURNING saga_id",
            saga_id,
            decision,
        )
        return row is not None

    async def request_reopening(self, uow: UnitOfWork, saga_id: str, decision: Decision) -> bool:
        row = await self._database.on(uow).row(
            "WITH failed AS ("
            "  UPDATE orchestrator.sagas AS s SET given_up = given_up OR $3::text = 'compensate'"
            f" FROM {SCHEMA}.workflow_status AS w"
            "  WHERE s.id = $1 AND w.workflow_uuid = s.id AND w.status = ANY($2::text[]) RETURNING s.id)"
            " INSERT INTO orchestrator.reopenings (saga_id) SELECT id FROM failed"
            " ON CONFLICT (saga_id) DO UPDATE SET saga_id = excluded.saga_id RETURNING saga_id",
            saga_id,
            list(FAILED),
            decision,
        )
        return row is not None

    async def is_given_up(self, saga_id: str, uow: UnitOfWork | None = None) -> bool:
        source = self._database if uow is None else self._database.on(uow)
        return bool(await source.value("SELECT given_up FROM orchestrator.sagas WHERE id = $1", saga_id))

    async def take_reopenings(self) -> list[str]:
        rows = await self._database.fetch("SELECT saga_id FROM orchestrator.reopenings LIMIT 100")
        return [row["saga_id"] for row in rows]

    async def end_reopening(self, saga_id: str) -> None:
        await self._database.execute("DELETE FROM orchestrator.reopenings WHERE saga_id = $1", saga_id)

    async def take_decided(self) -> list[ParkedSaga]:
        rows = await self._database.fetch(
            f"SELECT {_PARKED} FROM orchestrator.parked WHERE decision IS NOT NULL AND NOT told LIMIT 100"
        )
        return [_parked(**row) for row in rows]

    async def unpark(self, saga_id: str, step: str) -> None:
        # The row stays, so that the engine parking the same step again, after a crash, is nothing new.
        await self._database.execute(
            "UPDATE orchestrator.parked SET told = true WHERE (saga_id, step) = ($1, $2)", saga_id, step
        )

    async def get_parked(self, saga_ids: Sequence[str]) -> dict[str, ParkedSaga]:
        rows = await self._database.fetch(
            f"SELECT {_PARKED} FROM orchestrator.parked WHERE saga_id = ANY($1::text[]) AND NOT told", list(saga_ids)
        )
        return {row["saga_id"]: _parked(**row) for row in rows}

    async def note_try(self, tried: Try) -> None:
        await self._database.execute(
            "INSERT INTO orchestrator.tries (saga_id, step, attempts, error, at) VALUES ($1, $2, $3::int, $4, $5)"
            " ON CONFLICT (saga_id, step) DO UPDATE SET attempts = excluded.attempts, error = excluded.error,"
            " at = excluded.at",
            tried.saga_id,
            tried.step,
            tried.attempts,
            tried.error,
            tried.at,
        )

    async def get_tries(self, saga_id: str) -> dict[str, Try]:
        rows = await self._database.fetch(
            "SELECT saga_id, step, attempts, error, at FROM orchestrator.tries WHERE saga_id = $1", saga_id
        )
        return {row["step"]: Try(**row) for row in rows}


def _parked(failure: str, **row: Any) -> ParkedSaga:
    return ParkedSaga(failure=msgspec.json.decode(failure, type=Failure), **row)
