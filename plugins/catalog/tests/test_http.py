"""The catalogue over HTTP: what shoppers, sellers and operators send, and what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from marketplace_core.capabilities.auth import Auth, Registration
from marketplace_core.capabilities.catalog import Catalog, LineRequest, SellerRef
from marketplace_core.capabilities.sellers import Sellers
from marketplace_core.testing.client import Client, clients
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import new_id

PASSWORD = "correct horse battery"
POT = {
    "title": "Tea pot",
    "description": "Of iron.",
    "attributes": {"lid": True, "litres": 1.5},
    "variants": [
        {"sku": "pot-s", "options": {"size": "S"}, "price": {"amount": 1999, "currency": "EUR"}, "stock": 5},
        {
            "sku": "pot-l",
            "title": "Large",
            "options": {"size": "L"},
            "price": {"amount": 2999, "currency": "EUR"},
            "compare_at": {"amount": 3499, "currency": "EUR"},
        },
    ],
}
NOTHING_HELD = {"on_hand": 0, "reserved": 0, "available": 0}


class Street:
    """A marketplace with an operator and a seller who are logged in."""

    def __init__(self, market: Marketplace, make: Callable[[str], Client]) -> None:
        self.market, self.make = market, make
        self.catalog = market.port(Catalog)
        self.shopper, self.seller, self.admin = make("buyer"), make("seller"), make("admin")
        self.shop: SellerRef

    async def open(self) -> None:
        await self.market.port(Auth).ensure_account(Registration("root@example.org", PASSWORD, "Root"), ("admin",))
        await self.admin.log_in("root@example.org")
        self.shop = await self.shop_of(self.seller, "kettle@example.org")

    async def shop_of(self, client: Client, email: str) -> SellerRef:
        person = (await client.register(email))["user"]["id"]
        [made] = await self.market.port(Sellers).ensure_sellers([email], person)
        return SellerRef(made.id, made.name)

    async def publish(self, body: dict[str, Any] = POT) -> dict[str, Any]:
        product = await self.seller.post("/products", body, 201)
        published: dict[str, Any] = await self.seller.post(f"/products/{product['id']}/publish", None, 202)
        return published

    async def problems(self, method: str, path: str, body: Any) -> dict[str, str]:
        """The code of each bad field of a seller's request."""
        answer = await self.seller.send(method, path, body)
        assert (answer.status, answer.headers["content-type"]) == (422, "application/problem+json"), answer
        assert answer.body["code"] == "validation"
        return {error["pointer"]: error["code"] for error in answer.body["errors"]}


@pytest_asyncio.fixture
async def street(marketplace: Callable[..., Awaitable[Marketplace]]) -> AsyncIterator[Street]:
    settings = {"auth": "hash_time = 1\nhash_memory = 1"}
    market = await marketplace(["auth", "sellers", "catalog"], http=True, settings=settings)
    async with clients(market.url) as make:
        street = Street(market, make)
        await street.open()
        yield street


# ── sellers ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_life_of_a_product(street: Street) -> None:
    seller = street.seller
    made = await seller.send("POST", "/products", POT)
    product = made.body
    path = f"/products/{product['id']}"
    assert (made.status, made.headers["location"]) == (201, f"/seller/v1{path}")
    small, large = product["variants"]
    assert product == {
        "id": product["id"],
        "slug": product["slug"],
        "title": "Tea pot",
        "description": "Of iron.",
        "category_id": None,
        "attributes": {"lid": True, "litres": 1.5},
        "images": [],
        "status": "draft",
        "reason_code": None,
        "updated_at": product["updated_at"],
        "variants": [
            {
                "id": small["id"],
                "sku": "pot-s",
                "title": "",
                "options": {"size": "S"},
                "price": {"amount": 1999, "currency": "EUR"},
                "compare_at": None,
                "stock": {"on_hand": 5, "reserved": 0, "available": 5},
            },
            {
                "id": large["id"],
                "sku": "pot-l",
                "title": "Large",
                "options": {"size": "L"},
                "price": {"amount": 2999, "currency": "EUR"},
                "compare_at": {"amount": 3499, "currency": "EUR"},
                "stock": NOTHING_HELD,
            },
        ],
    }
    assert product["updated_at"].endswith("Z")
    assert await seller.get(path) == product
    published = await seller.post(f"{path}/publish", None, 202)
    assert published["status"] == "published"
    conflict = await seller.delete(path, 409)
    assert conflict["code"] == "catalog.wrong_state"
    archived = await seller.post(f"{path}/archive", None, 202)
    assert archived["status"] == "archived"
    await seller.delete(path, 204)
    await seller.get(path, 404)
    for method, rest in (("PATCH", ""), ("DELETE", ""), ("POST", "/publish"), ("POST", "/archive")):
        assert (await seller.send(method, path + rest, {} if method == "PATCH" else None)).status == 404


