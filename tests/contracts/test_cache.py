"""The cache of encoded reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from marketplace_core.adapters.redis.reads import EncodedReads, RedisCache
from marketplace_core.adapters.redis.server import connect
from marketplace_core.errors import Unavailable
from marketplace_core.testing.contracts import assert_contract_fails, fixtures_of, rules
from marketplace_core.testing.contracts.cache import PLUGIN, CacheContract
from tests.contracts import wrong_cache as wrong


@pytest.fixture
def cache(redis_cache: Redis) -> RedisCache:
    return RedisCache(redis_cache, PLUGIN)


@pytest.fixture
def other_cache(redis_cache: Redis) -> RedisCache:
    return RedisCache(redis_cache, "search")


@pytest.fixture
def reads(redis_cache: Redis) -> EncodedReads:
    return EncodedReads(redis_cache, patience=5)


@pytest.fixture
async def lost_redis() -> AsyncIterator[Redis]:
    async with connect("unix:///nowhere/redis.sock") as client:
        yield client


class TestRedisCache(CacheContract):
    @pytest.fixture
    def lost_cache(self, lost_redis: Redis) -> RedisCache:
        return RedisCache(lost_redis, PLUGIN)


MISTAKES: list[tuple[type, str]] = [
    (wrong.ForgetsTheBody, "test_what_is_kept_is_found"),
    (wrong.DropsTheFirst, "test_a_drop_forgets_its_tags_and_no_other"),
    (wrong.DropsEverything, "test_a_drop_forgets_its_tags_and_no_other"),
    (wrong.DropsOneEntryOfATag, "test_a_drop_forgets_every_read_under_its_tag"),
    (wrong.DropsEverything, "test_a_drop_of_nothing_forgets_nothing"),
    (wrong.DropsNothingAtOnce, "test_drop_all_forgets_the_plugins_reads"),
    (wrong.DropsOfAll, "test_a_plugin_drops_its_own_only"),
    (wrong.DropsWhatItFinds, "test_a_slow_reader_puts_nothing_old_back"),
    (wrong.TakesTurns, "test_a_ticket_never_gets_good_again"),
    (wrong.DropsQuietly, "test_what_could_not_be_dropped_is_said"),
]


@pytest.mark.parametrize(("mistake", "test"), MISTAKES)
async def test_the_suite_notices(mistake: type, test: str, redis_cache: Redis, lost_redis: Redis, reads: EncodedReads) -> None:
    caches = RedisCache if issubclass(mistake, EncodedReads) else mistake
    given: dict[str, Any] = {
        "cache": caches(redis_cache, PLUGIN),
        "other_cache": caches(redis_cache, "search"),
        "lost_cache": caches(lost_redis, PLUGIN),
        "reads": mistake(redis_cache, patience=5) if issubclass(mistake, EncodedReads) else reads,
        "everything": False,
    }
    await assert_contract_fails(CacheContract, test, **fixtures_of(CacheContract, test, given))


def test_every_rule_is_broken_once() -> None:
    assert rules(CacheContract) == {test for _, test in MISTAKES}


async def test_a_silent_redis_does_not_hold_a_drop_up() -> None:
    """It takes connections and what is sent, and never answers."""

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, connect(f"redis://127.0.0.1:{port}/0") as client:
        async with asyncio.timeout(10):
            with pytest.raises(Unavailable):
                await RedisCache(client, PLUGIN, patience=0.1).drop(["lists"])
