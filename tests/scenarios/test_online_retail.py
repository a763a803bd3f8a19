"""Real products: the invoices of Online Retail become a product file, the file is imported, and a product of it is bought."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from marketplace_core.capabilities.catalog import Catalog
from marketplace_core.capabilities.sellers import Sellers
from marketplace_core.cli._imports.products import import_products
from marketplace_core.testing.shop import Shop

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data" / "online_retail" / "online_retail.csv.xz"
RECORDED = False
#: Who hears of each of the thousands of products, in the one process of the test.
WITHOUT = ("search", "recommendations", "reviews")


@pytest.mark.skipif(not DATA.exists(), reason=f"{DATA} is not here: the data is not part of the project")
@pytest.mark.costly("a real data set of many thousand rows")
@pytest.mark.parametrize("runner", ["local"])
async def test_real_products_are_browsed_and_bought(shop: Shop, tmp_path: Path) -> None:
    products = tmp_path / "products.jsonl"
    converted = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "marketplace_core.cli", "convert", "online_retail", str(DATA), "-o", str(products))
    )
    assert await converted.wait() == 0
    market = shop.market
    report = await import_products(products, market.port(Catalog), market.port(Sellers), market.process.blobs)
    assert (report.products.written, report.products.rejected, report.rejected) == (3906, 0, [])
    buyer = await shop.buyer()
    [card] = (await buyer.get("/products?sort=price&min_price=200&limit=1"))["items"]
    assert card["seller"]["name"] == "Retail Archive" and card["price"]["currency"] == "GBP"
    product = await buyer.get(f"/products/{card['slug']}")
    placed = await shop.order(buyer, [(product, 3)])
    order = await shop.ended(buyer, placed["id"])
    assert order["status"] == "confirmed"
    assert order["total"]["currency"] == "GBP"
