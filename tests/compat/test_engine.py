"""Sagas that an earlier release left in the engine's tables: today's engine and code take them up and end them the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest

from marketplace_core.adapters.dbos.engine import DbosReader, DbosSagas, Waits, engine_url
from marketplace_core.adapters.postgres import Database
from marketplace_core.capabilities.catalog import Catalog
from marketplace_core.capabilities.orders import OrderPlaced
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


class NoWaits(Waits):
    """Every wait has ended: nothing is begun again."""

    async def begin(self, saga_id: str, signal: str, number: int, due_at: object) -> NoReturn:
        raise Asked(f"{saga_id} waits for {signal} again")

    async def end(self, saga_id: str, signal: str, number: int) -> NoReturn:
        raise Asked(f"{saga_id} ends its wait for {signal} again")

    async def is_given_up(self, saga_id: str) -> NoReturn:
        raise Asked(f"{saga_id} fails")


def _ports() -> NoReturn:
    raise Asked("a step is performed again")


async def _park(saga_id: str, step: str, failure: object) -> NoReturn:
    raise Asked(f"{saga_id} parks {step} again")


async def _note(call: object, attempts: int, error: str) -> None:
    """Nothing is performed."""


async def _taken_up(folder: Path, database: Database, declared: Sequence[Saga]) -> tuple[dict[str, str], dict[str, str]]:
    """How the folder's sagas ended then, and how they end now, by their ids."""
    ends = {}
    for path in _files(folder / "engine"):
        await put_back(database, msgspec.json.decode(path.read_bytes(), type=EngineRows))
        history = msgspec.json.decode((folder / "histories" / path.name).read_bytes(), type=History)
        ends[history.id] = history.end.status
    performer = Performer(_ports, _note)
    engine = DbosSagas(engine_url(database.dsn), declared, performer, SystemClock(), waits=NoWaits(), park=_park)
    await engine.launch()
    try:
        reader = DbosReader(database)

        async def over() -> dict[str, str] | None:
            found = {id_: saga.status for id_, saga in (await reader.look(list(ends))).items()}
            return found if "running" not in found.values() else None

        return ends, await eventually(over, within=60)
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
    before, now = await _taken_up(FOLDERS[-1], database, declared)
    assert set(now) == set(before)
    assert set(now.values()) == {"failed"}


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())
