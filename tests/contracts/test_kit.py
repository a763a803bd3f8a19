"""The fixtures themselves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from redis.asyncio import Redis

from marketplace_core.adapters.postgres import Database

DatabaseFactory = Callable[[Sequence[str]], Awaitable[Database]]


async def test_a_database_is_a_clone_of_its_migrations(database_factory: DatabaseFactory) -> None:
    scripts = ["CREATE SCHEMA shop; CREATE TABLE shop.items (id int);", "INSERT INTO shop.items VALUES (7);"]
    first = await database_factory(scripts)
    templates = "SELECT count(*) FROM pg_database WHERE datname LIKE 'template!_%' ESCAPE '!'"
    before = await first.value(templates)
    second, third = await database_factory(scripts), await database_factory(scripts)
    assert await first.value(templates) == before  # migrated once
    await second.execute("DELETE FROM shop.items")
    assert await third.value("SELECT id FROM shop.items") == 7
    assert await third.value("SELECT count(*) FROM marketplace.outbox") == 0


async def test_every_test_begins_empty_1(database: Database, redis_lasting: Redis, redis_cache: Redis) -> None:
    await _begin_empty(database, redis_lasting, redis_cache)


async def test_every_test_begins_empty_2(database: Database, redis_lasting: Redis, redis_cache: Redis) -> None:
    await _begin_empty(database, redis_lasting, redis_cache)


async def _begin_empty(database: Database, lasting: Redis, cache: Redis) -> None:
    assert await database.value("SELECT to_regclass('public.left')::text") is None
    assert await lasting.dbsize() == await cache.dbsize() == 0
    await database.execute("CREATE TABLE public.left (id int)")
    await lasting.set("left", 1)
    await cache.set("left", 1)
