"""Sagas on DBOS with what is around them: the suite's port on PostgreSQL, a tick for deadlines, and an operator.

As a program it takes up the saga ``crashing`` of an id: the second thing that it does never answers, the first time.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import sys
from collections.abc import AsyncIterator
from datetime import datetime

import msgspec
import pytest

from marketplace_core import calls
from marketplace_core.adapters.dbos.engine import DbosReader, DbosSagas, Waits, engine_url
from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres.units import PostgresUnits
from marketplace_core.adapters.redis.clock import RedisClock
from marketplace_core.adapters.redis.server import connect
from marketplace_core.errors import Failure, PreconditionFailed, Unavailable
from marketplace_core.ports import UnitOfWork, Units, command
from marketplace_core.sagas import COMPENSATE, RETRY, Decision, Performer, Saga, StepCall
from marketplace_core.testing.contracts import eventually
from marketplace_core.testing.contracts.sagas import SAGAS, Acts, ActsProbe, Answered, Began, SagaRunner, crashing
from marketplace_core.values import Clock

TABLES = """
CREATE TABLE public.acts (id int GENERATED ALWAYS AS IDENTITY, saga text, act text);
CREATE TABLE public.tries (id int GENERATED ALWAYS AS IDENTITY, saga text, act text, key text);
CREATE TABLE public.faults (saga text, act text, how text, times int);
CREATE TABLE public.waits (saga text, signal text, number int, due_at timestamptz, PRIMARY KEY (saga, signal, number));
CREATE TABLE public.parked (saga text, step text, PRIMARY KEY (saga, step));
CREATE TABLE public.given_up (saga text PRIMARY KEY);
"""


class PostgresActs(Acts, ActsProbe):
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self.units: Units = PostgresUnits(database, clock, "contract")

    async def do(self, saga_id: str, thing: str) -> str:
        await self._act(saga_id, f"do {thing}")
        return f"{thing}!"

    async def undo(self, saga_id: str, thing: str) -> None:
        await self._act(saga_id, f"undo {thing}")

    async def do_item(self, item: tuple[str, str]) -> str:
        return await self.do(*item)

    async def undo_item(self, item: tuple[str, str]) -> None:
        await self.undo(*item)

    async def give_up(self, saga_id: str, failure: Failure) -> None:
        await self._act(saga_id, f"give_up {failure.code}")

    async def _act(self, saga_id: str, act: str) -> None:
        key = calls.current().key or ""
        await self._database.execute("INSERT INTO public.tries (saga, act, key) VALUES ($1, $2, $3)", saga_id, act, key)
        how = await self._database.value(
            "UPDATE public.faults SET times = times - 1 WHERE saga = $1 AND starts_with($2, act) AND times > 0 RETURNING how",
            saga_id,
            act,
        )
        if how == "refuse":
            raise PreconditionFailed()
        if how == "lose":
            raise Unavailable()
        await self._write(saga_id, act)
        if how == "lose_after":
            raise Unavailable()
        if how == "hang":
            print("hangs", flush=True)
            await asyncio.Event().wait()

    @command
    async def _write(self, uow: UnitOfWork, saga_id: str, act: str) -> None:
        await self._database.on(uow).execute("INSERT INTO public.acts (saga, act) VALUES ($1, $2)", saga_id, act)

    async def done(self, saga_id: str) -> list[str]:
        rows = await self._database.fetch("SELECT act FROM public.acts WHERE saga = $1 ORDER BY id", saga_id)
        return [row["act"] for row in rows]

    async def keys(self, saga_id: str, act: str) -> list[str]:
        rows = await self._database.fetch("SELECT key FROM public.tries WHERE (saga, act) = ($1, $2) ORDER BY id", saga_id, act)
        return [row["key"] for row in rows]

    async def fail(self, saga_id: str, act: str, how: str, times: int = 1) -> None:
        await self._database.execute("INSERT INTO public.faults VALUES ($1, $2, $3, $4)", saga_id, act, how, times)


class PostgresWaits(Waits):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, saga_id: str, signal: str, number: int, due_at: datetime) -> None:
        await self._database.execute(
            "INSERT INTO public.waits VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING", saga_id, signal, number, due_at
        )

    async def end(self, saga_id: str, signal: str, number: int) -> None:
        await self._database.execute(
            "DELETE FROM public.waits WHERE (saga, signal, number) = ($1, $2, $3)", saga_id, signal, number
        )

    async def is_given_up(self, saga_id: str) -> bool:
        return await self._database.row("SELECT FROM public.given_up WHERE saga = $1", saga_id) is not None


class DbosRunner(SagaRunner):
    def __init__(self, database: Database, acts: PostgresActs, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._retries = 0
        self._waits = PostgresWaits(database)
        self._reader = DbosReader(database)
        self._engine = DbosSagas(
            engine_url(database.dsn),
            SAGAS,
            Performer(lambda: {"sagas": acts}, self._note),
            clock,
            waits=self._waits,
            park=self._park,
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self._engine.launch()
        ticking = asyncio.create_task(self._tick())
        try:
            yield
        finally:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)
            await self._engine.close()

    async def _note(self, call: StepCall, attempts: int, error: str) -> None:
        pass

    async def _park(self, saga_id: str, step: str, failure: Failure) -> None:
        await self._database.execute("INSERT INTO public.parked VALUES ($1, $2) ON CONFLICT DO NOTHING", saga_id, step)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            rows = await self._database.fetch("SELECT * FROM public.waits WHERE due_at <= $1", self._clock.now())
            for row in rows:
                await self._engine.time_out(row["saga"], row["signal"], row["number"])
                await self._waits.end(row["saga"], row["signal"], row["number"])
            await self._engine.take_up(self._reader)

    async def start(self, declared: Saga, event: Began) -> None:
        await self._engine.start(declared, event.id, msgspec.json.encode(event).decode())

    async def signal(self, event: Answered, key: str) -> bool:
        return await self._engine.signal(event.id, event.type, msgspec.json.encode(event).decode(), f"{event.id}/{key}")

    async def retry(self, saga_id: str) -> bool:
        return await self._engine.reopen(saga_id, self._reader) or await self._decide(saga_id, RETRY)

    async def compensate(self, saga_id: str) -> bool:
        if await self.status(saga_id) == "failed":
            await self._database.execute("INSERT INTO public.given_up VALUES ($1) ON CONFLICT DO NOTHING", saga_id)
            return await self._engine.reopen(saga_id, self._reader)
        if await self._decide(saga_id, COMPENSATE):
            return True
        rows = await self._database.fetch("DELETE FROM public.waits WHERE saga = $1 RETURNING signal, number", saga_id)
        for row in rows:
            await self._engine.give_up(saga_id, row["signal"], row["number"])
        return bool(rows)

    async def _decide(self, saga_id: str, decision: Decision) -> bool:
        rows = await self._database.fetch("DELETE FROM public.parked WHERE saga = $1 RETURNING step", saga_id)
        for row in rows:
            await self._engine.decide(saga_id, row["step"], decision)
        return bool(rows)

    async def status(self, saga_id: str) -> str:
        found = await self._reader.look([saga_id])
        status = found[saga_id].status if saga_id in found else "none"
        parked = await self._database.row("SELECT FROM public.parked WHERE saga = $1", saga_id)
        return "waiting" if status == "running" and parked is not None else status


async def main(dsn: str, redis: str, saga_id: str, mistake: str = "") -> None:
    if mistake:
        importlib.import_module("wrong_sagas").named(mistake)(pytest.MonkeyPatch())  # it lies beside this program
    database = Database(dsn)
    async with connect(redis) as client:
        clock = RedisClock(client)
        await clock.refresh()
        acts = PostgresActs(database, clock)
        runner = DbosRunner(database, acts, clock)
        async with runner.running():
            await runner.start(crashing, Began(id=saga_id))

            async def done() -> bool:
                return await runner.status(saga_id) == "done"

            await eventually(done, within=600)
            print("done", flush=True)
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
