"""More callers than connections: they wait for one in turn, and not for ever."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from marketplace_core.adapters.redis import server as redis
from marketplace_core.adapters.redis.bus import RedisBus
from marketplace_core.adapters.redis.server import connect, redis_errors
from marketplace_core.errors import Unavailable
from marketplace_core.ports import Delivery, Message
from marketplace_core.testing.contracts import eventually
from marketplace_core.values import new_id


async def test_a_crowd_is_answered(redis_lasting_url: str) -> None:
    async with connect(redis_lasting_url, size=2) as client:
        key = "crowd"
        await client.delete(key)
        counted = await asyncio.gather(*(client.incr(key) for _ in range(300)))
        assert sorted(counted) == list(range(1, 301))
        assert await client.client_id() > 0
        assert len(client.connection_pool._available_connections) == 2


async def test_pipelines_and_scripts_take_their_turn(redis_lasting_url: str) -> None:
    async with connect(redis_lasting_url, size=2) as client:

        async def both(number: int) -> list[object]:
            async with client.pipeline() as pipe:
                pipe.set(f"crowd:{number}", number).get(f"crowd:{number}")
                return await pipe.execute()

        assert await asyncio.gather(*(both(number) for number in range(50))) == [[True, b"%d" % n] for n in range(50)]


async def test_consumers_take_no_place(redis_lasting_url: str) -> None:
    names = [new_id() for _ in range(4)]
    heard: set[str] = set()
    async with connect(redis_lasting_url, size=1) as client:
        bus = RedisBus(client, prefix=new_id())

        async def hear(name: str, _: Delivery) -> None:
            heard.add(name)

        consumers = [asyncio.create_task(bus.consume(name, ["crowd"]).run(partial(hear, name))) for name in names]
        await bus.publish([Message("crowd", "crowd.begun", "1", 1, "{}")])
        await eventually(lambda: heard == set(names))
        for task in consumers:
            task.cancel()
        await asyncio.gather(*consumers, return_exceptions=True)


async def test_nobody_waits_for_ever(redis_lasting_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis, "ANSWER_SECONDS", 0.3)
    async with connect(redis_lasting_url, size=1) as client:
        async with client.client() as holder:
            await holder.ping()
            with pytest.raises(Unavailable), redis_errors():
                await client.ping()
        assert await client.ping()


async def test_who_gives_up_waiting_takes_no_place(redis_lasting_url: str) -> None:
    async with connect(redis_lasting_url, size=1) as client:
        async with client.client() as holder:
            await holder.ping()
            waiting = [asyncio.create_task(client.ping()) for _ in range(5)]
            await asyncio.sleep(0.05)
            for task in waiting[:4]:
                task.cancel()
            await asyncio.wait(waiting[:4])
        assert await waiting[4]
        assert await client.ping()


async def test_a_server_that_is_away_leaves_every_place_free() -> None:
    async with connect("redis://127.0.0.1:1/0", size=2) as client:
        for _ in range(3):
            failed = await asyncio.gather(*(client.ping() for _ in range(4)), return_exceptions=True)
            assert all(isinstance(one, ConnectionError | RedisConnectionError) for one in failed)
        assert not client.connection_pool._in_use_connections