async def test_tags_of_a_product(street: Street) -> None:
    product = await street.publish()
    path = f"/products/{product['id']}"
    for client in (street.seller, street.shopper):
        first = await client.send("GET", path)
        tag = first.headers["etag"]
        again = await client.send("GET", path, headers={"If-None-Match": tag})
        assert (first.status, again.status, again.headers["etag"]) == (200, 304, tag)
    tag = (await street.seller.send("GET", path)).headers["etag"]
    await street.seller.patch(path, {"title": "Kettle"}, 200, If_Match=tag)
    problem = await street.seller.patch(path, {"title": "Jug"}, 412, If_Match=tag)
    assert problem["code"] == "http.precondition_failed"
    await street.seller.delete(path, 412, If_Match=tag)
    assert (await street.seller.get(path))["title"] == "Kettle"
    listed = await street.shopper.send("GET", "/products")
    assert (await street.shopper.send("GET", "/products", headers={"If-None-Match": listed.headers["etag"]})).status == 304


@pytest.mark.behaviour("all-2")
async def test_every_bad_field_is_named(street: Street) -> None:
    price = {"amount": 0, "currency": "eur"}
    body = {
        "title": "",
        "description": 5,
        "attributes": [],
        "colour": "black",
        "variants": [
            {"sku": "a", "price": price, "stock": -1, "options": {"size": 5}},
            {"price": {"amount": 1.5}, "weight": 1},
            {"sku": "b", "options": {"n": "x" * 201}},
        ],
    }
    assert await street.problems("POST", "/products", body) == {
        "/title": "length",
        "/description": "type",
        "/attributes": "type",
        "/colour": "unknown_field",
        "/variants/0/price/amount": "range",
        "/variants/0/price/currency": "format",
        "/variants/0/stock": "range",
        "/variants/0/options/size": "type",
        "/variants/1/sku": "required",
        "/variants/1/price/amount": "type",
        "/variants/1/price/currency": "required",
        "/variants/1/weight": "unknown_field",
        "/variants/2/options/n": "length",
    }
    assert await street.problems("POST", "/products", {}) == {"/title": "required"}
    huge = {"title": "Pot", "attributes": {"a/b": [1, 1e300], "c": {"d": -1e19}}}
    assert await street.problems("POST", "/products", huge) == {"/attributes/a~1b/1": "range", "/attributes/c/d": "range"}
    product = await street.publish()
    path = f"/products/{product['id']}"
    nulls = {"title": None, "description": None, "attributes": None, "variants": [{"sku": "pot-s", "options": None}]}
    assert set(await street.problems("PATCH", path, nulls)) == {
        "/title",
        "/description",
        "/attributes",
        "/variants/0/options",
    }
    unknown = {"category_id": "nothing"}
    assert await street.problems("PATCH", path, unknown) == {"/category_id": "not_found"}
    unpriced = {"variants": [{"sku": "pot-l", "price": None}, {"sku": "new", "options": {"size": "new"}}]}
    assert await street.problems("PATCH", path, unpriced) == {"/variants/0/price": "required", "/variants/1/price": "required"}
    assert await street.problems("POST", "/stock", {"items": [{"sku": "a", "quantity": -1}, {}]}) == {
        "/items/0/quantity": "range",
        "/items/1/sku": "required",
    }
    assert await street.problems("POST", "/prices", {"items": [{"sku": "a"}] * 1001}) == {
        "/items": "length",
        **{f"/items/{n}/price": "required" for n in range(1001)},
    }
    for query, pointer in (("limit=0", "?limit"), ("status=sold", "?status"), ("colour=red", "?colour")):
        assert pointer in await street.problems("GET", f"/products?{query}", None)
    assert "?updated_after" in await street.problems("GET", "/products?updated_after=2026-01-01T00:00:00", None)
    assert (await street.seller.send("POST", "/products", raw=b"{")).status in {400, 415}


