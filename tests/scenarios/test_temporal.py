"""Checkouts on Temporal: as they go on DBOS, and what one reads of them in Temporal itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from temporalio.client import Client, WorkflowHistory

from marketplace_core.adapters.temporal.native import EmbeddedTemporal
from marketplace_core.testing.contracts import eventually
from marketplace_core.testing.shop import ADDRESS, Shop
from tests.scenarios.test_compensation import is_as_before, unconfirmable

pytestmark = [
    pytest.mark.xdist_group("temporal"),
    pytest.mark.behaviour("orchestrator-2"),
    pytest.mark.parametrize("runner", ["wire"]),
]

RECORDED = False
#: Where the histories of this test are put, for ``tests/compat/test_temporal.py``.
HISTORIES = os.environ.get("MARKETPLACE_HISTORIES")


@pytest.fixture
def resources(temporal_server: EmbeddedTemporal) -> Mapping[str, str]:
    return {"sagas": temporal_server.url()}


async def test_a_checkout_is_done_declined_and_given_up(shop: Shop, temporal_server: EmbeddedTemporal) -> None:
    client = await Client.connect(temporal_server.address)
    pot = await shop.list_product(await shop.open_seller("Kettle"), "Tea Pot", 2495, stock=5)
    buyer = await shop.buyer()
    async with unconfirmable(shop, buyer, pot) as order:
        await shop.admin.post(f"/sagas/{order['id']}/compensate", None, 202)
        await is_as_before(shop, buyer, order)
    await _keep(client, order["id"], "given_up_after_the_pivot")

    placed = await shop.order(buyer, [], key="order-2")
    assert (await shop.ended(buyer, placed["id"]))["status"] == "confirmed"
    history = await _keep(client, placed["id"], "done")

    declined = await shop.order(buyer, [(pot, 1)], card="tok_declined", key="order-3")
    assert (await shop.ended(buyer, declined["id"]))["status"] == "failed"
    await _keep(client, declined["id"], "declined")

    described = await client.get_workflow_handle(placed["id"]).describe()
    assert described.workflow_type == "orders.checkout"
    assert await described.static_summary() == "orders.checkout, version 1"
    assert _activities(history) == [
        ("1:authorize", "payments.authorize"),
        ("2:commit", "catalog.commit"),
        ("3:remove_bought", "cart.remove_bought"),
        ("4:confirm", "orders.confirm"),
    ]
    assert _queues(history) == ["marketplace.payments", "marketplace.catalog", "marketplace.cart", "marketplace.orders"]
    text = history.to_json()
    for personal in ("bea@example.org", "Bea Buyer", ADDRESS["line1"], ADDRESS["city"]):
        assert personal not in text


async def test_a_server_that_is_silent_is_named_and_costs_no_order(shop: Shop, temporal_server: EmbeddedTemporal) -> None:
    pot = await shop.list_product(await shop.open_seller("Kettle"), "Tea Pot", 2495, stock=5)
    buyer = await shop.buyer()
    assert (await _ready(shop))["sagas"] == "ok"
    assert temporal_server.child is not None
    temporal_server.child.send(signal.SIGSTOP)
    try:
        order = await shop.order(buyer, [(pot, 1)])
        assert (await _ready(shop, 503))["sagas"] != "ok"
    finally:
        temporal_server.child.send(signal.SIGCONT)
    assert (await shop.ended(buyer, order["id"]))["status"] == "confirmed"
    assert (await _ready(shop))["sagas"] == "ok"


async def _ready(shop: Shop, status: int = 200) -> Any:
    async with aiohttp.ClientSession() as session, session.get(f"{shop.market.url}/readyz") as answer:
        assert answer.status == status
        return await answer.json()


async def _keep(client: Client, saga_id: str, name: str) -> WorkflowHistory:
    """The history of a checkout that has ended."""
    handle = client.get_workflow_handle(saga_id)

    async def over() -> bool:
        return (await handle.describe()).close_time is not None

    await eventually(over)
    history = await handle.fetch_history()
    _write(name, history)
    return history


def _write(name: str, history: WorkflowHistory) -> None:
    if HISTORIES is not None:
        Path(HISTORIES, f"checkout_{name}.json").write_text(history.to_json() + "\n")


def _queues(history: WorkflowHistory) -> list[str]:
    scheduled = [event.activity_task_scheduled_event_attributes for event in history.events]
    return [each.task_queue.name for each in scheduled if each.activity_id]


def _activities(history: WorkflowHistory) -> list[tuple[str, str]]:
    scheduled = [event.activity_task_scheduled_event_attributes for event in history.events]
    return [(each.activity_id, each.activity_type.name) for each in scheduled if each.activity_id]
