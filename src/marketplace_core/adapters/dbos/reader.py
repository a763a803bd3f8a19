"""The saga engine's tables, as they are read, and mended, from outside of its worker."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import msgspec

from marketplace_core.adapters.dbos.connections import SCHEMA, WORKFLOW, engine_url, library
from marketplace_core.adapters.postgres.server import Database
from marketplace_core.errors import Unavailable
from marketplace_core.sagas import SagaEnd, StepResult

__all__ = ["FAILED", "STATUS", "DbosReader", "EngineSaga", "EngineStep"]

#: For how long a saga may be said to run, and not do so: its engine begins it at once.
STRAY_SECONDS = 10.0


class EngineStep(msgspec.Struct, frozen=True):
    """A recorded step, as far as the engine knows it."""

    name: str
    status: str
    attempts: int
    error: str | None


class EngineSaga(msgspec.Struct, frozen=True):
    """``status``: running, done, refused, failed or cancelled."""

    status: str
    steps: list[EngineStep]


#: our name of each of the engine's
STATUS = {
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


class DbosReader:
    """Reads the engine's tables from any process, which only an operator does: over a client that is closed again."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._made = False

    async def ever_ran(self) -> bool:
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
            f"SELECT workflow_uuid AS id FROM {SCHEMA}.workflow_status WHERE name = $1 AND status = 'PENDING'"  # noqa: S608
            " AND updated_at < (extract(epoch FROM now()) - $3::float8) * 1000 AND workflow_uuid <> ALL($2::text[])"
            " ORDER BY created_at LIMIT 100",
            WORKFLOW,
            list(running),
            STRAY_SECONDS,
        )
        return [row["id"] for row in rows]

    async def look(self, saga_ids: Sequence[str], *, steps: bool = False) -> dict[str, EngineSaga]:
        """Sagas by id, with their steps if asked for. :raises Unavailable:"""
        if not saga_ids:
            return {}
        try:
            client = await asyncio.to_thread(
                library().DBOSClient, system_database_url=engine_url(self._database.dsn), dbos_system_schema=SCHEMA
            )
            try:
                found = await client.list_workflows_async(workflow_ids=list(saga_ids), name=WORKFLOW)
                looked = {item.workflow_id: _ended(item) for item in found}
                return {
                    id_: EngineSaga(status, [_step(s) for s in await client.list_workflow_steps_async(id_)] if steps else [])
                    for id_, status in looked.items()
                }
            finally:
                await asyncio.to_thread(client.destroy)
        except Exception as error:
            raise Unavailable("The saga engine's tables do not answer.") from error


def _ended(item: Any) -> str:
    if item.status == "SUCCESS" and item.output:
        return msgspec.json.decode(item.output, type=SagaEnd).status
    return STATUS.get(item.status, str(item.status).lower())


def _step(item: Any) -> EngineStep:
    attempts, error = 1, str(item["error"]) if item.get("error") else None
    status = "failed" if error else "done"
    output = item.get("output")
    if isinstance(output, str) and output.startswith("{"):
        with contextlib.suppress(msgspec.DecodeError, msgspec.ValidationError):
            result = msgspec.json.decode(output, type=StepResult)
            attempts = result.attempts
            if result.refusal is not None:
                status, error = "refused", result.refusal.code
    return EngineStep(item["function_name"], status, attempts, error)
