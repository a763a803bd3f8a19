"""The feeds that one plugin writes and another reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from redis.asyncio import Redis

from marketplace_core.adapters.redis import connect
from marketplace_core.adapters.redis.feeds import RedisFeeds
from marketplace_core.errors import Unavailable
from marketplace_core.ports import FeedEntry
from marketplace_core.testing.contracts import assert_contract_fails, fixtures_of, rules
from marketplace_core.testing.contracts.feeds import FeedsContract
from marketplace_core.testing.marketplace import Marketplace
from tests.contracts import wrong_feeds as wrong

KEEP = 2


@pytest.fixture
def feeds(redis_cache: Redis) -> RedisFeeds:
    return RedisFeeds(redis_cache, keep=KEEP)


@pytest.fixture
def wipe(redis_cache: Redis) -> Callable[[], Awaitable[Any]]:
    return redis_cache.flushdb


class TestRedisFeeds(FeedsContract):
    @pytest.fixture
    async def elsewhere(self, redis_cache_url: str) -> AsyncIterator[RedisFeeds]:
        async with connect(redis_cache_url) as client:
            yield RedisFeeds(client, keep=KEEP)


MISTAKES: list[tuple[type[RedisFeeds], str]] = [
    (wrong.Sorts, "test_a_feed_is_read_in_order_page_by_page"),
    (wrong.MissingIsEmpty, "test_what_is_not_there_is_none"),
    (wrong.WritesInPlace, "test_nothing_is_seen_before_all_of_it_is_there"),
    (wrong.ShowsWhatIsBuilt, "test_what_is_not_published_is_no_place_to_read"),
    (wrong.ReadsTheLatest, "test_a_reader_goes_on_where_it_began"),
    (wrong.KeepsForEver, "test_an_old_generation_ends"),
    (wrong.RemovesTheFirst, "test_what_is_removed_is_gone_from_every_feed"),
    (wrong.CutsThemOut, "test_what_is_removed_leaves_places_as_they_are"),
    (wrong.RemovesFromWhatIsRead, "test_what_is_removed_while_one_is_built_is_not_in_it"),
    (wrong.RemovesForEver, "test_what_begins_later_has_it_again"),
    (wrong.TheLastToPublishWins, "test_the_one_begun_last_is_read"),
    (wrong.Appends, "test_a_repeat_writes_a_feed_anew"),
    (wrong.PublishesWhatIsLeft, "test_half_of_a_generation_is_never_published"),
    (wrong.CountsFromOne, "test_a_cursor_of_what_was_lost_is_of_no_other"),
]


@pytest.mark.parametrize(("mistake", "test"), MISTAKES)
async def test_the_suite_notices(mistake: type[RedisFeeds], test: str, redis_cache: Redis, wipe: Any) -> None:
    made = mistake(redis_cache, keep=KEEP)
    given: dict[str, Any] = {"feeds": made, "elsewhere": made, "wipe": wipe}
    await assert_contract_fails(FeedsContract, test, **fixtures_of(FeedsContract, test, given))


def test_every_rule_is_broken_once() -> None:
    assert rules(FeedsContract) == {test for _, test in MISTAKES}


async def test_a_page_is_one_round_trip(feeds: RedisFeeds, redis_cache: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    generation = await feeds.begin()
    await feeds.write(generation, "all", [FeedEntry(f"p{n}", b"data") for n in range(500)])
    await feeds.publish(generation, datetime.now(UTC))
    await feeds.read("all", 20)
    await feeds.remove([f"p{n}" for n in range(450)])
    asked: list[str] = []
    execute = redis_cache.execute_command

    async def count(*arguments: Any, **options: Any) -> Any:
        asked.append(arguments[0])
        return await execute(*arguments, **options)

    monkeypatch.setattr(redis_cache, "execute_command", count)
    page = await feeds.read("all", 20)
    assert page is not None and [entry.id for entry in page.entries] == [f"p{n}" for n in range(450, 470)]
    assert asked == ["EVALSHA"]


async def test_nothing_is_left_of_what_nobody_can_read(redis_cache: Redis) -> None:
    feeds = RedisFeeds(redis_cache, keep=KEEP, build=3)
    for _ in range(3):
        generation = await feeds.begin()
        await feeds.write(generation, "all", [FeedEntry("a")])
        await feeds.remove(["a"])
        await feeds.publish(generation, datetime.now(UTC))
    given_up = await feeds.begin()
    await feeds.write(given_up, "all", [FeedEntry("a")])
    lasting = {name async for name in redis_cache.scan_iter("feeds:*") if await redis_cache.ttl(name) < 0}
    at = f"feeds:{generation}".encode()
    assert lasting == {b"feeds:last", b"feeds:now", b"feeds:kept", b"feeds:gone", at, at + b":feeds", at + b":feed:all"}


async def test_what_was_removed_is_forgotten_with_what_it_was_in(redis_cache: Redis) -> None:
    feeds = RedisFeeds(redis_cache, keep=0)
    for n in range(3):
        generation = await feeds.begin()
        await feeds.write(generation, "all", [FeedEntry("a")])
        await feeds.publish(generation, datetime.now(UTC))
        await feeds.remove([f"p{n}"])
        await asyncio.sleep(1.2)
    assert await redis_cache.zrange("feeds:gone", 0, -1) == [b"p1", b"p2"]


async def test_what_one_plugin_writes_another_reads(marketplace: Callable[..., Awaitable[Marketplace]]) -> None:
    market = await marketplace(["auth", "users"], worker=False)
    writer, reader = (market.process.context(plugin).feeds for plugin in ("auth", "users"))
    generation = await writer.begin()
    await writer.write(generation, "all", [FeedEntry("a")])
    await writer.publish(generation, market.clock.now())
    page = await reader.read("all", 10)
    assert page is not None and page.entries == (FeedEntry("a"),)


async def test_a_server_that_is_away_is_said() -> None:
    async with connect("unix:///nowhere/redis.sock") as client:
        for asked in (RedisFeeds(client).begin(), RedisFeeds(client).read("all", 10), RedisFeeds(client).remove(["a"])):
            with pytest.raises(Unavailable):
                await asked
