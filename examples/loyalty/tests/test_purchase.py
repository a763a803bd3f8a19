"""Bought, received, and cheaper the next time: over HTTP, by every runner. With ``processes`` orders run apart."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from marketplace_core.capabilities.auth import Auth, Registration
from marketplace_core.testing.client import Client, clients
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.testing.shop import ADDRESS, PASSWORD, PLUGINS, Shop
from marketplace_core.testing.simulators import Simulator

TIERS = """
tiers = [
  { name = "Silver", percent = 5, spent = { EUR = 4000 } },
  { name = "Gold", percent = 20, spent = { EUR = 9000 } },
]
"""


@pytest.fixture(params=["local", "wire", "processes"])
async def shop(
    request: pytest.FixtureRequest, marketplace: Callable[..., Awaitable[Marketplace]], tmp_path: Path
) -> AsyncIterator[Shop]:
    payments, carriers = Simulator("payments", tmp_path), Simulator("carriers", tmp_path)
    market = await marketplace(
        [*PLUGINS, "loyalty"],
        runner=request.param,
        http=True,
        settings={
            "loyalty": TIERS,
            "payments_simulator": payments.settings(),
            "carriers_simulator": carriers.settings(),
        },
        simulators={"payments": payments.url, "carriers": carriers.url},
    )
    await market.port(Auth).ensure_account(Registration("admin@example.org", PASSWORD, "Admin"), ("admin",))
    try:
        for simulator in (payments, carriers):
            await simulator.start_for(market)
        async with clients(market.audiences) as make:
            admin = make("admin")
            await admin.log_in("admin@example.org")
            people = {"make": make, "admin": admin, "courier": make("logistics")}
            yield Shop(market=market, payments=payments, carriers=carriers, **people)
    finally:
        for simulator in (payments, carriers):
            await simulator.stop()


async def _send(shop: Shop, seller: Client, order: Any, code: str) -> None:
    """All that is left of the order's only package, until the parcel is so far."""
    [package] = order["packages"]
    shipment = await seller.post(f"/orders/{package['id']}/ship", None, 202)
    path = f"/shipments/{shipment['id']}"
    ready = await seller.until(path, lambda one: one["status"] == "label_created")
    for step in ("in_transit", code):
        await shop.carriers.call("POST", f"/shipments/{ready['tracking_number']}/advance", {"code": step})
    await seller.until(path, lambda one: one["status"] == code)
    await shop.market.settle()


async def _loyalty(buyer: Client) -> tuple[int, str | None]:
    [standing] = (await buyer.get("/loyalty"))["items"]
    return standing["spent"]["amount"], standing["tier"] and standing["tier"]["name"]


async def _pending(seller: Client) -> int:
    [balance] = (await seller.get("/balance"))["items"]
    amount: int = balance["pending"]["amount"]
    return amount


async def _bought(shop: Shop, buyer: Client, product: Any, units: int) -> Any:
    order = await shop.order(buyer, [(product, units)], key=f"order of {units}")
    return await shop.ended(buyer, order["id"])


@pytest.mark.behaviour("orders-1", "payments-4")
async def test_who_has_bought_and_received_pays_less(shop: Shop) -> None:
    seller = await shop.open_seller("Kettle")
    pot = await shop.list_product(seller, "Tea Pot", 2495)
    buyer = await shop.buyer()
    assert await buyer.get("/loyalty") == {
        "items": [
            {
                "spent": {"amount": 0, "currency": "EUR"},
                "tier": None,
                "next": {"name": "Silver", "percent": 5, "missing": {"amount": 4000, "currency": "EUR"}},
            }
        ]
    }

    first = await _bought(shop, buyer, pot, 3)
    assert (first["discount"]["amount"], await _loyalty(buyer)) == (0, (0, None)), "what is only ordered does not count"
    await buyer.post(f"/orders/{first['id']}/cancel", {"items": [{"item_id": _item(first), "quantity": 1}]}, 202)
    await _send(shop, seller, first, "delivered")
    assert await _loyalty(buyer) == (4990, "Silver"), "nor does what is cancelled"

    before = await _pending(seller)
    second = await _bought(shop, buyer, pot, 2)
    [package] = second["packages"]
    [line] = package["items"]
    assert [(one["code"], one["label"], one["amount"]["amount"]) for one in line["discounts"]] == [
        ("loyalty", "Silver: 5 % off", 250)
    ]
    assert line["total"]["amount"] == 4990 - 250
    assert second["total"]["amount"] == 4990 - 250 + second["shipping"]["amount"]
    [sold] = [one for one in (await seller.get("/orders"))["items"] if one["id"] == package["id"]]
    assert sold["net"]["amount"] == 4990 - sold["commission"]["amount"] + sold["shipping"]["amount"], "the platform pays"

    await _send(shop, seller, second, "delivered")
    captured = sum(amount for kind, amount in await shop.ledger(second["id"]) if kind == "capture")
    assert captured == second["total"]["amount"]
    assert await _loyalty(buyer) == (4990 + 4740, "Gold")
    assert await _pending(seller) - before == sold["net"]["amount"], "what is captured, and the marketplace's part"


async def test_what_comes_back_does_not_count(shop: Shop) -> None:
    seller = await shop.open_seller("Kettle")
    pot = await shop.list_product(seller, "Tea Pot", 5000)
    buyer = await shop.buyer()
    order = await _bought(shop, buyer, pot, 1)
    await _send(shop, seller, order, "delivered")
    assert await _loyalty(buyer) == (5000, "Silver")
    shipment = (await buyer.get(f"/orders/{order['id']}"))["packages"][0]["shipments"][0]
    await shop.carriers.call("POST", f"/shipments/{shipment['tracking_number']}/advance", {"code": "returned"})
    await seller.until(f"/shipments/{shipment['id']}", lambda one: one["status"] == "returned")
    await shop.market.settle()
    assert await _loyalty(buyer) == (0, None)
    for quote_of, expected in ((buyer, 0), (shop.make("buyer"), 0)):
        await _fill(quote_of, pot)
        assert (await quote_of.post("/checkout/quote", {"address": ADDRESS}))["discount"]["amount"] == expected


async def _fill(buyer: Client, product: Any) -> None:
    answer = await buyer.post("/cart/items", {"variant_id": product["variants"][0]["id"], "quantity": 1})
    if "Authorization" not in buyer.headers:
        buyer.headers["X-Cart-Token"] = answer["token"]


def _item(order: Any) -> str:
    item: str = order["packages"][0]["items"][0]["id"]
    return item
