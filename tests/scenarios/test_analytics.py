"""What was sold, as its seller and the operators see it, over public HTTP only and by every runner."""

from __future__ import annotations

from typing import Any

from marketplace_core.testing.client import Client
from marketplace_core.testing.shop import Shop

#: Reports are opened by one process, for half a second and 400 MB: only where they are looked at.
WITH = ("analytics",)


async def _report(client: Client, name: str, more: str = "") -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await client.get(f"/reports/{name}?interval=month{more}"))["items"]
    return items


async def test_analytics(shop: Shop) -> None:
    potter, weaver = await shop.open_seller("Potter"), await shop.open_seller("Weaver")
    pot = await shop.list_product(potter, "Pot", 2500)
    rug = await shop.list_product(weaver, "Rug", 9000)
    buyer = await shop.buyer()
    placed = await shop.order(buyer, [(pot, 2), (rug, 1)])
    assert (await shop.ended(buyer, placed["id"]))["status"] == "confirmed"
    await shop.market.settle()

    [potters] = await _report(potter, "sales")
    [weavers] = await _report(weaver, "sales")
    assert [(item["orders"], item["units"]) for item in (potters, weavers)] == [(1, 2), (1, 1)]
    assert all(item["gross"]["currency"] == item["currency"] == "EUR" for item in (potters, weavers))
    own = f"&seller_id={(await potter.get('/shop'))['id']}"
    assert await _report(shop.admin, "sales", own) == [potters]
    assert await _report(potter, "lateness") == []
    await potter.get("/reports/moderation", 404)
    await buyer.get("/reports/sales", 404)
    overview = await shop.admin.get(f"/reports/overview?interval=month{own}")
    assert (overview["orders"], overview["sellers"], overview["buyers"]) == (1, 1, 1)
    assert overview["gross"] == potters["gross"]

    await shop.send(potter)
    parcel = await shop.send(weaver)
    await shop.carriers.call("POST", f"/shipments/{parcel['tracking_number']}/advance", {"code": "returned"})
    await weaver.until(f"/shipments/{parcel['id']}", lambda one: one["status"] == "returned")
    await shop.market.settle()
    [sent], [back] = await _report(potter, "returns"), await _report(weaver, "returns")
    assert (sent["units"], sent["returned"], sent["rate"], sent["reasons"]) == (2, 0, 0, [])
    nothing = {"amount": 0, "currency": "EUR"}
    assert (back["units"], back["returned"], back["rate"], back["refunded"]) == (1, 1, 1, nothing)
    assert back["reasons"] == [{"reason": "undelivered", "returned": 1, "refunded": nothing}]
    own = f"&seller_id={(await weaver.get('/shop'))['id']}"
    assert await _report(shop.admin, "returns", own) == [back]
    [order] = (await weaver.get("/orders"))["items"]
    assert [line["returned"] for line in order["items"]] == [1]
