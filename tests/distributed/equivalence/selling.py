"""What sellers do: apply, offer things, change what they offer, and send what was bought."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from tests.distributed.equivalence.acts import act
from tests.distributed.equivalence.beginning import apply, draft, offer, register
from tests.distributed.equivalence.shopping import see
from tests.distributed.equivalence.world import Order, Person, Product, World


def picture(world: World) -> bytes:
    """A small one, of its own colours."""
    world.images += 1
    made, content = Image.new("RGB", (320, 240), (world.images * 37 % 256, 90, world.images * 11 % 256)), io.BytesIO()
    made.putpixel((3, 3), (255, 255, 255))
    made.save(content, "PNG")
    return content.getvalue()


def _seller(world: World) -> Person:
    seller = world.one([each for each in world.sellers if each.shop])
    assert seller is not None
    return seller


# ── shops ────────────────────────────────────────────────────────────────────────────────────────────────────


@act(3)
async def apply_for_shop(world: World) -> None:
    name = f"shop{len(world.sellers)}"
    person = await register(world, "seller", name)
    await world.ask(person, "GET", "/shop")
    world.applicants.append((person, await apply(world, person, name.title())))
    await world.ask(person, "GET", "/applications/current")


@act(2)
async def change_shop(world: World) -> None:
    seller = _seller(world)
    body = world.chance.choice([{"description": f"Since act {world.act}."}, {"description": None}, {"country": "AT"}])
    await world.ask(seller, "PATCH", "/shop", body)
    await world.rest()
    await world.ask(seller, "GET", "/shop")


@act(1)
async def change_logo(world: World) -> None:
    seller = _seller(world)
    await world.ask(seller, "POST", "/shop/logo", files=(("logo.png", picture(world)),))
    await world.rest()
    shown = await world.ask(None, "GET", f"/sellers/{seller.shop}")
    if shown.status == 200 and shown.body["logo"]:
        await world.pictures(shown.body["logo"])


# ── products ─────────────────────────────────────────────────────────────────────────────────────────────────


@act(4)
async def offer_product(world: World) -> None:
    product = await offer(world, _seller(world), len(world.products), published=world.often(0.7))
    await world.ask(product.seller, "GET", f"/products/{product.id}")


@act(2)
async def offer_what_is_held(world: World) -> None:
    """A listing that the checks hold for a person."""
    seller, number = _seller(world), len(world.products)
    body = {**draft(world, number), "description": "Cheaper by mail: kettle@example.org"}
    made = (await world.ask(seller, "POST", "/products", body)).body
    await world.ask(seller, "POST", f"/products/{made['id']}/publish")
    await world.rest()
    await world.ask(seller, "GET", f"/products/{made['id']}")
    variants = made["variants"]
    world.products.append(
        Product(made["id"], seller, body["title"], [one["id"] for one in variants], [one["sku"] for one in variants])
    )


@act(4)
async def change_product(world: World) -> None:
    product = world.one(world.products)
    assert product is not None
    seen = await world.ask(product.seller, "GET", f"/products/{product.id}")
    body: dict[str, Any] = world.chance.choice(
        [
            {"title": f"{product.title} {world.act}"},
            {"description": "It has been improved."},
            {"category_id": world.one(world.categories)},
            {"category_id": None},
            {"variants": [{"sku": product.skus[0], "title": f"edition {world.act}"}]},
        ]
    )
    headers = {"If-Match": seen.headers["ETag"]} if seen.status == 200 and world.often(0.5) else {}
    await world.ask(product.seller, "PATCH", f"/products/{product.id}", body, headers=headers)
    await world.rest()
    await world.ask(None, "GET", f"/products/{product.id}")


@act(2)
async def publish_or_archive(world: World) -> None:
    product = world.one(world.products)
    assert product is not None
    await world.ask(product.seller, "POST", f"/products/{product.id}/{world.chance.choice(['publish', 'publish', 'archive'])}")
    await world.rest()
    await world.ask(product.seller, "GET", f"/products/{product.id}")
    if world.often(0.2):
        await world.ask(product.seller, "DELETE", f"/products/{product.id}")


@act(3)
async def look_at_products(world: World) -> None:
    seller = _seller(world)
    status = world.chance.choice(["", "status=published&", "status=draft&", "status=in_review&"])
    path = f"/products?{status}limit={world.chance.choice([2, 20])}"
    reply = await world.ask(seller, "GET", path)
    if reply.status == 200 and reply.body["next"]:
        await world.ask(seller, "GET", f"{path}&cursor={reply.body['next']}")


@act(2)
async def give_pictures(world: World) -> None:
    """Several at once, one of which is none."""
    product = world.one(world.products)
    assert product is not None
    files = [(f"{world.act}-{at}.png", picture(world)) for at in range(world.chance.choice([1, 2]))]
    if world.often(0.3):
        files.append(("broken.png", b"\x89PNG\r\n\x1a\nnothing"))
    await world.ask(product.seller, "POST", f"/products/{product.id}/images", files=tuple(files))
    await world.rest()
    seen = await world.ask(product.seller, "GET", f"/products/{product.id}")
    product.images = [one["id"] for one in seen.body["images"]] if seen.status == 200 else []
    shown = await world.ask(None, "GET", f"/products/{product.id}")
    if shown.status == 200:
        for image in shown.body["images"][-1:]:
            await world.pictures(image["url"])


@act(1)
async def sort_pictures(world: World) -> bool | None:
    if (product := world.one([each for each in world.products if each.images])) is None:
        return False
    product.images.reverse()
    path = f"/products/{product.id}/images"
    if world.often(0.6):
        await world.ask(product.seller, "PUT", path, {"ids": product.images})
    else:
        await world.ask(product.seller, "DELETE", f"{path}/{product.images.pop()}")
    await world.rest()
    await world.ask(product.seller, "GET", f"/products/{product.id}")
    return None


@act(4)
async def count_stock(world: World) -> None:
    product = world.one(world.products)
    assert product is not None
    sku = world.chance.choice(product.skus)
    rows: list[dict[str, Any]] = [
        {"sku": sku, **world.chance.choice([{"quantity": 0}, {"quantity": 12}, {"delta": 5}, {"delta": -100}])},
        {"sku": f"{sku}-none", "quantity": 1},
    ]
    await world.ask(product.seller, "POST", "/stock", {"items": rows})
    await world.rest()
    await world.ask(None, "GET", f"/products/{product.id}")


@act(3)
async def change_prices(world: World) -> None:
    product = world.one(world.products)
    assert product is not None
    amount = world.chance.choice([999, 1999, 2999])
    row: dict[str, Any] = {"sku": world.chance.choice(product.skus), "price": {"amount": amount, "currency": "EUR"}}
    if world.often(0.4):
        row["compare_at"] = {"amount": amount + 500, "currency": "EUR"}
    await world.ask(product.seller, "POST", "/prices", {"items": [row]})
    await world.rest()
    await world.ask(None, "GET", f"/products/{product.id}")


# ── what was bought ──────────────────────────────────────────────────────────────────────────────────────────


def _packages(world: World, *statuses: str) -> list[tuple[Order, Any]]:
    return [
        (order, package)
        for order in world.orders
        if order.seen
        for package in order.seen["packages"]
        if package["status"] in statuses
    ]


def _of(world: World, package: Any) -> Person:
    return next(each for each in world.sellers if each.shop == package["seller"]["id"])


@act(3)
async def look_at_sales(world: World) -> None:
    seller = _seller(world)
    sort = world.chance.choice(["created", "updated"])
    reply = await world.ask(seller, "GET", f"/orders?sort={sort}&limit={world.chance.choice([1, 20])}")
    if reply.status == 200 and reply.body["items"]:
        await world.ask(seller, "GET", f"/orders/{world.one(reply.body['items'])['id']}")


@act(12)
async def ship(world: World) -> bool | None:
    """Mostly all that is left, by the carrier that was chosen; then its label."""
    if (found := world.one(_packages(world, "confirmed", "partially_shipped"))) is None:
        return False
    order, package = found
    seller = _of(world, package)
    body: dict[str, Any] = {}
    if world.often(0.3) and (line := world.one(package["items"])):
        body = {"items": [{"item_id": line["id"], "quantity": 1}]}
    made = await world.ask(seller, "POST", f"/orders/{package['id']}/ship", body or None)
    await world.rest()
    await see(world, order)
    if made.status == 202:
        shipment = await world.ask(seller, "GET", f"/shipments/{made.body['id']}")
        order.shipments[shipment.body["id"]] = shipment.body
        await world.ask(seller, "GET", f"/shipments/{made.body['id']}/label")
    return None


@act(1)
async def decline(world: World) -> bool | None:
    if (found := world.one(_packages(world, "confirmed", "shipped"))) is None:
        return False
    order, package = found
    await world.ask(_of(world, package), "POST", f"/orders/{package['id']}/decline", {"reason": "It broke."})
    await world.rest()
    await see(world, order)
    return None


@act(2)
async def look_at_balance(world: World) -> None:
    await world.ask(_seller(world), "GET", "/balance")


@act(3, whole=True)
async def look_at_own_reports(world: World) -> None:
    names = ("sales", "funnel", "returns", "cohorts", "lateness", "ratings", "performance")
    interval = world.chance.choice(["day", "week", "month"])
    await world.ask(_seller(world), "GET", f"/reports/{world.chance.choice(names)}?interval={interval}")


@act(2)
async def keep_keys(world: World) -> None:
    """Make one and use it, or end one."""
    if world.keys and world.often(0.4):
        owner, id_ = world.keys.pop()
        await world.ask(owner, "DELETE", f"/api-keys/{id_}")
    else:
        owner = _seller(world)
        made = await world.ask(owner, "POST", "/api-keys", {"name": f"erp {world.act}"})
        if made.status == 201:
            world.keys.append((owner, made.body["id"]))
            headers = {"Authorization": f"Bearer {made.body['key']}"}
            await world.ask(None, "GET", "/products?limit=2", audience="seller", headers=headers)
    await world.ask(owner, "GET", "/api-keys")
