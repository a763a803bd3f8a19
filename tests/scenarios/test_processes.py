"""The runner ``processes`` is what it says: real processes that call each other over real HTTP."""

from __future__ import annotations

import re

import aiohttp
import pytest

from marketplace_core.testing.shop import Shop

RECORDED = False
pytestmark = pytest.mark.xdist_group("processes")

#: How many calls of other processes one has answered.
_ANSWERED = re.compile(r'^marketplace_rpc_server_duration_seconds_count\{.*outcome="ok".*\} ([1-9][0-9.]*)$', re.MULTILINE)


@pytest.fixture
def runner() -> str:
    return "processes"


async def test_a_purchase_is_answered_by_several_processes(shop: Shop) -> None:
    pot = await shop.list_product(await shop.open_seller("Kettle"), "Tea Pot", 2495)
    buyer = await shop.buyer()
    placed = await shop.order(buyer, [(pot, 1)])
    assert (await shop.ended(buyer, placed["id"]))["status"] == "confirmed"

    assert shop.market.apart is not None
    running = shop.market.apart.pids
    services = shop.market.process.deployment.services
    there: set[int] = set()
    answered: set[int] = set()
    for service in services.values():
        found: set[int] = set()
        for _ in range(60):  # each by a connection of its own: the kernel parts them among the replicas
            pid, metrics = await _get(f"http://{service.internal}")
            found.add(pid)
            if _ANSWERED.search(metrics):
                answered.add(pid)
            if len(found) == service.replicas:
                break
        assert len(found) == service.replicas and found & answered
        there |= found
    assert answered <= there <= set(running.values())
    assert len(answered) >= len(services) and len(there) == sum(service.replicas for service in services.values())
    assert len({url.split("/")[2] for url in shop.market.audiences.values()}) == 4


async def _get(url: str) -> tuple[int, str]:
    """The process and its metrics, by one connection."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        async with session.get(f"{url}/healthz") as answer:
            pid: int = (await answer.json())["pid"]
        async with session.get(f"{url}/metrics") as answer:
            return pid, await answer.text()
