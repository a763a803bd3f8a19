"""The orchestrator's own tables in PostgreSQL, beside those of its engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from marketplace_core.adapters.postgres import Database, json_text
from marketplace_core.capabilities.orchestrator import SagaQuery
from marketplace_core.errors import Failure, Unavailable
from marketplace_core.ports import UnitOfWork
from marketplace_core.ports.engine import SagaStatus, StepRecord
from marketplace_core.sagas import Decision
from marketplace_orchestrator.store import (
    Decided,
    Due,
    OpenStatus,
    OrchestratorStore,
    ParkedSaga,
    SagaRow,
    StartedSaga,
    Try,
    Wait,
)

__all__ = ["PostgresOrchestratorStore"]

_PARKED = "saga_id, step, failure::text AS failure, at, decision"
#: How a saga is shown: ``s`` is its row, ``p`` that in which it waits for a person.
_STATUS = "CASE WHEN s.status = 'running' AND p.saga_id IS NOT NULL THEN 'waiting' ELSE s.status END"
_SHOWN = (
    f"SELECT s.id, s.name, s.key, s.started_at, {_STATUS} AS status FROM orchestrator.sagas s"
    " LEFT JOIN orchestrator.parked p ON p.saga_id = s.id AND NOT p.told"
)
_PAGE = 500

#: Each part has an index of its own, which is empty when there is nothing to do. $1: now.
_DUE = """
(SELECT 'over' AS kind, saga_id, signal AS what, number, due_at AS at, NULL AS decision FROM orchestrator.waits
  WHERE state <> 'over' AND state <> 'given_up' AND due_at <= $1 ORDER BY due_at LIMIT 100)
UNION ALL
(SELECT 'next', saga_id, signal, number, due_at, NULL FROM orchestrator.waits
  WHERE state <> 'over' AND state <> 'given_up' AND due_at > $1 ORDER BY due_at LIMIT 1)
