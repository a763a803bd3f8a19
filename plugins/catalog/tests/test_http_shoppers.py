from __future__ import annotations

import pytest

from marketplace_core.capabilities.catalog import LineRequest
from marketplace_core.values import new_id
from plugins.catalog.tests.street import POT, Street


async def test_what_shoppers_get(street: Street) -> None:
    home = await street.admin.post("/categories", {"name": "Home"}, 201)
    pots = await street.admin.post("/categories", {"name": "Pots", "parent_id": home["id"]}, 201)
    product = await street.publish({**POT, "category_id": pots["id"]})
    shop = {"id": street.shop.id, "name": street.shop.name}
    page = await street.shopper.get(f"/products/{product['slug']}")
    assert page == {
        "id": product["id"],
        "slug": product["slug"],
        "title": "Tea pot",
        "description": "Of iron.",
        "category": {"id": pots["id"], "slug": pots["slug"], "name": "Pots", "path": ["Home", "Pots"]},
        "attributes": {"lid": True, "litres": 1.5},
        "images": [],
        "seller": shop,
        "rating": {"average": None, "count": 0},
        "variants": [
            {**{key: value for key, value in variant.items() if key != "stock"}, "available": variant["stock"]["available"]}
            for variant in product["variants"]
        ],
    }
    assert await street.shopper.get(f"/products/{product['id']}") == page
    cards = await street.shopper.get("/products")
    assert cards == {
        "items": [
            {
                "id": product["id"],
                "slug": product["slug"],
                "title": "Tea pot",
                "seller": shop,
                "price": {"amount": 1999, "currency": "EUR"},
                "compare_at": None,
                "image": None,
                "rating": {"average": None, "count": 0},
                "in_stock": True,
            }
        ],
        "next": None,
    }
    below = {"id": pots["id"], "slug": pots["slug"], "name": "Pots", "count": 1, "items": []}
    tree = {"items": [{"id": home["id"], "slug": home["slug"], "name": "Home", "count": 1, "items": [below]}]}
    for client in (street.shopper, street.seller, street.admin):
        assert await client.get("/categories") == tree
    for query in (f"category={home['slug']}", f"seller={shop['id']}", "min_price=1999&max_price=1999", "sort=-price"):
        assert await street.shopper.get(f"/products?{query}") == cards
    for query in ("category=nothing", "seller=nothing", "min_price=2000&max_price=1000"):
        assert (await street.shopper.get(f"/products?{query}"))["items"] == []


@pytest.mark.behaviour("catalog-2")
async def test_what_is_cached_is_gone_at_once(street: Street) -> None:
    product = await street.publish()
    id_, slug = product["id"], product["slug"]
    paths = [f"/products/{id_}", f"/products/{slug}"]

    async def warm(status: int) -> None:
        for path in paths * 2:
            await street.shopper.get(path, status)
        for query in ("", "?sort=price"):
            for _ in range(2):
                cards = (await street.shopper.get(f"/products{query}"))["items"]
                assert [card["id"] for card in cards] == ([id_] if status == 200 else [])

    for _ in range(2):
        await warm(200)
        await street.seller.post(f"/products/{id_}/archive", None, 202)
        await warm(404)
        await street.seller.post(f"/products/{id_}/publish", None, 202)
    await warm(200)
    await street.catalog.set_seller(street.shop, False, 100)
    await warm(404)
    await street.catalog.set_seller(street.shop, True, 101)
    await warm(200)


async def test_stock_and_prices_are_never_of_yesterday(street: Street) -> None:
    product = await street.publish()
    path, [small, _] = f"/products/{product['slug']}", product["variants"]

    async def seen() -> tuple[int, bool, int]:
        page = await street.shopper.get(path)
        [card] = (await street.shopper.get("/products"))["items"]
        return page["variants"][0]["available"], card["in_stock"], card["price"]["amount"]

    assert await seen() == await seen() == (5, True, 1999)
    await street.catalog.reserve("k", [LineRequest(small["id"], 5)], 100)
    assert await seen() == (0, False, 1999)
    await street.seller.post("/stock", {"items": [{"sku": "pot-s", "quantity": 6}]}, 200)
    assert await seen() == (1, True, 1999)
    await street.market.clock.advance(101)
    await street.market.settle()
    assert await seen() == (6, True, 1999)
    await street.seller.post("/prices", {"items": [{"sku": "pot-s", "price": {"amount": 5, "currency": "EUR"}}]}, 200)
    assert await seen() == (6, True, 5)


