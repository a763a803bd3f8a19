"""logistics over HTTP, on each audience."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from marketplace_core.capabilities.auth import Auth, Registration
from marketplace_core.testing.client import Client, clients

PASSWORD = "a fine password"
SHIPMENT = {
    *("id", "package_id", "carrier", "service", "status", "tracking_number", "tracking_token", "items"),
    *("estimated_delivery", "events", "from", "to", "weight_g"),
}


class Desk:
    """People at the gateways of one marketplace."""

    def __init__(self, bench: Any, make: Any) -> None:
        self.bench = bench
        self._make = make

    def client(self, audience: str) -> Client:
        client: Client = self._make(audience)
        return client

    async def admin(self) -> Client:
        await self.bench.market.port(Auth).ensure_account(Registration("root@example.org", PASSWORD, "Root"), ("admin",))
        client = self.client("admin")
        await client.log_in("root@example.org", PASSWORD)
        return client

    async def courier(self, carrier: str) -> Client:
        email = f"{carrier}@example.org"
        await self.bench.market.port(Auth).ensure_account(Registration(email, PASSWORD, "Courier"), (f"courier:{carrier}",))
        client = self.client("logistics")
        await client.log_in(email, PASSWORD)
        return client


@pytest_asyncio.fixture
async def desk(make_bench: Any) -> AsyncIterator[Desk]:
    bench = await make_bench(http=True)
    async with clients(bench.market.url) as make:
        yield Desk(bench, make)


@pytest.mark.behaviour("logistics-2")
async def test_a_carriers_people(desk: Desk) -> None:
    courier, other = await desk.courier("simulator"), await desk.courier("another")
    events = [await desk.bench.ship() for _ in range(3)]
    ids = [event.shipment_id for event in events]
    first = await courier.get("/shipments?limit=2")
    second = await courier.get(f"/shipments?limit=2&cursor={first['next']}")
    assert [item["id"] for item in first["items"] + second["items"]] == ids[::-1]
    assert second["next"] is None
    item = await courier.get(f"/shipments/{ids[0]}")
    assert set(item) == SHIPMENT
    assert item["from"] == {"country": "DE", "postal_code": ""}
    assert (item["to"]["name"], item["weight_g"]) == ("Ada Lovelace", 750)

    body = {"code": "in_transit", "location": "Berlin"}
    changed = await courier.post(f"/shipments/{ids[0]}/events", body)
    assert (changed["status"], changed["events"][0]["location"]) == ("in_transit", "Berlin")
    assert [i["id"] for i in (await courier.get("/shipments?status=in_transit"))["items"]] == [ids[0]]
    number = (await courier.get(f"/shipments/{ids[1]}"))["tracking_number"]
    assert [i["id"] for i in (await courier.get(f"/shipments?tracking_number={number}"))["items"]] == [ids[1]]
    since = changed["events"][0]["occurred_at"].replace("+00:00", "Z")
    assert [i["id"] for i in (await courier.get(f"/shipments?updated_after={since}"))["items"]] == []
    assert (await courier.get(f"/shipments/{ids[0]}/label"))[:4] == b"%PDF"
    wrong = await courier.post(f"/shipments/{ids[0]}/events", {"code": "vanished"}, 422)
    assert wrong["errors"][0]["pointer"] == "/code"

    assert (await other.get("/shipments"))["items"] == []
    await other.get(f"/shipments/{ids[0]}", 404)
    await other.get(f"/shipments/{ids[0]}/label", 404)
    await other.post(f"/shipments/{ids[0]}/events", body, 404)
    await desk.client("logistics").get("/shipments", 401)


async def test_whoever_has_the_token(desk: Desk) -> None:
    event = await desk.bench.ship()
    await desk.bench.advance(event.shipment_id, "in_transit", location="Berlin")
    await desk.bench.market.settle()
    shopper = desk.client("buyer")
    answer = await shopper.send("GET", f"/tracking/{event.tracking_token}")
    assert set(answer.body) == {"carrier", "tracking_number", "status", "estimated_delivery", "events"}
    assert (answer.body["status"], answer.body["events"][0]["code"]) == ("in_transit", "in_transit")
    assert "Lovelace" not in str(answer.body)
    await shopper.get(f"/tracking/{event.shipment_id}", 404)


async def test_a_label_is_for_a_shop(desk: Desk) -> None:
    event = await desk.bench.ship()
    somebody = desk.client("seller")
    await somebody.get(f"/shipments/{event.shipment_id}/label", 401)
    await somebody.register("shop@example.org", PASSWORD)
    await somebody.get(f"/shipments/{event.shipment_id}/label", 403)


async def test_an_operator_has_the_carrier_asked_again(desk: Desk) -> None:
    await desk.client("admin").get("/shipments/unknown", 401)
    admin = await desk.admin()
    await desk.bench.carrier.fault("create", "decline")
    event = await desk.bench.ship()
    path = f"/shipments/{event.shipment_id}"
    seen = await admin.get(path)
    assert set(seen) == SHIPMENT | {"order_id", "seller_id", "refusal"}
    assert seen["status"] == "exception" and "declined" in seen["refusal"]
    answer = await admin.post(f"{path}/retry", None, 202)
    assert (answer["status"], answer["refusal"]) == ("pending", None)
    await admin.until(path, lambda one: one["status"] == "label_created")
    for wrong in ("/shipments/unknown", "/shipments/unknown/retry"):
        await (admin.post(wrong, None, 404) if wrong.endswith("retry") else admin.get(wrong, 404))


@pytest.mark.parametrize("audience", ["buyer", "seller", "logistics", "admin"])
async def test_the_routes_are_described(desk: Desk, audience: str) -> None:
    client = await desk.admin() if audience == "admin" else desk.client(audience)
    document = await client.get("/openapi.json")
    described = {
        path for path, methods in document["paths"].items() for told in methods.values() if "logistics" in told["tags"]
    }
    assert len(described) == {"buyer": 1, "seller": 1, "logistics": 5, "admin": 2}[audience]