async def test_rows_of_stock_and_prices(street: Street) -> None:
    product = await street.publish()
    rows = [{"sku": "pot-s", "delta": 2}, {"sku": "nothing", "quantity": 1}, {"sku": "pot-l", "quantity": 0}]
    found = await street.seller.post("/stock", {"items": rows}, 200)
    assert found == {
        "items": [
            {"sku": "pot-s", "status": "updated", "code": None, "detail": None},
            {"sku": "nothing", "status": "rejected", "code": "not_found", "detail": "There is no such SKU."},
            {"sku": "pot-l", "status": "unchanged", "code": None, "detail": None},
        ]
    }
    prices = [
        {"sku": "pot-l", "price": {"amount": 100, "currency": "EUR"}},
        {"sku": "pot-s", "price": {"amount": 100, "currency": "USD"}},
    ]
    found = await street.seller.post("/prices", {"items": prices}, 200)
    assert [(row["status"], row["code"]) for row in found["items"]] == [("updated", None), ("rejected", "unknown_value")]
    page = await street.shopper.get(f"/products/{product['id']}")
    assert [(v["price"]["amount"], v["compare_at"], v["available"]) for v in page["variants"]] == [
        (1999, None, 7),
        (100, None, 0),
    ]
    [card] = (await street.shopper.get("/products"))["items"]
    assert card["price"] == {"amount": 100, "currency": "EUR"}


async def test_sellers_filter_their_products(street: Street) -> None:
    pot = await street.publish()
    draft = await street.seller.post("/products", {"title": "Jug", "variants": [{"sku": "jug"}]}, 201)

    async def found(query: str) -> list[str]:
        return [product["id"] for product in (await street.seller.get(f"/products{query}"))["items"]]

    assert await found("") == [draft["id"], pot["id"]]
    assert await found("?status=draft") == [draft["id"]]
    assert await found("?sku=pot-l") == [pot["id"]]
    assert await found(f"?updated_after={pot['updated_at']}") == [draft["id"]]
    first = await street.seller.get("/products?limit=1")
    assert await found(f"?limit=1&cursor={first['next']}") == [pot["id"]]
    await street.seller.get(f"/products?status=draft&cursor={first['next']}", 400)


@pytest.mark.behaviour("sellers-3")
async def test_another_shops_product_is_404(street: Street) -> None:
    product = await street.publish()
    other = street.make("seller")
    await street.shop_of(other, "lamp@example.org")
    path = f"/products/{product['id']}"
    await other.get(path, 404)
    await other.patch(path, {"title": "Mine"}, 404)
    await other.delete(path, 404)
    for act in ("publish", "archive"):
        await other.post(f"{path}/{act}", None, 404)
    found = await other.post("/stock", {"items": [{"sku": "pot-s", "quantity": 0}]}, 200)
    assert found["items"][0]["code"] == "not_found"
    assert (await street.seller.get(path)) == product


@pytest.mark.behaviour("all-1")
async def test_a_repeated_request_makes_one_product(street: Street) -> None:
    sends = [street.seller.send("POST", "/products", POT, headers={"Idempotency-Key": "k"}) for _ in range(4)]
    answers = await asyncio.gather(*sends)
    assert {answer.status for answer in answers} <= {201, 409}
    again = await street.seller.send("POST", "/products", POT, headers={"Idempotency-Key": "k"})
    assert (again.status, again.headers["idempotent-replayed"]) == (201, "true")
    [product] = (await street.seller.get("/products"))["items"]
    assert again.body == product
    taken = await street.seller.post("/products", POT, 409)
    assert taken["code"] == "catalog.sku_taken"


async def test_who_may_not(street: Street) -> None:
    nobody, person = street.make("seller"), street.make("seller")
    await nobody.get("/products", 401)
    await person.register("bea@example.org")
    assert (await person.get("/products", 403))["code"] == "sellers.no_shop"
    assert (await person.get("/categories")) == {"items": []}
    await street.make("admin").get("/categories", 401)


# ── shoppers ─────────────────────────────────────────────────────────────────────────────────────────────────


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


# ── operators ────────────────────────────────────────────────────────────────────────────────────────────────


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