@pytest.mark.behaviour("catalog-1")
async def test_an_old_address_is_a_301(street: Street) -> None:
    product = await street.publish()
    old = f"/products/{product['slug']}"
    await street.shopper.get(old)
    renamed = await street.seller.patch(f"/products/{product['id']}", {"title": "Kettle"})
    moved = await street.shopper.send("GET", old)
    assert (moved.status, moved.headers["location"]) == (301, f"/buyer/v1/products/{renamed['slug']}")
    assert (await street.shopper.get(f"/products/{renamed['slug']}"))["title"] == "Kettle"
    await street.seller.post(f"/products/{product['id']}/archive", None, 202)
    for slug in (product["slug"], renamed["slug"]):
        await street.shopper.get(f"/products/{slug}", 404)


@pytest.mark.behaviour("all-3")
async def test_pages_over_http(street: Street) -> None:
    for n in range(5):
        price = {"amount": 100, "currency": "EUR"}
        await street.publish({"title": f"Pot {n}", "variants": [{"sku": f"p{n}", "price": price, "stock": n}]})
    for sort in ("newest", "price", "-price", "rating"):
        seen, path = [], f"/products?sort={sort}&limit=2"
        page = await street.shopper.get(path)
        while page["next"] is not None:
            seen += page["items"]
            page = await street.shopper.get(f"{path}&cursor={page['next']}")
        seen += page["items"]
        assert len({card["id"] for card in seen}) == len(seen) == 5
    assert len((await street.shopper.get("/products?limit=1000"))["items"]) == 5
    cursor = (await street.shopper.get("/products?limit=2"))["next"]
    for query in (f"sort=price&cursor={cursor}", "cursor=x", "cursor=", f"cursor={cursor[:-4]}", f"seller=x&cursor={cursor}"):
        assert (await street.shopper.get(f"/products?{query}", 400))["code"] == "paging.bad_cursor"
    for query in ("limit=0", "limit=x", "sort=title", "min_price=x", "colour=red", "limit=1&limit=2"):
        assert (await street.shopper.get(f"/products?{query}", 422))["code"] == "validation"


async def test_what_is_not_there(street: Street) -> None:
    for path in (f"/products/{new_id()}", "/products/no-such-slug", "/products/a%00b", "/products/%F0%9F%AB%96"):
        assert (await street.shopper.get(path, 404))["code"] == "http.not_found"
    refused = await street.shopper.send("POST", "/products", {})
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")


async def test_the_tree_of_categories(street: Street) -> None:
    admin = street.admin
    made = await admin.send("POST", "/categories", {"name": "Home"})
    home = made.body
    assert (made.status, home) == (201, {"id": home["id"], "slug": home["slug"], "name": "Home", "count": 0, "items": []})
    pots = await admin.post("/categories", {"name": "Pots", "parent_id": home["id"]}, 201)
    product = await street.publish({**POT, "category_id": pots["id"]})
    page = f"/products/{product['id']}"
    assert (await street.shopper.get(page))["category"]["path"] == ["Home", "Pots"]
    path = f"/categories/{home['id']}"
    renamed = await admin.patch(path, {"name": "House"})
    assert (renamed["name"], renamed["slug"], renamed["count"], renamed["items"][0]["id"]) == (
        "House",
        home["slug"],
        1,
        pots["id"],
    )
    assert (await street.shopper.get(page))["category"]["path"] == ["House", "Pots"]
    cycle = await admin.patch(path, {"parent_id": pots["id"]}, 422)
    assert cycle["errors"][0]["pointer"] == "/parent_id"
    assert (await admin.patch(path, {"name": None, "colour": 1}, 422))["errors"] != []
    root = await admin.patch(f"/categories/{pots['id']}", {"parent_id": None})
    assert (root["name"], root["count"]) == ("Pots", 1)
    assert [each["name"] for each in (await street.shopper.get("/categories"))["items"]] == ["House", "Pots"]
    in_use = await admin.delete(f"/categories/{pots['id']}", 409)
    assert in_use["code"] == "catalog.category_in_use"
    await admin.delete(path, 204)
    await admin.delete(path, 404)
    await admin.patch(path, {"name": "x"}, 404)
    await street.seller.patch(page, {"category_id": None})
    await admin.delete(f"/categories/{pots['id']}", 204)
    assert await street.shopper.get("/categories") == {"items": []}
