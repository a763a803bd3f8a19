from __future__ import annotations

import asyncio

import pytest

from plugins.catalog.tests.street import NOTHING_HELD, POT, Street


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
        **{f"/items/{n}/price": "required" for n in range(49)},  # no more than fifty are told
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


@pytest.mark.behaviour("all-9")
async def test_a_sku_is_the_same_whatever_stands_around_it(street: Street) -> None:
    """And in whichever form its letters are written."""
    price = {"amount": 100, "currency": "EUR"}
    for pair in (["X", "X "], [" X", "X"], ["e\u0301", "\u00e9"]):
        body = {"title": "Pot", "variants": [{"sku": sku, "options": {"n": sku}, "price": price} for sku in pair]}
        assert await street.problems("POST", "/products", body) == {"/variants/1/sku": "duplicate"}
    product = await street.seller.post("/products", {"title": " Pot ", "variants": [{"sku": " X ", "price": price}]}, 201)
    assert (product["title"], product["variants"][0]["sku"]) == ("Pot", "X")
    rows = await street.seller.post("/stock", {"items": [{"sku": "X ", "quantity": 3}]})
    assert [(row["sku"], row["status"]) for row in rows["items"]] == [("X", "updated")]
    assert [found["id"] for found in (await street.seller.get("/products?sku=%20X"))["items"]] == [product["id"]]
    patched = await street.seller.patch(f"/products/{product['id']}", {"variants": [{"sku": "X\u00a0", "title": "small"}]})
    assert [variant["sku"] for variant in patched["variants"]] == ["X"]
    blank = {"title": " \t", "variants": [{"sku": "  "}]}
    assert await street.problems("POST", "/products", blank) == {"/title": "format", "/variants/0/sku": "format"}
