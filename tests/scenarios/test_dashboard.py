"""Every query of every dashboard finds something in a real Prometheus after load on a marketplace in processes of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

import pytest

from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres.outbox import PostgresOutbox
from marketplace_core.cli._render import grafana
from marketplace_core.cli._render.facts import Facts, gather
from marketplace_core.ports import Message
from marketplace_core.testing.client import Client
from marketplace_core.testing.shop import Shop
from marketplace_core.values import new_id

sys.path.insert(0, str(Path(__file__).parent))  # where prometheus is

from prometheus import PROGRAM, Prometheus, prometheus

RECORDED = False
ALONE = True  # its services are killed, and what it sends them stays for ever

needs_prometheus = pytest.mark.skipif(PROGRAM is None and not os.environ.get("CI"), reason="apt-get install prometheus")


def queries(facts: Facts) -> Iterator[tuple[str, str, str]]:
    """Dashboard, title of the panel, and query as Grafana sends it."""
    for path, text in grafana.render(facts).items():
        if path.startswith("dashboards/"):
            for panel in json.loads(text)["panels"]:
                for target in panel.get("targets", ()):
                    yield PurePath(path).stem, panel["title"], target["expr"].replace("$__rate_interval", "15s")


@needs_prometheus
@pytest.mark.timeout(600)
@pytest.mark.costly("a deployment of its own, of which services are killed, and a Prometheus")
@pytest.mark.parametrize("runner", ["processes"])
async def test_every_query_finds_something_after_load(shop: Shop, tmp_path: Path) -> None:
    apart = shop.market.apart
    assert apart is not None and PROGRAM is not None, ".ci/run installs Prometheus"
    began = time.time()
    async with prometheus(tmp_path / "prometheus", lambda: apart.targets) as seen:
        seller = await shop.open_seller("Kettle")
        pot = await shop.list_product(seller, "Tea Pot", 2495, stock=100)
        await shop.market.settle()
        await seen.until("count(marketplace_build_info) >= 10")
        buyer = await shop.buyer()
        await a_backlog(shop, seller, pot, seen)
        for number in range(3):
            placed = await shop.order(buyer, [(pot, 1)], key=f"order-{number}")
            await shop.ended(buyer, placed["id"])
            await reads(buyer, pot, placed)
        declined = await shop.order(buyer, [(pot, 1)], card="tok_declined", key="declined")
        await shop.ended(buyer, declined["id"])
        await shop.order(buyer, [(pot, 1)], card="tok_3ds", key="waits")
        await events_that_cannot_be_applied(shop)
        await seen.until('marketplace_orchestrator_sagas{status="waits_for_signal"}')
        await seen.until("max_over_time(marketplace_bus_lag[10m])")
        await a_service_is_away(shop, buyer)
        await shop.admin.post("/clock", {"advance": 3600})
        await seen.until("sum(rate(marketplace_schedule_duration_seconds_count[15s]))")
        await asyncio.sleep(3)

        nothing = []
        for dashboard, title, query in queries(gather(shop.market.file)):
            found = await seen.values(query, began, time.time())
            # Of a service alone, that nothing went wrong is an answer, too.
            if not (any(found) if dashboard == "overview" else found):
                nothing.append(f"{dashboard}: {title}: {query}")
        assert not nothing, "\n".join(nothing)


async def reads(buyer: Client, product: Any, order: Any) -> None:
    """Of every service, while it is watched."""
    for _ in range(10):
        await buyer.get(f"/products/{product['id']}")
    for path in ("/auth/sessions", "/me", f"/orders/{order['id']}/payment", f"/products/{product['id']}/reviews"):
        await buyer.get(path)
    await asyncio.sleep(1)


async def a_backlog(shop: Shop, seller: Client, product: Any, seen: Prometheus) -> None:
    """Somebody else has all lanes of the catalogue's outbox, for as long as it takes to be seen."""
    apart = shop.market.apart
    assert apart is not None
    await apart.stop_workers()
    database = Database(shop.market.urls["catalog_db"], size=2, name="test")
    try:
        async with PostgresOutbox(database).lanes():
            await seller.patch(f"/products/{product['id']}", {"title": "Tea Pot, blue"})
            await apart.start_workers()
            await seen.until("marketplace_outbox_backlog")
    finally:
        await database.close()


async def events_that_cannot_be_applied(shop: Shop) -> None:
    """On one partition, so that each stands behind those before it, and as many as are seen to wait."""
    keys = [key for number in range(6000) if zlib.crc32((key := f"bad-{number}").encode()) % 4 == 0]
    envelope = {
        "id": "", "type": "payments.changed", "version": 1, "key": "", "occurred_at": "2026-01-01T00:00:00Z", "data": 7,
    }  # fmt: skip
    await shop.market.process.bus.publish(
        [Message("payments", "payments.changed", key, 1, json.dumps({**envelope, "id": new_id(), "key": key})) for key in keys]
    )


async def a_service_is_away(shop: Shop, buyer: Client) -> None:
    """Its callers ask again, until they leave it alone for a moment; the supervisor starts it again."""
    apart = shop.market.apart
    assert apart is not None

    async def ask() -> None:
        answer = await buyer.send("GET", f"/products/{new_id()}")
        assert answer.status in {404, 503}

    for _ in range(2):
        os.kill(apart.pids["catalog"], signal.SIGKILL)
        await asyncio.gather(*(ask() for _ in range(12)))
        await asyncio.sleep(1)
