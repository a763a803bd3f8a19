"""What every :class:`~marketplace_core.ports.FeedStore` must do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from marketplace_core.errors import BadCursor
from marketplace_core.ports import FeedEntry, FeedLost, FeedPage, FeedStore
from marketplace_core.testing.contracts import eventually

__all__ = ["FeedsContract"]

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
Wipe = Callable[[], Awaitable[None]]


class FeedsContract:
    """Fixtures: ``feeds``, where a generation can be read for two seconds after the next one was published, ``elsewhere``, the
    same feeds as another process has them, and ``wipe``, which makes the store forget everything.
    """

    async def test_a_feed_is_read_in_order_page_by_page(self, feeds: FeedStore, elsewhere: FeedStore) -> None:
        entries = [FeedEntry(f"p{n}", f"ü{n}\0{n}".encode()) for n in range(2_500)]
        await _build(feeds, {"all": [], "books": entries})
        found: list[FeedEntry] = []
        after = None
        while True:
            page = await _page(elsewhere, "books", 400, after)
            assert page.built_at == AT
            found += page.entries
            after = page.next
            if after is None:
                break
            assert len(page.entries) == 400
        assert found == entries
        assert (await _page(elsewhere, "books", 2_500)).next is None
        assert await _page(elsewhere, "all") == FeedPage((), AT)

    async def test_what_is_not_there_is_none(self, feeds: FeedStore) -> None:
        assert await feeds.read("all", 10) is None
        await feeds.remove(["p1"])
        await _build(feeds, {"all": _entries("p1")})
        assert await feeds.read("books", 10) is None

    async def test_nothing_is_seen_before_all_of_it_is_there(self, feeds: FeedStore, elsewhere: FeedStore) -> None:
        await _build(feeds, {"all": _entries("old"), "books": _entries("old")})
        generation = await feeds.begin()
        await feeds.write(generation, "all", _entries("new"))
        assert await _ids(elsewhere, "all") == ["old"]
        await feeds.write(generation, "toys", _entries("new"))
        assert await elsewhere.read("toys", 10) is None
        assert await feeds.publish(generation, AT + timedelta(hours=1))
        assert (await _page(elsewhere, "all")).built_at == AT + timedelta(hours=1)
        assert [await _ids(elsewhere, feed) for feed in ("all", "toys")] == [["new"], ["new"]]
        assert await elsewhere.read("books", 10) is None

    async def test_what_is_not_published_is_no_place_to_read(self, feeds: FeedStore) -> None:
        await _build(feeds, {"all": _entries("old")})
        generation = await feeds.begin()
        await feeds.write(generation, "all", _entries("new"))
        with pytest.raises(BadCursor):
            await feeds.read("all", 10, (generation, 0))

    async def test_a_reader_goes_on_where_it_began(self, feeds: FeedStore, elsewhere: FeedStore) -> None:
        await _build(feeds, {"all": _entries(*"abcdef")})
        first = await _page(elsewhere, "all", 2)
        await _build(feeds, {"all": _entries(*"vwxyz")})
        second = await _page(elsewhere, "all", 2, first.next)
        await _build(feeds, {"all": _entries("1")})
        third = await _page(elsewhere, "all", 2, second.next)
        assert [[each.id for each in page.entries] for page in (first, second, third)] == [["a", "b"], ["c", "d"], ["e", "f"]]
        assert third.next is None
        assert await _ids(elsewhere, "all") == ["1"]

    async def test_an_old_generation_ends(self, feeds: FeedStore) -> None:
        await _build(feeds, {"all": _entries("a", "b")})
        first = await _page(feeds, "all", 1)
        await _build(feeds, {"all": _entries("c", "d")})
        assert (await _page(feeds, "all", 1, first.next)).entries == tuple(_entries("b"))

        async def ended() -> bool:
            try:
                await feeds.read("all", 1, first.next)
            except BadCursor:
                return True
            return False

        await eventually(ended)
        await asyncio.sleep(2.5)  # the present one does not
        assert await _ids(feeds, "all") == ["c", "d"]

    async def test_what_is_removed_is_gone_from_every_feed(self, feeds: FeedStore, elsewhere: FeedStore) -> None:
        await _build(feeds, {"all": _entries(*"abcdef"), "books": _entries(*"cb")})
        first = await _page(elsewhere, "all", 2)
        await feeds.remove(["c", "f", "nobody"])
        second = await _page(elsewhere, "all", 2, first.next)
        assert [each.id for each in second.entries] == ["d", "e"]
        assert second.next is None  # there would be nothing on it
        assert await _ids(elsewhere, "all", 4) == ["a", "b", "d", "e"]
        assert await _ids(elsewhere, "books") == ["b"]

    async def test_what_is_removed_leaves_places_as_they_are(self, feeds: FeedStore) -> None:
        await _build(feeds, {"all": _entries(*"abcdef")})
        first = await _page(feeds, "all", 2)
        await feeds.remove(["a", "b"])
        assert [each.id for each in (await _page(feeds, "all", 2, first.next)).entries] == ["c", "d"]

    async def test_what_is_removed_while_one_is_built_is_not_in_it(self, feeds: FeedStore, elsewhere: FeedStore) -> None:
        await _build(feeds, {"all": _entries("a", "b")})
        generation = await feeds.begin()
        await elsewhere.remove(["b"])
        await feeds.write(generation, "all", _entries("b", "c"))
        await feeds.publish(generation, AT)
        assert await _ids(feeds, "all") == ["c"]

    async def test_what_begins_later_has_it_again(self, feeds: FeedStore) -> None:
        await _build(feeds, {"all": _entries("a", "b", "c")})
        first = await _page(feeds, "all", 1)
        await feeds.remove(["b"])
        await _build(feeds, {"all": _entries("b", "c")})
        assert await _ids(feeds, "all") == ["b", "c"]
        assert [each.id for each in (await _page(feeds, "all", 1, first.next)).entries] == [
            "c"
        ]  # it stays gone from the old one

    async def test_the_one_begun_last_is_read(self, feeds: FeedStore, elsewhere: FeedStore) -> None:
        slow, quick = await feeds.begin(), await elsewhere.begin()
        assert slow < quick
        await feeds.write(slow, "all", _entries("slow"))
        await elsewhere.write(quick, "all", _entries("quick"))
        assert await elsewhere.publish(quick, AT)
        assert not await feeds.publish(slow, AT)
        assert not await elsewhere.publish(quick, AT)
        assert await _ids(feeds, "all") == ["quick"]

    async def test_a_repeat_writes_a_feed_anew(self, feeds: FeedStore) -> None:
        generation = await feeds.begin()
        for _ in range(2):
            await feeds.write(generation, "all", _entries("a", "b"))
        await feeds.write(generation, "books", _entries("a", "b"))
        await feeds.write(generation, "books", _entries("c"))
        await feeds.publish(generation, AT)
        assert [await _ids(feeds, feed) for feed in ("all", "books")] == [["a", "b"], ["c"]]

    async def test_half_of_a_generation_is_never_published(self, feeds: FeedStore, wipe: Wipe) -> None:
        generation = await feeds.begin()
        await feeds.write(generation, "all", _entries("a"))
        await wipe()
        with pytest.raises(FeedLost):
            await feeds.write(generation, "books", _entries("a"))
        with pytest.raises(FeedLost):
            await feeds.publish(generation, AT)
        assert await feeds.read("books", 10) is None

    async def test_a_cursor_of_what_was_lost_is_of_no_other(self, feeds: FeedStore, wipe: Wipe) -> None:
        await _build(feeds, {"all": _entries("a", "b")})
        first = await _page(feeds, "all", 1)
        await wipe()
        await _build(feeds, {"all": _entries("c", "d")})
        with pytest.raises(BadCursor):
            await feeds.read("all", 1, first.next)


def _entries(*ids: str) -> list[FeedEntry]:
    return [FeedEntry(id_, id_.encode()) for id_ in ids]


async def _build(feeds: FeedStore, lists: Mapping[str, Sequence[FeedEntry]]) -> None:
    generation = await feeds.begin()
    for feed, entries in lists.items():
        await feeds.write(generation, feed, entries)
    assert await feeds.publish(generation, AT)


async def _page(feeds: FeedStore, feed: str, size: int = 10, after: tuple[int, int] | None = None) -> FeedPage:
    page = await feeds.read(feed, size, after)
    assert page is not None
    return page


async def _ids(feeds: FeedStore, feed: str, size: int = 10) -> list[str]:
    return [entry.id for entry in (await _page(feeds, feed, size)).entries]
