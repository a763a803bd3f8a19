"""Finding what is for sale, over public HTTP only: what changes is found, and what is gone is not, by every runner."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace_core.testing.client import Client
from marketplace_core.testing.shop import Shop


def _sizes(title: str, *sizes: tuple[str, str, int]) -> dict[str, Any]:
    """A draft with a variant for each colour and size, and how many there are."""
    price = {"amount": 2900, "currency": "EUR"}
    variants = [
        {"sku": f"{title}-{n}", "price": price, "stock": stock, "options": {"colour": colour, "size": size}}
        for n, (colour, size, stock) in enumerate(sizes)
    ]
    return {
        "title": title,
        "description": "Boiled wool, made to last.",
        "attributes": {"brand": "Nordwind"},
        "variants": variants,
    }


async def _titles(shop: Shop, buyer: Client, path: str) -> list[str]:
    await shop.market.settle()
    return [item["title"] for item in (await buyer.get(path))["items"]]


@pytest.mark.behaviour("search-1", "search-2", "catalog-2")
async def test_search(shop: Shop) -> None:
    weaver = await shop.open_seller("Zyzzyva")
    own = f"seller={(await weaver.get('/shop'))['id']}"
    jacket = await weaver.post("/products", _sizes("Zyzzyva Jacket", ("red", "M", 5), ("blue", "L", 0)), 201)
    cap = await weaver.post("/products", _sizes("Zyzzyva Woollen caps", ("red", "L", 3)), 201)
    for product in (jacket, cap):
        await weaver.post(f"/products/{product['id']}/publish", None, 202)
    buyer = shop.make("buyer")

    assert sorted(await _titles(shop, buyer, f"/search?q=zyzzyva&{own}")) == [jacket["title"], cap["title"]]
    assert await _titles(shop, buyer, f"/search?q=zyzzyva+jaket&{own}") == [jacket["title"]]
    assert await _titles(shop, buyer, f"/search?q=zyzzyva+cap&{own}") == [cap["title"]]
    found = await buyer.get(f"/search?q=zyzzyva+wol&option.colour=red&{own}")
    assert found["total"] == 2
    assert {value["value"]: value["count"] for value in found["facets"]["option.size"]} == {"M": 1, "L": 1}
    assert {value["value"]: value["count"] for value in found["facets"]["option.colour"]} == {"red": 2, "blue": 1}
    assert await _titles(shop, buyer, f"/search?q=zyzzyva&option.colour=blue&option.size=M&{own}") == []
    assert await _titles(shop, buyer, f"/search?q=zyzzyva&option.colour=blue&in_stock=true&{own}") == []
    assert len(await _titles(shop, buyer, f"/search?q=zyzzyva&attr.brand=Nordwind&sort=newest&{own}")) == 2
    lost = await buyer.get(f"/search?q=zyzzyva+jacket+unobtainium&{own}")
    assert [item["title"] for item in lost["items"]] == [jacket["title"]]
    assert lost["fallback"] == {"dropped": ["unobtainium"]}
    shops = await buyer.get("/search?kind=sellers&q=zyzzyva")
    assert [item["title"] for item in shops["items"]] == ["Zyzzyva" + shop.mark]
    hints = (await buyer.get("/search/suggest?q=zyzzyv"))["items"]
    assert {item["text"] for item in hints if item["kind"] == "product"} == {jacket["title"], cap["title"]}
    await buyer.post("/search/clicks", {"q": "zyzzyva", "position": 1}, 204)

    await weaver.post(f"/products/{cap['id']}/archive", None, 202)
    assert await _titles(shop, buyer, f"/search?q=zyzzyva&{own}") == [jacket["title"]]
    place = own.removeprefix("seller=")
    await shop.admin.post(f"/sellers/{place}/suspend", {"reason": "A check."})
    assert await _titles(shop, buyer, f"/search?q=zyzzyva&{own}") == []
    await shop.admin.post(f"/sellers/{place}/reinstate", None)
    assert await _titles(shop, buyer, f"/search?q=zyzzyva&{own}") == [jacket["title"]]