UNION ALL
(SELECT 'given_up', saga_id, signal, number, due_at, NULL FROM orchestrator.waits WHERE state = 'giving_up' LIMIT 100)
UNION ALL
(SELECT 'decided', saga_id, step, 0, at, decision FROM orchestrator.parked WHERE decision IS NOT NULL AND NOT told LIMIT 100)
UNION ALL
(SELECT 'reopening', saga_id, '', 0, $1, NULL FROM orchestrator.reopenings LIMIT 100)
"""


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

    async def record(self, saga: StartedSaga, status: SagaStatus, steps: Mapping[str, StepRecord]) -> None:
        # An update alone would not see a row whose unit has not committed yet, and the saga may be faster than that.
        await self._database.execute(
            "INSERT INTO orchestrator.sagas AS s (id, name, version, key, started_at, status, steps)"
            " VALUES ($1, $2, $3::int, $4, $5, $6, $7::text::jsonb) ON CONFLICT (id) DO UPDATE SET"
            " status = CASE WHEN s.status IN ('done', 'refused') THEN s.status ELSE excluded.status END,"
            " steps = CASE WHEN excluded.status = 'failed' THEN s.steps ELSE s.steps - 'mistake' END || excluded.steps",
            saga.id,
            saga.name,
            saga.version,
            saga.key,
            saga.started_at,
            status,
            json_text(steps),
        )

    async def correct(self, saga_id: str, status: SagaStatus, steps: Mapping[str, StepRecord]) -> None:
        await self._database.execute(
            "UPDATE orchestrator.sagas AS s SET status = $2, steps = $3::text::jsonb || steps WHERE id = $1"
            " AND status = 'running' AND NOT EXISTS (SELECT FROM orchestrator.reopenings r WHERE r.saga_id = s.id)",
            saga_id,
            status,
            json_text(steps),
        )

    async def list_unended(self, after: str, before: datetime | None) -> list[str]:
        rows = await self._database.fetch(
            "SELECT s.id FROM orchestrator.sagas s WHERE s.status = 'running'"
            " AND s.id > $1 AND ($2::timestamptz IS NULL OR (s.started_at < $2::timestamptz"
            " AND NOT EXISTS (SELECT FROM orchestrator.waits a WHERE a.saga_id = s.id AND a.state = 'waiting')"
            " AND NOT EXISTS (SELECT FROM orchestrator.parked p WHERE p.saga_id = s.id AND p.decision IS NULL)))"
            " ORDER BY s.id LIMIT $3::int",
            after,
            before,
            _PAGE,
        )
        return [row["id"] for row in rows]

    async def list_sagas(self, query: SagaQuery, after: tuple[Any, ...] | None) -> list[SagaRow]:
        rows = await self._database.fetch(
            f"{_SHOWN} WHERE ($1::text IS NULL OR s.name = $1::text)"
            f" AND ($2::text IS NULL OR CASE {_STATUS} WHEN 'refused' THEN 'done' ELSE {_STATUS} END = $2::text)"
            " AND ($3::timestamptz IS NULL OR (s.started_at, s.id) < ($3::timestamptz, $4::text))"
            " ORDER BY s.started_at DESC, s.id DESC LIMIT $5::int",
            query.name,
            query.status,
            *(after or (None, None)),
            query.size + 1,
        )
        return [SagaRow(**row) for row in rows]

    async def get_saga(self, saga_id: str, uow: UnitOfWork | None = None) -> SagaRow | None:
        source = self._database if uow is None else self._database.on(uow)
        row = await source.row(f"{_SHOWN} WHERE s.id = $1", saga_id)
        return None if row is None else SagaRow(**row)

    async def get_steps(self, saga_id: str) -> dict[str, StepRecord]:
        raw = await self._database.value("SELECT steps::text AS steps FROM orchestrator.sagas WHERE id = $1", saga_id)
        found = msgspec.json.decode(raw or "{}", type=dict[str, StepRecord])
        return dict(sorted(found.items(), key=lambda item: _number(item[0])))

    async def add_wait(self, wait: Wait) -> None:
        await self._database.execute(
            "INSERT INTO orchestrator.waits (saga_id, signal, number, due_at, state)"
            " SELECT $1, $2, $3::int, $4, CASE WHEN"
            "   (SELECT count(*) FROM orchestrator.signals WHERE saga_id = $1 AND signal = $2)"
            "   > (SELECT count(*) FROM orchestrator.waits WHERE saga_id = $1 AND signal = $2 AND heard)"
            "   THEN 'signalled' ELSE 'waiting' END ON CONFLICT DO NOTHING",
            wait.saga_id,
            wait.signal,
            wait.number,
            wait.due_at,
        )

    async def end_wait(self, saga_id: str, signal: str, number: int, *, heard: bool) -> None:
        await self._database.execute(
            "UPDATE orchestrator.waits SET state = 'over', heard = heard OR $4::boolean"
            " WHERE (saga_id, signal, number) = ($1, $2, $3::int)",
            saga_id,
            signal,
            number,
            heard,
        )

    async def mark_signalled(self, uow: UnitOfWork, saga_id: str, signal: str, key: str) -> None:
        await self._database.on(uow).execute(
            "WITH told AS (INSERT INTO orchestrator.signals (saga_id, signal, key) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING)"
            " UPDATE orchestrator.waits SET state = 'signalled' WHERE saga_id = $1 AND signal = $2 AND state = 'waiting'",
            saga_id,
            signal,
            key,
        )

    async def request_giving_up(self, uow: UnitOfWork, saga_id: str) -> bool:
        row = await self._database.on(uow).row(
            "UPDATE orchestrator.waits SET state = CASE state WHEN 'waiting' THEN 'giving_up' ELSE state END"
            " WHERE saga_id = $1 AND state IN ('waiting', 'giving_up', 'given_up') RETURNING saga_id",
            saga_id,
        )
        return row is not None

    async def end_given_up(self, wait: Wait) -> None:
        await self._database.execute(
            "UPDATE orchestrator.waits SET state = 'given_up'"
            " WHERE (saga_id, signal, number) = ($1, $2, $3::int) AND state = 'giving_up'",
            wait.saga_id,
            wait.signal,
            wait.number,
        )

    async def take_due(self, now: datetime) -> Due:
        waits: dict[str, list[Wait]] = {"over": [], "given_up": [], "next": []}
        decided, reopenings = [], []
        for row in await self._database.fetch(_DUE, now):
            kind, saga_id, what, at = row["kind"], row["saga_id"], row["what"], row["at"]
            if kind == "decided":
                decided.append(Decided(saga_id, what, row["decision"]))
            elif kind == "reopening":
                reopenings.append(saga_id)
            else:
                waits[kind].append(Wait(saga_id, what, row["number"], at))
        coming = waits["next"]
        return Due(waits["over"], waits["given_up"], decided, reopenings, coming[0].due_at if coming else None)

    async def count_runnable(self, now: datetime) -> int:
        count: int = await self._database.value(
            "SELECT (SELECT count(*) FROM orchestrator.reopenings) + count(*)"
            " FROM orchestrator.sagas s WHERE s.status = 'running'"
            " AND NOT EXISTS (SELECT FROM orchestrator.waits a"
            "   WHERE a.saga_id = s.id AND a.state = 'waiting' AND a.due_at > $1)"
            " AND NOT EXISTS (SELECT FROM orchestrator.parked p WHERE p.saga_id = s.id AND p.decision IS NULL)",
            now,
        )
        return count

    async def count_open(self, now: datetime) -> dict[tuple[str, OpenStatus], int]:
        rows = await self._database.fetch(
            "SELECT name, status, count(*) AS count FROM ("
            " SELECT s.name, CASE WHEN s.status = 'failed' THEN 'failed'"
            "   WHEN EXISTS (SELECT FROM orchestrator.parked p"
            "     WHERE p.saga_id = s.id AND p.decision IS NULL) THEN 'waits_for_person'"
            "   WHEN EXISTS (SELECT FROM orchestrator.waits a"
            "     WHERE a.saga_id = s.id AND a.state = 'waiting' AND a.due_at > $1) THEN 'waits_for_signal'"
            "   ELSE 'running' END AS status"
            " FROM orchestrator.sagas s WHERE s.status = 'running' OR s.status = 'failed') AS open GROUP BY name, status",
            now,
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
            "  UPDATE orchestrator.sagas AS s SET given_up = given_up OR $2::text = 'compensate', status = 'running'"
            "  WHERE s.id = $1 AND (s.status = 'failed'"
            "    OR EXISTS (SELECT FROM orchestrator.reopenings r WHERE r.saga_id = s.id)) RETURNING s.id)"
            " INSERT INTO orchestrator.reopenings (saga_id) SELECT id FROM failed"
            " ON CONFLICT (saga_id) DO UPDATE SET saga_id = excluded.saga_id RETURNING saga_id",
            saga_id,
            decision,
        )
        return row is not None

    async def is_given_up(self, saga_id: str, uow: UnitOfWork | None = None) -> bool:
        source = self._database if uow is None else self._database.on(uow)
        return bool(await source.value("SELECT given_up FROM orchestrator.sagas WHERE id = $1", saga_id))

    async def end_reopening(self, saga_id: str) -> None:
        await self._database.execute("DELETE FROM orchestrator.reopenings WHERE saga_id = $1", saga_id)

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


def _number(step: str) -> tuple[int, str]:
    """By what steps are in order: ``2:commit`` comes before ``10:confirm``; what has no number is last."""
    number = step.partition(":")[0]
    return (int(number) if number.isdecimal() else 1 << 30, step)
