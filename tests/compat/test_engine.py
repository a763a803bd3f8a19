"""Sagas that an earlier release left in the engine's tables: today's engine and code take them up and end them the same."""

from __future__ import annotations

import base64
import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest
from structlog.testing import capture_logs

from marketplace_core.adapters.dbos.engine import DbosSagas
from marketplace_core.adapters.postgres import Database
from marketplace_core.capabilities.catalog import Catalog
from marketplace_core.capabilities.orders import OrderPlaced
from marketplace_core.ports.engine import Journal, SagaRun, SagaStatus, StepRecord
from marketplace_core.sagas import Performer, Saga, SagaContext
from marketplace_core.testing.compat.histories import History
from marketplace_core.testing.contracts import eventually
from marketplace_core.values import SystemClock
from tests.compat.engine import EngineRows, put_back
from tests.compat.runs import sagas

HERE = Path(__file__).parent
FOLDERS = sorted(path.parent for path in HERE.glob("*/engine"))


class Asked(AssertionError):
    """A recorded step is asked for again."""


class Ends(Journal):
    """Every wait has ended: nothing is begun again. ``told``: how each saga ended, with its steps."""

    def __init__(self) -> None:
        self.told: dict[str, tuple[SagaStatus, Mapping[str, StepRecord]]] = {}

    async def record(self, saga: SagaRun, status: SagaStatus, steps: Mapping[str, StepRecord]) -> None:
        self.told[saga.id] = status, steps

    async def begin_wait(self, saga_id: str, signal: str, number: int, due_at: object) -> NoReturn:
        raise Asked(f"{saga_id} waits for {signal} again")

    async def end_wait(self, saga_id: str, signal: str, number: int) -> NoReturn:
        raise Asked(f"{saga_id} ends its wait for {signal} again")

    async def park(self, saga_id: str, step: str, failure: object) -> NoReturn:
        raise Asked(f"{saga_id} parks {step} again")

    async def is_given_up(self, saga_id: str) -> NoReturn:
        raise Asked(f"{saga_id} fails")


def _ports() -> NoReturn:
    raise Asked("a step is performed again")


async def _note(call: object, attempts: int, error: str) -> None:
    """Nothing is performed."""


async def _put_back(folder: Path, database: Database) -> dict[str, str]:
    """The folder's sagas, as they were left; how they ended then, by their ids."""
    ends = {}
    for path in _files(folder / "engine"):
        await put_back(database, msgspec.json.decode(path.read_bytes(), type=EngineRows))
        history = msgspec.json.decode((folder / "histories" / path.name).read_bytes(), type=History)
        ends[history.id] = history.end.status
    return ends


async def _taken_up(folder: Path, database: Database, declared: Sequence[Saga]) -> tuple[dict[str, str], dict[str, str]]:
    """How the folder's sagas ended then, and how they end now, by their ids."""
    ends = await _put_back(folder, database)
    performer = Performer(_ports, _note)
    journal = Ends()
    engine = DbosSagas(database, declared, performer, SystemClock(), journal)
    await engine.launch()
    try:

        async def over() -> dict[str, str] | None:
            found = {id_: str(saga.status) for id_, saga in (await engine.look(list(ends))).items()}
            return found if "running" not in found.values() else None

        found: dict[str, str] = await eventually(over, within=60)
        assert {id_: status for id_, (status, _) in journal.told.items()} == found
        return ends, found
    finally:
        await engine.close()


@pytest.mark.behaviour("orchestrator-2")
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
async def test_what_a_release_left_is_ended(folder: Path, database: Database) -> None:
    before, now = await _taken_up(folder, database, list(sagas().values()))
    assert {"done", "refused"} <= set(before.values())
    assert now == before


async def test_a_changed_saga_cannot_go_on(database: Database) -> None:
    """So that the test above says something: the engine's record has another first step."""

    async def changed(ctx: SagaContext, order: OrderPlaced) -> None:
        await ctx.call(Catalog.commit, order.reservation)

    declared = [msgspec.structs.replace(saga, run=changed) for saga in sagas().values()]
    with capture_logs():
        before, now = await _taken_up(FOLDERS[-1], database, declared)
    assert set(now) == set(before)
    assert set(now.values()) == {"failed"}


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


async def test_what_a_release_left_is_shown(database: Database) -> None:
    """By whoever looks, without running anything of it."""
    await _put_back(FOLDERS[0], database)
    history = msgspec.json.decode((FOLDERS[0] / "histories" / "checkout_declined.json").read_bytes(), type=History)
    engine = DbosSagas(database, [], Performer(_ports, _note), SystemClock(), Ends())
    state = (await engine.look([history.id]))[history.id]
    assert state.status == "running"
    performed = [entry.step for entry in history.entries if entry.ask == "perform"]
    assert list(state.steps) == performed
    assert state.steps[performed[0]].status == "refused"


class Runs:
    """Is pickled as a call."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)

    def __init__(self, path: Path) -> None:
        self.path = path


async def test_nothing_in_a_row_is_run(database: Database, tmp_path: Path) -> None:
    """Whoever can write into the engine's tables decides what becomes of a saga, not what this process does."""
    await _put_back(FOLDERS[0], database)
    made = tmp_path / "made"
    hostile = base64.b64encode(pickle.dumps({"args": (Runs(made),), "kwargs": {}})).decode()
    await database.execute("UPDATE dbos.workflow_input SET inputs = $1", hostile)
    await database.execute("UPDATE dbos.operation_outputs SET output = $1 WHERE output IS NOT NULL", hostile)
    engine = DbosSagas(database, list(sagas().values()), Performer(_ports, _note), SystemClock(), Ends())
    await engine.launch()
    try:
        failed = "SELECT count(*) FROM dbos.workflow_status WHERE status = 'ERROR'"
        await eventually(lambda: database.value(failed), within=30)
        assert not made.exists()
    finally:
        await engine.close()
