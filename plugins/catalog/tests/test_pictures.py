"""Pictures of products: sent, drawn, ordered, judged, taken away and swept."""

from __future__ import annotations

import asyncio
import io
import os
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from marketplace_catalog.config import CatalogConfig
from marketplace_catalog.pictures import FetchPictures
from PIL import Image

from marketplace_core.capabilities.catalog import ProductQuery
from marketplace_core.capabilities.moderation import Content, ContentDecided
from marketplace_core.pictures import PictureItem, SentPicture
from marketplace_core.testing.contracts.catalog_shelves import Shelf, lines, shelve
from marketplace_core.values import new_id
from plugins.catalog.tests.conftest import Bench
from plugins.catalog.tests.street import POT, Street

Make = Callable[..., Bench]


def drawn(size: tuple[int, int] = (640, 480), colour: str = "red", form: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, form)
    return out.getvalue()


async def add(bench: Bench, shelf: Shelf, *contents: bytes) -> list[PictureItem]:
    """As the route does."""
    sent = [SentPicture(f"{n}.png", f"uploads/catalog/ab/{new_id()}") for n in range(len(contents))]
    await bench.blobs.put({one.key or "": content for one, content in zip(sent, contents, strict=True)})
    return (await bench.catalog.add_images(shelf.seller.id, shelf.product_id, sent, None)).items


async def work(bench: Bench) -> None:
    """What a worker would do, and once more."""
    rows = await bench.database.fetch("SELECT payload FROM marketplace.outbox WHERE kind = 'job' ORDER BY id")
    for row in rows * 2:
        await bench.service.fetch_pictures(msgspec.json.decode(row["payload"], type=FetchPictures))


def moderated(bench: Bench, show: str) -> None:
    """As if the deployment had moderation."""
    bench.service._moderated = True
    bench.service._config = CatalogConfig(show=show)  # type: ignore[arg-type]


async def statuses(bench: Bench, shelf: Shelf) -> list[str]:
    return [image.status for image in (await bench.catalog.get_seller_product(shelf.seller.id, shelf.product_id)).images]


# ── over HTTP ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.behaviour("catalog-4")
async def test_pictures_from_the_form_to_the_card(street: Street) -> None:
    product = await street.publish()
    path = f"/products/{product['id']}"
    files = [("a/../../b.png", drawn()), ("c.svg", b"<svg><script>alert(1)</script></svg>"), ("d.jpg", drawn()[:-40])]
    files += [("e.png", b""), ("f", drawn((800, 600), "blue", "JPEG"))]
    answer = await street.seller.upload(f"{path}/images", files)
    assert [(item["name"], item["status"], item["code"]) for item in answer["items"]] == [
        ("b.png", "pending", None),
        ("c.svg", "rejected", "format"),
        ("d.jpg", "pending", None),
        ("e.png", "rejected", "format"),
        ("f", "pending", None),
    ]
    seen = await street.seller.until(path, lambda body: all(image["status"] != "pending" for image in body["images"]))
    assert [(image["status"], image["code"], image["url"] is not None) for image in seen["images"]] == [
        ("ready", None, True),
        ("rejected", "format", False),
        ("ready", None, True),
    ]
    assert [image["id"] for image in seen["images"]] == [item["id"] for item in answer["items"] if item["id"]]
    await street.market.settle()
    page = await street.shopper.get(path)
    assert [(image["width"], image["height"]) for image in page["images"]] == [(640, 480), (800, 600)]
    [card] = (await street.shopper.get("/products"))["items"]
    assert (card["image"]["width"], card["image"]["height"]) == (480, 360)
    assert card["image"]["url"] == page["images"][0]["sizes"]["card"]["url"]
    root = street.make("buyer")
    root._prefix = street.market.url
    shown = await root.send("GET", card["image"]["url"])
    assert (shown.status, shown.headers["content-type"]) == (200, "image/webp")
    with Image.open(io.BytesIO(shown.body)) as image:
        assert image.size == (480, 360)
    sent = [entry.key for entry in await street.market.process.blobs.list("uploads/")]
    assert len(sent) == 3
    assert (await root.send("GET", f"/media/{sent[0]}")).status == 404, "what came is shown to nobody"
    order = await street.seller.put(f"{path}/images", {"ids": [image["id"] for image in reversed(seen["images"])]})
    await street.seller.delete(f"{path}/images/{order['images'][1]['id']}")
    await street.market.settle()
    assert [image["width"] for image in (await street.shopper.get(path))["images"]] == [800, 640]


async def test_a_repeat_of_a_form_is_one_form(street: Street) -> None:
    path = f"/products/{(await street.seller.post('/products', POT, 201))['id']}"
    files = [("a.png", drawn()), ("b.png", drawn((2000, 2000), "blue", "PNG") + os.urandom(2_000_000))]

    async def send(content: list[tuple[str, bytes]], status: int = 202) -> Any:
        return await street.seller.upload(f"{path}/images", content, status, Idempotency_Key="k")

    async def once() -> Any:
        while True:
            try:
                return await send(files)
            except AssertionError as error:
                assert "409" in str(error), "the other is being carried out"
                await asyncio.sleep(0.05)

    first, second = await asyncio.gather(once(), once())
    assert first == second == await send(files)
    assert (await send([files[0], ("b.png", drawn())], 422))["code"] == "idempotency_key_reused"
    assert len((await street.seller.get(path))["images"]) == 2
    other = street.make("seller")
    await street.shop_of(other, "other@example.org")
    await other.upload(f"{path}/images", files, 404)
    await street.make("seller").upload(f"{path}/images", files, 401)
    for call in (other.put(f"{path}/images", {"ids": []}, 404), other.delete(f"{path}/images/x", 404)):
        await call
    assert len(await street.market.process.blobs.list("uploads/")) == 2, "what is refused is not kept"
    await street.seller.upload(f"{path}/images", [("a.png", drawn((1, 1)))] * 200, 413)
    await street.seller.upload(f"{path}/images", [("a.png", bytes(11 << 20))], 413)
    await street.market.settle()
    tag = (await street.seller.send("GET", path)).headers["etag"]
    await street.seller.upload(f"{path}/images", files[:1], If_Match=tag)
    await street.seller.upload(f"{path}/images", files[:1], 412, If_Match=tag)


