"""A marketplace whose events go over Kafka: what is sold arrives, others can read it, and a broker that is away is named."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest
from aiokafka import AIOKafkaConsumer

from marketplace_core.adapters.kafka.native import EmbeddedKafka
from marketplace_core.testing.contracts import eventually
from marketplace_core.testing.shop import Shop

pytestmark = [
    pytest.mark.xdist_group("kafka"),
    pytest.mark.behaviour("events-1"),
    pytest.mark.parametrize("runner", ["wire"]),
]

RECORDED = False


@pytest.fixture
def resources(kafka_server: EmbeddedKafka) -> Mapping[str, str]:
    return {"bus": kafka_server.url}


async def test_events_go_over_kafka_and_wait_for_a_silent_broker(shop: Shop, kafka_server: EmbeddedKafka) -> None:
    pot = await shop.list_product(await shop.open_seller("Kettle"), "Tea Pot", 2495, stock=5)
    buyer = await shop.buyer()
    assert (await _ready(shop))["bus"] == "ok"
    assert kafka_server.child is not None
    kafka_server.child.send(signal.SIGSTOP)
    try:
        order = await shop.order(buyer, [(pot, 1)])
        assert (await _ready(shop, 503))["bus"] != "ok"
    finally:
        kafka_server.child.send(signal.SIGCONT)
    assert (await shop.ended(buyer, order["id"]))["status"] == "confirmed"
    assert (await _ready(shop))["bus"] == "ok"
    await _is_told(kafka_server, order["id"])


async def _is_told(kafka_server: EmbeddedKafka, order_id: str) -> None:
    """Anybody who reads the topic learns that the order was placed and confirmed, in that order."""
    told: list[str] = []
    reader = AIOKafkaConsumer(
        "test.orders",
        bootstrap_servers=kafka_server.url.removeprefix("kafka://"),
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    async with reader:

        async def confirmed() -> bool:
            for records in (await reader.getmany(timeout_ms=200)).values():
                for record in records:
                    if record.key == order_id.encode():
                        assert json.loads(record.value)
                        told.append(dict(record.headers)["type"].decode())
            return "orders.confirmed" in told

        await eventually(confirmed)
    assert told.index("orders.placed") < told.index("orders.confirmed")


async def _ready(shop: Shop, status: int = 200) -> Any:
    async with aiohttp.ClientSession() as session, session.get(f"{shop.market.url}/readyz") as answer:
        assert answer.status == status
        return await answer.json()
