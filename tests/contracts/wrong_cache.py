"""Caches of encoded reads with one mistake each."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from marketplace_core.adapters.redis.reads import EncodedReads, RedisCache, Ticket
from marketplace_core.errors import Unavailable


class DropsTheFirst(RedisCache):
    async def drop(self, tags: Sequence[str]) -> None:
        await super().drop(tags[:1])


class DropsEverything(RedisCache):
    """Whatever the tags are, if there are any."""

    async def drop(self, tags: Sequence[str]) -> None:
        await self.drop_all()


class DropsWhatItFinds(RedisCache):
    """The entry goes and its token stays, so a slow reader puts the old one back."""

    async def drop(self, tags: Sequence[str]) -> None:
        if names := [name async for name in self._redis.scan_iter("read:*")]:
            await self._redis.delete(*names)

    async def drop_all(self) -> None:
        await self.drop(())


class DropsOneEntryOfATag(RedisCache):
    async def drop(self, tags: Sequence[str]) -> None:
        for tag in tags:
            await self._redis.delete(f"read:/products/{tag.removeprefix('product:')}")


class DropsNothingAtOnce(RedisCache):
    async def drop_all(self) -> None:
        return None


class DropsOfAll(RedisCache):
    """Of every plugin."""

    async def drop_all(self) -> None:
        await self._redis.flushdb()


class DropsQuietly(RedisCache):
    async def drop(self, tags: Sequence[str]) -> None:
        with contextlib.suppress(Unavailable):
            await super().drop(tags)


class TakesTurns(RedisCache):
    """After each two drops there is the same token again."""

    async def _renew(self, names: Sequence[str]) -> None:
        for name in names:
            token = b"odd" if await self._redis.get(name) != b"odd" else b"even"
            await self._redis.set(name, token)


class ForgetsTheBody(EncodedReads):
    async def keep(self, ticket: Ticket, etag: str, body: bytes) -> None:
        await super().keep(ticket, etag, b"")