# ── on a service ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_product_has_room_for_so_many(make_bench: Make) -> None:
    bench = make_bench()
    shelf = await shelve(bench.catalog, 5)
    bench.service._config = CatalogConfig(max_images=2)
    assert [item.code for item in await add(bench, shelf, b"no", drawn(), drawn())] == [None, None, "length"]
    await work(bench)
    assert await statuses(bench, shelf) == ["rejected", "ready"]
    assert [item.code for item in await add(bench, shelf, drawn(), drawn())] == [None, "length"], "one that is none takes none"


async def test_events_and_rows_have_keys_and_who_reads_them_addresses(make_bench: Make) -> None:
    bench = make_bench()
    shelf = await shelve(bench.catalog, 5)
    await add(bench, shelf, drawn())
    await work(bench)
    [told] = (await bench.events())[-1]["page"]["images"]
    [page] = await bench.catalog.get_pages([shelf.product_id])
    [view] = await bench.catalog.get_variants(list(shelf.ids))
    [line] = (await bench.catalog.reserve(new_id(), lines(shelf, 1), 900)).lines
    keys = [told["url"], page.images[0].url, view.image or "", line.image or ""]
    assert [key.partition("/")[0] for key in keys] == ["catalog"] * 4
    assert None not in [await bench.blobs.get(key) for key in keys]
    assert view.image == line.image == page.images[0].sizes["thumb"].url
    shown = (await bench.catalog.get_product(shelf.product_id)).page
    assert shown is not None and shown.images[0].url == f"/media/{told['url']}"
    [card] = (await bench.catalog.list_products(ProductQuery())).items
    assert card.image is not None and card.image.url == f"/media/{told['sizes']['card']['url']}"


@pytest.mark.parametrize(("show", "before"), [("approved", "pending"), ("first", "ready")])
async def test_moderation_is_told_of_each_picture_and_decides(make_bench: Make, show: str, before: str) -> None:
    bench = make_bench()
    shelf = await shelve(bench.catalog, 5)
    moderated(bench, show)  # of a product itself it is told by a saga
    await add(bench, shelf, drawn(), b"no", drawn())
    await work(bench)
    assert await statuses(bench, shelf) == [before, "rejected", before]
    told = await bench.events("moderation.submitted")
    assert [(one["content"]["kind"], one["cause"], one["snapshot"]) for one in told] == [
        ("image", "new", {"title": "Tea pot"})
    ] * 2
    assert [await bench.blobs.get(key) is not None for one in told for key in one["images"]] == [True, True]
    good, bad = (msgspec.convert(one["content"], Content) for one in told)
    await bench.deliver(ContentDecided(subject=good.key, content=good, approved=True))
    await bench.deliver(ContentDecided(subject=bad.key, content=bad, approved=False, reason_code="adult"))
    images = (await bench.catalog.get_seller_product(shelf.seller.id, shelf.product_id)).images
    assert [(image.status, image.code) for image in images] == [("ready", None), ("rejected", "format"), ("rejected", "adult")]
    page = (await bench.catalog.get_product(shelf.product_id)).page
    assert page is not None and len(page.images) == 1
    await bench.deliver(ContentDecided(subject=bad.key, content=bad, approved=True))  # on appeal
    assert await statuses(bench, shelf) == ["ready", "rejected", "ready"]


async def test_what_neither_products_nor_orders_show_is_swept(make_bench: Make) -> None:
    bench = make_bench()
    shelf = await shelve(bench.catalog, 5)
    bought, gone, kept = [item.id or "" for item in await add(bench, shelf, drawn(), drawn(), drawn())]
    await work(bench)
    waiting = await add(bench, shelf, drawn())
    await bench.catalog.reserve(new_id(), lines(shelf, 1), 900)
    for id_ in (bought, gone):
        await bench.catalog.delete_image(shelf.seller.id, shelf.product_id, id_, None)
    await bench.service.sweep_pictures()
    everything = {entry.key for entry in await bench.blobs.list()}
    assert len(everything) == 4 + 3 * 3, "what is young stays"
    before = time.time() - 3 * 86400
    for key in everything:
        os.utime(bench.blobs.folder / key, (before, before))
    await bench.service.sweep_pictures()
    left = {entry.key for entry in await bench.blobs.list()}
    [view] = await bench.catalog.get_variants(list(shelf.ids))
    [page] = await bench.catalog.get_pages([shelf.product_id])
    thumbs = {key for key in everything if key.endswith("-160.webp")} & left
    assert len(left) == 3 + 1 + 1 and {page.images[0].url, view.image} <= left and len(thumbs) == 2
    await work(bench)
    assert await statuses(bench, shelf) == ["ready", "ready"]
    assert {kept, waiting[0].id} == {
        image.id for image in (await bench.catalog.get_seller_product(shelf.seller.id, shelf.product_id)).images
    }
