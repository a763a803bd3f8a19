"""Logos: sent, drawn, shown at the shop until the next one is, judged, and swept."""

from __future__ import annotations

import io
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest_asyncio
from marketplace_sellers.config import SellersConfig
from PIL import Image

from marketplace_core.capabilities.moderation import Content, ContentDecided
from marketplace_core.capabilities.sellers import Sellers
from marketplace_core.events import decode_envelope
from marketplace_core.testing.client import Client, clients
from marketplace_core.testing.marketplace import Marketplace
from plugins.sellers.tests.conftest import QUICK

Open = Callable[..., Awaitable[Marketplace]]


def drawn(colour: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGBA", (600, 600), colour).save(out, "PNG")
    return out.getvalue()


class Square:
    def __init__(self, market: Marketplace, make: Callable[[str], Client]) -> None:
        self.market, self.make = market, make
        self.service: Any = market.process.service("sellers")
        self.seller, self.shopper = make("seller"), make("buyer")
        self.shop = ""

    async def open(self) -> None:
        person = (await self.seller.register("k@example.org"))["user"]["id"]
        [made] = await self.market.port(Sellers).ensure_sellers(["Kettle"], person)
        self.shop = made.id

    async def send(self, *contents: bytes, status: int = 202) -> Any:
        answer = await self.seller.upload("/shop/logo", [("logo.png", content) for content in contents], status)
        await self.market.settle()
        return answer

    async def shown(self) -> str | None:
        found: str | None = (await self.shopper.get(f"/sellers/{self.shop}"))["logo"]
        return found

    async def told(self) -> list[Content]:
        rows = await self.market.process.resources.database("main").fetch(
            "SELECT payload FROM marketplace.outbox WHERE type = 'moderation.submitted' ORDER BY id"
        )
        return [decode_envelope(row["payload"], 1).decode().content for row in rows]  # type: ignore[attr-defined]


@pytest_asyncio.fixture
async def square(marketplace: Open) -> AsyncIterator[Square]:
    market = await marketplace(["auth", "catalog", "sellers"], settings=QUICK, http=True)
    async with clients(market.url) as make:
        square = Square(market, make)
        await square.open()
        yield square


async def test_the_last_logo_that_is_ready_is_shown(square: Square) -> None:
    [item] = (await square.send(drawn("red")))["items"]
    assert (item["name"], item["status"]) == ("logo.png", "pending")
    first = await square.shown()
    assert first is not None and first.startswith("/media/sellers/")
    [bad] = (await square.send(b"<svg/>"))["items"]
    assert (bad["id"], bad["code"]) == (None, "format")
    await square.send(drawn("blue")[:-40])
    assert await square.shown() == first
    await square.send(drawn("red"), drawn("blue"), status=413)
    await square.make("seller").upload("/shop/logo", [("a.png", drawn("red"))], 401)
    square.service._moderated, square.service._config = True, SellersConfig(show="approved")
    await square.send(drawn("blue"))
    assert await square.shown() == first
    [content] = await square.told()
    for approved in (False, True):
        decided = ContentDecided(subject=content.key, content=content, approved=approved, reason_code="adult")
        await square.market.deliver(Sellers, decided)
    last = await square.shown()
    assert last is not None and last != first
    await _swept(square, {last.removeprefix("/media/")})


async def _swept(square: Square, shown: set[str]) -> None:
    """Of all that was sent and drawn, only the sizes of the shown one are left."""
    blobs: Any = square.market.process.blobs
    before = time.time() - 3 * 86400
    for entry in await blobs.list():
        os.utime(blobs.folder / entry.key, (before, before))
    await square.service.sweep_pictures()
    left = {entry.key for entry in await blobs.list()}
    assert shown <= left and len({key.rpartition("-")[0] for key in left}) == 1 and len(left) == 3
