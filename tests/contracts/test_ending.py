"""A worker's loops end when they are told to, whatever they are doing at that moment."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from marketplace_core.adapters.arq import ArqQueue, ArqWorker
from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres.outbox import PostgresOutbox
from marketplace_core.adapters.postgres.schedules import PostgresSchedules
from marketplace_core.adapters.redis.bus import RedisBus
from marketplace_core.adapters.redis.clock import RedisClock
from marketplace_core.hookspecs import Schedule
from marketplace_core.outbox import Relay
from marketplace_core.ports import UnitOfWork, Units
from marketplace_core.testing.contracts import Happened
from marketplace_core.testing.contracts.bus import Log, messages
from marketplace_core.values import new_id

Loop = Callable[[], Awaitable[None]]
Stir = Callable[[], Awaitable[None]]


async def _ends_at_any_moment(loop: Loop, stir: Stir, rounds: int = 40) -> None:
    """``stir`` gives the loop something to do."""
    chance = random.Random(1)
    before = asyncio.all_tasks()
    for _ in range(rounds):
        task = asyncio.ensure_future(loop())
        stirring = asyncio.ensure_future(stir())
        await asyncio.sleep(chance.random() * 0.05)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=5.0)
        assert done, task
        assert task.cancelled() or task.exception() is not None, "the loop ended as if it had been done"
        await stirring
    await asyncio.sleep(0)
    assert asyncio.all_tasks() <= before


async def test_relay(units: Units, outbox: PostgresOutbox, bus: RedisBus, jobs: ArqQueue, database: Database) -> None:
    async def work(uow: UnitOfWork) -> None:
        uow.emit(Happened(thing="a"))
        uow.enqueue("contract.job")

    async def stir() -> None:
        for _ in range(4):
            await units.run(work)

    relay = Relay("main", outbox, bus, jobs, frozenset({Happened.topic}))
    await _ends_at_any_moment(relay.run, stir)
    held = await database.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted")
    assert held == 0  # a connection that went back to the pool with its lanes would keep them from everybody


async def test_consumer(bus: RedisBus) -> None:
    log = Log(pause=0.002)
    await _ends_at_any_moment(
        lambda: bus.consume("one", ["shop"]).run(log), lambda: bus.publish(messages("a", 1, 5) + messages("b", 1, 5))
    )


async def test_clock(redis_lasting: Redis) -> None:
    clock, other = RedisClock(redis_lasting), RedisClock(redis_lasting)

    async def stir() -> None:
        await other.advance(1)

    await _ends_at_any_moment(clock.follow, stir)


async def test_jobs(jobs: ArqQueue, redis_lasting_url: str, caplog: pytest.LogCaptureFixture) -> None:
    async def job(args: str) -> None:
        await asyncio.sleep(0.01)

    worker = ArqWorker(redis_lasting_url, "jobs", {"contract.job": job})
    await _ends_at_any_moment(worker.run, lambda: jobs.put([("contract.job", new_id(), "")]))


async def test_schedules(database: Database, movable_clock: RedisClock) -> None:
    class Service:
        async def work(self) -> None:
            await asyncio.sleep(0.01)

    schedule = Schedule("contract.work", Service.work, timedelta(seconds=1))
    schedules = PostgresSchedules(database, movable_clock)

    async def stir() -> None:
        await movable_clock.advance(1)

    await _ends_at_any_moment(lambda: schedules.run([schedule], Service()), stir)
    assert await database.value("SELECT owner FROM marketplace.schedules") is None
