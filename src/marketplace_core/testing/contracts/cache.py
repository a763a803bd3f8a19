"""What every :class:`~marketplace_core.ports.Cache` must do, together with the reading side beside it."""

from __future__ import annotations

import pytest

from marketplace_core.adapters.redis.reads import EncodedReads, Ticket
from marketplace_core.errors import Unavailable
from marketplace_core.ports import Cache

__all__ = ["PLUGIN", "CacheContract"]

PLUGIN = "catalog"
KEY, TAG = "/products/1", "product:1"


class CacheContract:
    """Fixtures: ``cache``, that of the plugin ``catalog``, ``other_cache``, that of another one, ``reads``, what answers are
    looked up by and kept with, and ``lost_cache``, one whose server is away. All but the last are on one server.
    """

    async def test_what_is_kept_is_found(self, reads: EncodedReads) -> None:
        ticket = await _ticket(reads)
        await reads.keep(ticket, '"1"', b"one")
        found = await reads.look(KEY, PLUGIN, TAG)
        assert (found.etag, found.body, found.ticket) == ('"1"', b"one", None)
        assert (await reads.look("/products/2", PLUGIN, "product:2")).etag is None

    async def test_a_drop_forgets_its_tags_and_no_other(self, cache: Cache, reads: EncodedReads) -> None:
        paths = [f"/products/{n}" for n in range(4)]
        for number, path in enumerate(paths):
            await _keep(reads, path, f"product:{number}")
        await cache.drop(["product:1", "product:3", "product:1", "product:9"])
        found = [await reads.look(path, PLUGIN, f"product:{number}") for number, path in enumerate(paths)]
        assert [each.etag is not None for each in found] == [True, False, True, False]

    async def test_a_drop_forgets_every_read_under_its_tag(self, cache: Cache, reads: EncodedReads) -> None:
        for path in (KEY, f"{KEY}?lang=de"):
            await _keep(reads, path)
        await cache.drop([TAG])
        assert [(await reads.look(path, PLUGIN, TAG)).etag for path in (KEY, f"{KEY}?lang=de")] == [None, None]

    async def test_a_drop_of_nothing_forgets_nothing(self, cache: Cache, reads: EncodedReads) -> None:
        await _keep(reads)
        await cache.drop([])
        assert (await reads.look(KEY, PLUGIN, TAG)).etag is not None

    async def test_drop_all_forgets_the_plugins_reads(self, cache: Cache, reads: EncodedReads) -> None:
        for number in range(3):
            await _keep(reads, f"/products/{number}", f"product:{number}")
        await cache.drop_all()
        for number in range(3):
            assert (await reads.look(f"/products/{number}", PLUGIN, f"product:{number}")).etag is None

    async def test_a_plugin_drops_its_own_only(self, other_cache: Cache, reads: EncodedReads) -> None:
        await _keep(reads)
        await other_cache.drop([TAG])
        await other_cache.drop_all()
        assert (await reads.look(KEY, PLUGIN, TAG)).etag is not None

    @pytest.mark.parametrize("everything", [False, True])
    async def test_a_slow_reader_puts_nothing_old_back(self, cache: Cache, reads: EncodedReads, everything: bool) -> None:
        """It looked before the drop and has read what was there then; also where nothing had ever been kept or dropped."""
        for _ in range(2):
            ticket = await _ticket(reads)
            await (cache.drop_all() if everything else cache.drop([TAG]))
            await reads.keep(ticket, '"old"', b"old")
            assert (await reads.look(KEY, PLUGIN, TAG)).etag is None
        await _keep(reads)
        assert (await reads.look(KEY, PLUGIN, TAG)).etag is not None

    async def test_a_ticket_never_gets_good_again(self, cache: Cache, reads: EncodedReads) -> None:
        tickets = []
        for _ in range(4):
            tickets.append(await _ticket(reads))
            await cache.drop([TAG])
            await cache.drop_all()
            for ticket in tickets:
                await reads.keep(ticket, '"old"', b"old")
                assert (await reads.look(KEY, PLUGIN, TAG)).etag is None

    async def test_what_could_not_be_dropped_is_said(self, lost_cache: Cache) -> None:
        with pytest.raises(Unavailable):
            await lost_cache.drop([TAG])
        with pytest.raises(Unavailable):
            await lost_cache.drop_all()


async def _ticket(reads: EncodedReads) -> Ticket:
    found = await reads.look(KEY, PLUGIN, TAG)
    assert found.ticket is not None
    return found.ticket


async def _keep(reads: EncodedReads, path: str = KEY, tag: str = TAG) -> None:
    found = await reads.look(path, PLUGIN, tag)
    assert found.ticket is not None
    await reads.keep(found.ticket, '"1"', b"one")
