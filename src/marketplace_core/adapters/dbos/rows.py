"""The saga engine's tables, as they are read, and mended, from outside of its library."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import msgspec

from marketplace_core.adapters.dbos.connections import SCHEMA, WORKFLOW
from marketplace_core.adapters.dbos.encoding import plain
from marketplace_core.adapters.dbos.runs import record_of
from marketplace_core.adapters.dbos.segments import Segment
from marketplace_core.adapters.postgres.server import Database
from marketplace_core.ports.engine import SagaState, SagaStatus, StepRecord
from marketplace_core.sagas import SagaEnd, StepResult

__all__ = ["EngineRows"]

#: For how long a saga may be said to run, and not do so: its engine begins it at once.
STRAY_SECONDS = 10.0

#: our name of each of the engine's
STATUS: dict[str, SagaStatus] = {
    "PENDING": "running",
    "ENQUEUED": "running",
    "SUCCESS": "done",
    "ERROR": "failed",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "failed",
    "CANCELLED": "cancelled",
}
FAILED = tuple(status for status, ours in STATUS.items() if ours == "failed")

#: $1: a saga, $2: our workflow, $3: what counts as failed. Again, after it was cancelled and before it was resumed: the same.
_TAKE_FAILURE_BACK = f"""
WITH failed AS (
  UPDATE {SCHEMA}.workflow_status SET status = 'CANCELLED'
  WHERE workflow_uuid = $1 AND name = $2 AND status = ANY($3::text[] || 'CANCELLED'::text) RETURNING workflow_uuid
), forgotten AS (
  DELETE FROM {SCHEMA}.operation_outputs AS o USING failed
  WHERE o.workflow_uuid = failed.workflow_uuid AND o.error IS NOT NULL
)
SELECT count(*) FROM failed
"""  # noqa: S608 - constants only

_ENDS = f"""
SELECT s.workflow_uuid AS id, s.status, s.serialization, o.output
FROM {SCHEMA}.workflow_status s LEFT JOIN {SCHEMA}.workflow_output o ON o.workflow_uuid = s.workflow_uuid
WHERE s.workflow_uuid = ANY($1::text[]) AND s.name = $2
"""  # noqa: S608 - constants only

_STEPS = f"""
SELECT workflow_uuid AS id, function_name AS name, serialization, output, error
FROM {SCHEMA}.operation_outputs WHERE workflow_uuid = ANY($1::text[]) ORDER BY workflow_uuid, function_id
"""  # noqa: S608 - constants only

#: What the library records by itself.
_LIBRARYS = "DBOS."


class EngineRows:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._made = False

    async def _there(self) -> bool:
        """Whether an engine has made its tables yet."""
        if not self._made:
            self._made = await self._database.value(f"SELECT to_regclass('{SCHEMA}.workflow_status') IS NOT NULL AS made")
        return self._made

    async def take_failure_back(self, saga_id: str) -> bool:
        """Make of a saga that failed one that is cancelled, whose last step was not tried. False: it has not failed.

        A step of ours ends with what is recorded, refusals too: where an error is recorded, the saga failed.
        """
        return bool(await self._database.value(_TAKE_FAILURE_BACK, saga_id, WORKFLOW, list(FAILED)))

    async def strays(self, running: Sequence[str]) -> list[str]:
        """Sagas that the engine has for running for some time, and are not among ``running``."""
        rows = await self._database.fetch(
            f"SELECT workflow_uuid AS id FROM {SCHEMA}.workflow_status WHERE name = $1"  # noqa: S608
            " AND status IN ('PENDING', 'ENQUEUED')"
            " AND updated_at < (extract(epoch FROM now()) - $3::float8) * 1000 AND workflow_uuid <> ALL($2::text[])"
            " ORDER BY created_at LIMIT 100",
            WORKFLOW,
            list(running),
            STRAY_SECONDS,
        )
        return [row["id"] for row in rows]

    async def segments(self, saga_id: str) -> list[tuple[str, Segment]]:
        """What was recorded of a saga, in order, with the names."""
        rows = await self._database.fetch(_STEPS, [saga_id])
        return [
            (row["name"], msgspec.json.decode(plain(row["serialization"], row["output"]), type=Segment))
            for row in rows
            if row["error"] is None and not row["name"].startswith(_LIBRARYS)
        ]

    async def look(self, saga_ids: Sequence[str]) -> dict[str, SagaState]:
        """Sagas by id, with their steps."""
        if not saga_ids or not await self._there():
            return {}
        steps: dict[str, dict[str, StepRecord]] = {}
        for row in await self._database.fetch(_STEPS, list(saga_ids)):
            steps.setdefault(row["id"], {}).update(_steps(row))
        rows = await self._database.fetch(_ENDS, list(saga_ids), WORKFLOW)
        return {row["id"]: SagaState(_status(row), steps.get(row["id"], {})) for row in rows}


def _status(row: dict[str, Any]) -> SagaStatus:
    if row["status"] == "SUCCESS" and (ended := plain(row["serialization"], row["output"])):
        return "refused" if msgspec.json.decode(ended, type=SagaEnd).status == "refused" else "done"
    return STATUS.get(row["status"], "running")


def _steps(row: dict[str, Any]) -> dict[str, StepRecord]:
    """Of one record: the calls of a segment, or that of release 0.1.0."""
    if row["error"] is not None:
        return {row["name"]: StepRecord("failed", error="It met a mistake.")}
    recorded = None if row["name"].startswith(_LIBRARYS) else plain(row["serialization"], row["output"])
    if not isinstance(recorded, str) or not recorded.startswith("{"):
        return {}
    with contextlib.suppress(msgspec.ValidationError):
        if '"results"' in recorded:
            found = msgspec.json.decode(recorded, type=Segment).results
            return {step: record_of(result) for step, result in found.items()}
        if row["name"][0].isdigit():
            return {row["name"]: record_of(msgspec.json.decode(recorded, type=StepResult))}
    return {}
