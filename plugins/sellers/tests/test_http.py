"""sellers over HTTP: applicants, shops, shoppers, operators."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from marketplace_core.capabilities.catalog import Catalog, LineRequest
from marketplace_core.capabilities.sellers import Sellers
from marketplace_core.errors import Conflict

DRAFT = {"name": "Kettle & Sons", "legal_name": "Kettle Ltd", "country": "DE", "contact_email": "k@example.org"}
POT = {
    "title": "Tea pot",
    "variants": [{"sku": "pot", "price": {"amount": 1999, "currency": "EUR"}, "stock": 5}],
}
APPLICATION = {"id", "name", "status", "reason", "requirements", "created_at"}
CURRENT = "/applications/current"


async def _published(seller: Any) -> Any:
    _, _, product = await seller("POST", "/products", POT)
    assert (await seller("POST", f"/products/{product['id']}/publish"))[0] == 202
    return product


@pytest.mark.behaviour("sellers-1")
async def test_from_registering_to_selling(street: Any) -> None:
    admin, ada, shopper = await street.staff(), await street.applicant("ada@example.org"), street.shopper()
    status, _, problem = await ada("GET", "/shop")
    assert (status, problem["code"]) == (403, "sellers.no_shop")
    assert (await ada("GET", CURRENT))[0] == 404
    status, headers, application = await ada("POST", "/applications", DRAFT)
    assert (status, headers["location"], application.keys()) == (202, f"/seller/v1{CURRENT}", APPLICATION)
    assert application["requirements"][2] == {"key": "identity", "kind": "verified", "status": "open", "detail": None}
    one = f"/sellers/applications/{application['id']}"
    status, _, problem = await admin("POST", f"{one}/accept")
    assert (status, problem["code"]) == (409, "sellers.wrong_state")
    assert "terms, identity" in problem["detail"]
    assert (await ada("POST", f"{CURRENT}/requirements/terms", {"value": "accepted"}))[0] == 202
    status, _, submitted = await ada("POST", f"{CURRENT}/requirements/identity", {"value": "passport 1"})
    assert (status, submitted["status"]) == (202, "submitted")
    _, _, page = await admin("GET", "/sellers/applications?status=submitted")
    assert [(each["id"], each["submitted"]["identity"]) for each in page["items"]] == [(application["id"], "passport 1")]
    status, _, rejected = await admin("POST", f"{one}/requirements/identity/reject", {"reason": "blurred"})
    assert (status, rejected["status"]) == (202, "draft")
    assert (await ada("GET", CURRENT))[2] == rejected
    assert (await admin("POST", f"{one}/requirements/identity/waive"))[0] == 202
    status, _, accepted = await admin("POST", f"{one}/accept")
    assert (status, accepted["status"]) == (202, "active")
    status, _, shop = await ada("GET", "/shop")
    assert status == 200
    assert shop == {
        "id": shop["id"],
        "name": "Kettle & Sons",
        "slug": f"kettle-sons-{shop['id'][-6:]}",
        "description": "",
        "status": "active",
        "commission": [{"category_id": None, "rate": "0.1000", "valid_from": shop["commission"][0]["valid_from"]}],
        "payout_account": None,
        "country": "DE",
    }
    product = await _published(ada)
    assert (await shopper("GET", f"/products/{product['id']}"))[2]["seller"] == {"id": shop["id"], "name": shop["name"]}
    await street.market.settle()
    status, _, page = await shopper("GET", f"/sellers/{shop['id']}")
    assert status == 200
    assert page == {
        "id": shop["id"],
        "name": "Kettle & Sons",
        "description": "",
        "logo": None,
        "rating": {"average": None, "count": 0},
        "products_count": 1,
        "on_holiday": False,
    }


@pytest.mark.behaviour("sellers-2", "catalog-2")
async def test_suspension_is_at_once_with_warm_caches(street: Any) -> None:
    admin, shopper = await street.staff(), street.shopper()
    ada = await street.seller(admin, "ada@example.org", "Kettle & Sons")
    bob = await street.seller(admin, "bob@example.org", "Other")
    product, others = await _published(ada), await _published(bob)
    seller_id = (await ada("GET", "/shop"))[2]["id"]
    await street.market.settle()
    pages = ("/products", f"/products/{product['id']}", f"/products/{product['slug']}", f"/sellers/{seller_id}")

    async def look() -> list[int]:
        return [(await shopper("GET", path))[0] for path in pages]

    async def listed() -> set[str]:
        return {card["id"] for card in (await shopper("GET", "/products"))[2]["items"]}

    async def reserve(key: str) -> None:
        await street.market.port(Catalog).reserve(key, [LineRequest(product["variants"][0]["id"], 1)], 600)

    for _ in range(2):
        assert await look() == [200, 200, 200, 200]
    await street.market.stop_worker()  # the answer itself is what makes it so
    status, _, suspended = await admin("POST", f"/sellers/{seller_id}/suspend", {"reason": "fraud"})
    assert (status, suspended["status"], suspended["reason"]) == (200, "suspended", "fraud")
    assert await look() == [200, 404, 404, 404]
    assert await listed() == {others["id"]}
    with pytest.raises(Conflict, match="out_of_stock"):
        await reserve("during")
    # Its people go on with what is ordered.
    assert (await ada("GET", "/shop"))[2]["status"] == "suspended"
    for _ in range(2):
        assert await look() == [200, 404, 404, 404]
    assert (await admin("GET", "/sellers?status=suspended"))[2]["items"] == [suspended]
    status, _, reinstated = await admin("POST", f"/sellers/{seller_id}/reinstate")
    assert (status, reinstated["status"], reinstated["reason"]) == (200, "active", None)
    assert await look() == [200, 200, 200, 200]
    assert await listed() == {product["id"], others["id"]}
    await reserve("after")


async def test_parallel_accepts_over_http_make_one_shop(street: Any) -> None:
    admin, ada = await street.staff(), await street.applicant("ada@example.org")
    _, _, application = await ada("POST", "/applications", DRAFT)
    for key in ("terms", "identity"):
        await ada("POST", f"{CURRENT}/requirements/{key}", {"value": "accepted"})
    path = f"/sellers/applications/{application['id']}/accept"
    plain = await asyncio.gather(*(admin("POST", path) for _ in range(4)))
    assert {status for status, _, _ in plain} == {202}
    status, headers, _ = await admin("POST", path, idempotency_key="k")
    assert (status, headers.get("idempotent-replayed")) == (202, None)
    status, headers, _ = await admin("POST", path, idempotency_key="k")
    assert (status, headers.get("idempotent-replayed")) == (202, "true")
    assert len((await admin("GET", "/sellers"))[2]["items"]) == 1


@pytest.mark.behaviour("all-4")
async def test_a_shop_page_changes_at_once(street: Any) -> None:
    admin, shopper = await street.staff(), street.shopper()
    ada = await street.seller(admin, "ada@example.org", "Kettle & Sons")
    _, headers, shop = await ada("GET", "/shop")
    path = f"/sellers/{shop['id']}"
    for _ in range(2):
        _, page_headers, page = await shopper("GET", path)
    assert (await shopper("GET", path, if_none_match=page_headers["etag"]))[0] == 304
    patch = {"name": "Pots", "description": "All pots."}
    status, _, changed = await ada("PATCH", "/shop", patch, if_match=headers["etag"])
    assert (status, changed["name"], changed["slug"]) == (200, "Pots", shop["slug"])
    assert (await shopper("GET", path))[2] == page | patch
    status, _, problem = await ada("PATCH", "/shop", {"name": "Pans"}, if_match=headers["etag"])
    assert (status, problem["code"]) == (412, "http.precondition_failed")
    status, _, problem = await ada("PATCH", "/shop", {"name": "", "slug": "x"})
    assert (status, {each["pointer"]: each["code"] for each in problem["errors"]}) == (
        422,
        {"/name": "length", "/slug": "unknown_field"},
    )


@pytest.mark.behaviour("all-2")
async def test_what_is_refused(street: Any) -> None:
    admin, ada = await street.staff(), await street.applicant("ada@example.org")
    moderator, shopper = await street.staff("moderator"), street.shopper()
    status, _, problem = await ada("POST", "/applications", DRAFT | {"country": "Germany", "contact_email": "nobody"})
    assert (status, problem["code"]) == (422, "validation")
    assert {each["pointer"]: each["code"] for each in problem["errors"]} == {
        "/country": "format",
        "/contact_email": "format",
    }
    _, _, application = await ada("POST", "/applications", DRAFT)
    status, _, problem = await ada("POST", "/applications", DRAFT)
    assert (status, problem["code"]) == (409, "sellers.wrong_state")
    status, _, problem = await ada("POST", f"{CURRENT}/requirements/terms", {"value": "perhaps"})
    assert (status, problem["errors"][0]["pointer"]) == (422, "/value")
    assert (await ada("POST", f"{CURRENT}/requirements/hat", {"value": "accepted"}))[0] == 404
    status, _, problem = await ada("POST", f"{CURRENT}/requirements/contact_email", {"value": "x"})
    assert (status, problem["code"]) == (409, "sellers.wrong_state")
    closed = [
        ("GET", "/sellers"),
        ("GET", "/sellers/applications"),
        ("POST", f"/sellers/applications/{application['id']}/accept"),
        ("POST", f"/sellers/applications/{application['id']}/reject"),
        ("POST", f"/sellers/applications/{application['id']}/requirements/terms/waive"),
        ("POST", "/sellers/x/suspend"),
        ("POST", "/sellers/x/reinstate"),
    ]
    nobody = street.shopper()
    nobody.audience = "admin"
    for method, path in closed:
        status, _, problem = await nobody(method, path)
        assert (status, problem["code"]) == (401, "auth.required")
        status, _, problem = await moderator(method, path)
        assert (status, problem["code"]) == (403, "auth.forbidden")
    for path in ("/sellers/x/suspend", "/sellers/applications/x/accept", "/sellers/applications/x/reject"):
        assert (await admin("POST", path))[0] == 404
    assert (await admin("POST", "/sellers/x/suspend", {"because": "x"}))[0] == 422
    assert (await admin("GET", "/sellers?status=asleep"))[0] == 422
    assert (await admin("GET", "/sellers?cursor=broken"))[0] == 400
    assert (await shopper("GET", "/sellers/nobody"))[0] == 404
    shopper.audience = "seller"
    status, _, problem = await shopper("GET", CURRENT)
    assert (status, problem["code"]) == (401, "auth.required")


@pytest.mark.behaviour("sellers-3")
async def test_no_id_of_another_seller_is_found(street: Any) -> None:
    """Every seller route that takes an id, walked with another seller's ids; those without show only one's own."""
    admin = await street.staff()
    ada = await street.seller(admin, "ada@example.org", "Kettle & Sons")
    eve = await street.seller(admin, "eve@example.org", "Eve")
    product = await _published(ada)
    application, shop = (await ada("GET", CURRENT))[2], (await ada("GET", "/shop"))[2]
    ids = [product["id"], product["slug"], product["variants"][0]["id"], application["id"], shop["id"]]
    routes = [
        route
        for router in street.market.process.routers(["seller"])
        for route in router.routes
        if route.params and router.tag in {"sellers", "catalog"}
    ]
    assert len(routes) >= 6
    for route in routes:
        if route.name == "catalog.add_images":  # a form; see the catalogue's own tests
            continue
        body = {"sellers.submit_requirement": {"value": "accepted"}, "catalog.order_images": {"ids": ["x"]}}.get(route.name)
        for id_ in ids:
            status, _, problem = await eve(route.method, route.path.format_map(dict.fromkeys(route.params, id_)), body)
            assert (status, problem["code"]) == (404, "http.not_found"), f"{route.method} {route.path} with {id_}"
    assert (await eve("GET", "/products"))[2]["items"] == []
    assert (await eve("POST", "/stock", {"items": [{"sku": "pot", "quantity": 1}]}))[2]["items"][0]["status"] == "rejected"
    assert (await eve("GET", CURRENT))[2]["id"] != application["id"]
    assert (await eve("GET", "/shop"))[2]["name"] == "Eve"
    assert (await ada("GET", f"/products/{product['id']}"))[2]["variants"][0]["stock"]["on_hand"] == 5


async def test_a_closed_shop_is_left(street: Any) -> None:
    admin = await street.staff()
    ada = await street.seller(admin, "ada@example.org", "Kettle & Sons")
    await street.market.process.resources.database("main").execute("UPDATE sellers.shops SET status = 'closed'")
    status, _, problem = await ada("GET", "/shop")
    assert (status, problem["code"]) == (403, "sellers.suspended")


async def test_shops_made_by_an_import_are_seen_by_their_owner(street: Any) -> None:
    ada = await street.applicant("ada@example.org")
    [seller] = await street.market.port(Sellers).ensure_sellers(["Pots"], ada.account_id)
    assert (await ada("GET", "/shop"))[2]["id"] == seller.id
