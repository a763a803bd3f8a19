"""What shoppers find and are shown while who writes the index, who builds the feed, and Redis are killed in turn."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from marketplace_core.adapters.embedded import EmbeddedPostgres
from marketplace_core.adapters.postgres import Database
from marketplace_core.deployment import DEFAULT_FILE
from marketplace_core.testing.client import Client, Unexpected, clients
from marketplace_core.testing.deployments import Running, elsewhere, up
from marketplace_core.values import new_id

#: For no longer may there be no feed, and by then is found what was published meanwhile.
AWAY_SECONDS = 10.0
PROBE_SECONDS = 0.05
VIEWS = 5
WORD = "unputdownable"


class Watching:
    """Asks for the feed and for what was found before, all the time."""

    def __init__(self, buyer: Client) -> None:
        self._buyer = buyer
        self._task = asyncio.ensure_future(self._watch())
        self.known: set[str] = set()
        self.lost: set[str] = set()
        self.away: dict[str, float] = {}

    async def _watch(self) -> None:
        last = dict.fromkeys(("feed", "search"), time.monotonic())
        while True:
            for what, path in (("feed", "/feed?limit=100"), ("search", f"/search?q={WORD}&limit=100")):
                known = set(self.known)
                if (ids := await self._ids(path)) is None or (what == "feed" and not ids):
                    continue
                now = time.monotonic()
                self.away[what] = max(self.away.get(what, 0.0), now - last[what])
                last[what] = now
                if what == "search":
                    self.lost |= known - ids
            await asyncio.sleep(PROBE_SECONDS)

    async def _ids(self, path: str) -> set[str] | None:
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            answer = await self._buyer.send("GET", path)
            if answer.status == 200:
                return {item["id"] for item in answer.body["items"]}
        return None

    async def end(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


@contextlib.asynccontextmanager
async def watching(buyer: Client) -> AsyncIterator[Watching]:
    made = Watching(buyer)
    try:
        yield made
    finally:
        await made.end()


async def _insist(act: Callable[[], Any]) -> Any:
    """Again while a server is away: what is asked for has a key, or is the same when it is asked twice."""
    until = time.monotonic() + AWAY_SECONDS
    while True:
        try:
            return await act()
        except (Unexpected, aiohttp.ClientError, OSError) as error:
            if time.monotonic() > until or (isinstance(error, Unexpected) and ": 503 " not in str(error)):
                raise
            await asyncio.sleep(PROBE_SECONDS)


async def _publish(seller: Client, number: int) -> str:
    variant = {"sku": f"{WORD}-{number}", "price": {"amount": 1000, "currency": "EUR"}, "stock": 5}
    draft = {"title": f"{WORD.title()} book {number}", "variants": [variant]}
    keys = new_id(), new_id()
    product = await _insist(lambda: seller.post("/products", draft, 201, Idempotency_Key=keys[0]))
    await _insist(lambda: seller.post(f"/products/{product['id']}/publish", None, 202, Idempotency_Key=keys[1]))
    return str(product["id"])


async def _shown(buyer: Client, path: str, ids: set[str], without: str = "") -> None:
    """Until all of these are, and that one is not, however often it cannot be read meanwhile."""
    until, found = time.monotonic() + AWAY_SECONDS, None
    while time.monotonic() < until:
        with contextlib.suppress(aiohttp.ClientError, OSError):
            answer = await buyer.send("GET", path)
            if answer.status == 200:
                found = {item["id"] for item in answer.body["items"]}
                if ids <= found and without not in found:
                    return
        await asyncio.sleep(PROBE_SECONDS)
    raise AssertionError(f"{path}: {found} and not {ids} without {without}")


def _rebuilding(running: Running, data: Path) -> subprocess.Popen[bytes]:
    """A rebuilding of the index, which has begun."""
    before = set((data / "indexes" / "index").glob("gen-*"))
    argv = [sys.executable, "-m", "marketplace_core.cli", "search", "rebuild", "--data", os.fspath(data)]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 30
    while set((data / "indexes" / "index").glob("gen-*")) <= before and time.monotonic() < until:
        time.sleep(0.002)
    return process


@pytest.mark.costly("a whole deployment, parts of which are killed in turn")
async def test_killing_who_writes_loses_no_document_no_feed_and_no_signal(short_folder: Path) -> None:
    data = short_folder / "data"
    with up(elsewhere(DEFAULT_FILE, short_folder), data) as running:
        async with clients(running.said["audiences"]) as make:
            seller, buyer = make("seller"), make("buyer")
            await seller.log_in(**running.said["accounts"]["seller"])
            ids = [await _publish(seller, 0), await _publish(seller, 1)]
            found, feed = f"/search?q={WORD}&limit=100", "/feed?limit=100"
            for path in (found, feed):
                await _shown(buyer, path, set(ids))
            viewed = 0
            async with watching(make("buyer")) as watch:
                for number, victim in enumerate(("worker", "redis-cache", "redis-lasting"), 2):
                    watch.known = set(ids)
                    view = {"items": [{"type": "view", "product_id": ids[0]}] * VIEWS}
                    await _insist(lambda view=view: buyer.post("/events", view, 202))
                    viewed += VIEWS
                    os.kill(_pid(running, victim), signal.SIGKILL)
                    ids.append(await _publish(seller, number))
                    sold_out = {"items": [{"sku": f"{WORD}-{number - 2}", "quantity": 0}]}
                    await _insist(lambda sold_out=sold_out: seller.post("/stock", sold_out))
                    await _shown(buyer, found, set(ids))
                    await _shown(buyer, feed, set(ids[number - 1 :]), without=ids[number - 2])
                watch.known = set(ids)
                rebuilding = await asyncio.to_thread(_rebuilding, running, data)
                ids.append(await _publish(seller, 9))
                rebuilding.kill()
                assert await asyncio.to_thread(rebuilding.wait) == -signal.SIGKILL
                await _shown(buyer, found, set(ids))
                watch.known = set(ids)
                await asyncio.to_thread(running.run, "search", "rebuild")
                await _shown(buyer, found, set(ids))
            assert watch.lost == set()
            assert max(watch.away.values()) < AWAY_SECONDS, watch.away
            assert await _views(data, ids[0]) == viewed


def _pid(running: Running, name: str) -> int:
    names = running.names()
    return next(pid for each, pid in names.items() if name in each)


async def _views(data: Path, product_id: str) -> int:
    """As many as were acknowledged, once they are written."""
    database = Database(EmbeddedPostgres(data).dsn("main"), size=2)
    try:
        counted, until = -1, time.monotonic() + AWAY_SECONDS
        while time.monotonic() < until:
            now = await database.value("SELECT count(*)::int FROM recommendations.signals WHERE product_id = $1", product_id)
            if now == counted:
                return counted
            counted = int(now or 0)
            await asyncio.sleep(1.2)  # longer than signals wait for more of them
        return counted
    finally:
        await database.close()
