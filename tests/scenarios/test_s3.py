"""Pictures of a marketplace whose files are in a bucket, from upload to browser, and while the bucket is away."""

from __future__ import annotations

import io
import signal
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest
from PIL import Image

from marketplace_core.adapters.s3.native import EmbeddedMinio
from marketplace_core.testing.contracts import eventually
from marketplace_core.testing.shop import Shop

pytestmark = [pytest.mark.xdist_group("minio"), pytest.mark.parametrize("runner", ["wire"])]

RECORDED = False


@pytest.fixture
def resources(minio_server: EmbeddedMinio) -> Mapping[str, str]:
    return {"files": minio_server.url("shop-files")}


async def test_a_picture_is_uploaded_drawn_and_looked_at(shop: Shop, minio_server: EmbeddedMinio) -> None:
    seller = await shop.open_seller("Kettle")
    pot = await shop.list_product(seller, "Tea Pot", 2495)
    await seller.upload(f"/products/{pot['id']}/images", [(f"{n}.png", _png(n)) for n in range(3)], Idempotency_Key="pictures")
    await shop.market.settle()
    images = (await (await shop.buyer()).get(f"/products/{pot['id']}"))["images"]
    assert len(images) == 3
    async with aiohttp.ClientSession(shop.market.url) as browser:
        async with browser.get(images[0]["url"], allow_redirects=False) as answer:
            assert (answer.status, answer.headers["cache-control"]) == (302, "public, max-age=150")
            assert answer.headers["location"].startswith(f"http://{minio_server.address}/shop-files/catalog/")
        for image in images:
            async with browser.get(image["url"]) as answer:
                assert (answer.status, answer.content_type) == (200, "image/webp")
                assert Image.open(io.BytesIO(await answer.read())).format == "WEBP"
        blobs = shop.market.process.blobs
        came = [entry.key for entry in await blobs.list("uploads/")]
        assert len(came) == 3
        async with browser.get(f"/media/{came[0]}", allow_redirects=False) as answer:
            assert answer.status == 404, "what came is for nobody's eyes"

    child = minio_server.child
    assert child is not None and await _ready(shop) == (200, "ok")
    child.send(signal.SIGSTOP)
    try:
        await eventually(lambda: _away(shop))
    finally:
        child.send(signal.SIGCONT)
    await eventually(lambda: _back(shop))


def _png(n: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (900, 700), (40 * n, 90, 120)).save(file, "PNG")
    return file.getvalue()


async def _ready(shop: Shop) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.get(f"{shop.market.url}/readyz") as answer:
        return answer.status, (await answer.json())["files"]


async def _away(shop: Shop) -> bool:
    status, files = await _ready(shop)
    return status == 503 and files != "ok"


async def _back(shop: Shop) -> bool:
    return await _ready(shop) == (200, "ok")
