"""A file in the shape of each format goes in as it is, and says what it says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from marketplace_core.capabilities.catalog import Catalog, SellerProduct, SellerProductQuery
from marketplace_core.capabilities.sellers import SellerQuery, Sellers
from marketplace_core.cli._imports.files import open_file
from marketplace_core.cli._imports.formats import load_format, shipped, text_of
from marketplace_core.cli._imports.products import import_products
from marketplace_core.cli._imports.rows import UNTRACKED, ProductRow
from marketplace_core.cli._imports.text import NotAProductFile
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import Money
from tests.imports.shapes import GOOGLE, MAPPED, MAPPING, SHOPIFY, WOOCOMMERCE, workbook

Open = Callable[..., Awaitable[Marketplace]]


class Shop:
    def __init__(self, market: Marketplace, folder: Path) -> None:
        self._market, self.folder = market, folder

    async def take(self, name: str, content: str | bytes, **options: Any) -> dict[str, SellerProduct]:
        """The products of the shop that a file makes, by title; each row of it is written, and a second run writes none."""
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        ports = self._market.port(Catalog), self._market.port(Sellers), self._market.process.blobs
        constants = {"currency": "EUR", **options.pop("constants", {})}
        report = await import_products(path, *ports, constants=constants, **options)
        assert report.rejected == []
        assert report.variants.read == report.variants.written > 0
        again = await import_products(path, *ports, constants=constants, **options)
        assert (again.products.written, again.variants.written) == (0, 0)
        [shop] = (await self._market.port(Sellers).list_sellers(SellerQuery(limit=1))).items
        found = await self._market.port(Catalog).list_seller_products(shop.id, SellerProductQuery(limit=100))
        return {product.title: product for product in found.items}

    async def path(self, product: SellerProduct) -> list[str]:
        page = (await self._market.port(Catalog).get_product(product.id)).page
        assert page is not None and page.category is not None
        return page.category.path


def said(product: SellerProduct) -> list[tuple[Any, ...]]:
    return [
        (v.sku, v.options, v.price and v.price.amount, v.compare_at and v.compare_at.amount, v.stock.on_hand)
        for v in product.variants
    ]


async def test_each_format_goes_in_with_one_command(marketplace: Open, tmp_path: Path) -> None:
    shop = Shop(await marketplace(["auth", "sellers", "catalog"]), tmp_path)
    await _shopify(shop)
    await _woocommerce(shop)
    await _google(shop)
    await _mapping(shop)
    await _workbook(shop)


async def _shopify(shop: Shop) -> None:
    Image.new("RGB", (8, 6), "red").save(shop.folder / "side.png")
    found = await shop.take("products_export.csv", SHOPIFY, constants={"seller": "Smith", "country": "DE"})
    pot, card = found["Iron pot"], found["Gift card"]
    assert said(pot) == [("POT-S", {"Size": "S"}, 2490, 2990, 5), ("POT-L", {"Size": "L"}, 3490, None, 0)]
    assert pot.description == "Of iron.\n- heavy"
    assert pot.attributes == {
        "brand": "Smith",
        "tags": ["iron", "black"],
        "weight_g": {"POT-S": 1200, "POT-L": 1900},
        "barcode": "4006381333931",
    }
    assert [image.status for image in pot.images] == ["ready"]
    assert await shop.path(pot) == ["Home", "Pots"]
    assert said(card) == [("GIFT-CARD", {}, 2500, None, UNTRACKED)]
    assert (pot.status, card.status) == ("published", "draft")


async def _woocommerce(shop: Shop) -> None:
    found = await shop.take("wc-product-export.csv", WOOCOMMERCE, constants={"seller": "Woo"})
    hoodie, beanie = found["Hoodie"], found["Beanie"]
    assert said(hoodie) == [
        ("HOODIE-RED", {"Colour": "Red"}, 4200, 4500, 4),
        ("HOODIE-BLUE", {"Colour": "Blue"}, 4500, None, UNTRACKED),
    ]
    assert (hoodie.description, hoodie.attributes["weight_g"]) == ("Warm.", 500)
    assert await shop.path(hoodie) == ["Clothing", "Hoodies"]
    assert said(beanie) == [("BEANIE", {}, 2000, None, 7)]
    assert (beanie.status, beanie.description, beanie.attributes["Material"]) == ("draft", "Of wool.", "Wool")
    assert found.keys() == {"Hoodie", "Beanie"}


async def _google(shop: Shop) -> None:
    found = await shop.take("feed.txt", GOOGLE, constants={"seller": "Loom"})
    assert said(found["Tee"]) == [
        ("TEE-R-S", {"color": "red", "size": "S"}, 1200, 1500, UNTRACKED),
        ("TEE-R-M", {"color": "red", "size": "M"}, 1500, None, 0),
    ]
    assert said(found["Cap"]) == [("CAP", {"color": "blue"}, 900, None, UNTRACKED)]


async def _mapping(shop: Shop) -> None:
    (shop.folder / "topf.toml").write_text(MAPPING)
    found = await shop.take("artikel.csv", MAPPED.encode("cp1252"), form=str(shop.folder / "topf.toml"))
    [pot] = found.values()
    assert said(pot) == [("T-1", {"size": "S"}, 102490, None, 3), ("T-2", {"size": "L"}, 1050, None, 4)]
    assert pot.attributes["weight_g"] == {"T-1": 2500, "T-2": 1500}
    assert await shop.path(pot) == ["Küche", "Töpfe"]


async def _workbook(shop: Shop) -> None:
    header = ["product", "sku", "title", "seller", "price", "currency", "stock"]
    sheet = workbook(
        [header, ["p", 12345.0, "Pot", "Sheets", 9.5, "EUR", 3.0], [], ["q", "S2", "Jug", "Sheets", 10.0, "EUR", 0.0]]
    )
    found = await shop.take("products.xlsx", sheet)
    assert said(found["Pot"]) == [("12345", {}, 950, None, 3)]
    assert said(found["Jug"]) == [("S2", {}, 1000, None, 0)]


# ── without a marketplace ────────────────────────────────────────────────────────────────────────────────────


def test_formats_are_recognised_by_their_headers(tmp_path: Path) -> None:
    for content, name in ((SHOPIFY, "shopify"), (WOOCOMMERCE, "woocommerce"), (GOOGLE, "google")):
        (tmp_path / "a.csv").write_text(content)
        assert open_file(tmp_path / "a.csv", None, {"seller": "s"}).recognised.format == name
    assert shipped().keys() == {"google", "shopify", "woocommerce"}


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (None, "cannot be read"),
        ("[columns", "is not TOML"),
        ("[columns]\nTitle = 'name'", "no product has a field 'name'"),
        ("[colums]\nTitle = 'title'", "columns"),
        ("[columns]\nTitle = 'title'", "has nothing for"),
    ],
)
def test_a_mapping_file_that_is_none_is_told(tmp_path: Path, text: str | None, cause: str) -> None:
    (tmp_path / "a.csv").write_text("Title,Cost\nPot,1\n")
    if text is not None:
        (tmp_path / "m.toml").write_text(text)
    with pytest.raises(NotAProductFile, match=cause) as error:
        open_file(tmp_path / "a.csv", str(tmp_path / "m.toml"), {"seller": "s"})
    assert error.value.remedy
    with pytest.raises(NotAProductFile, match="there is no format 'magento'") as error:
        load_format("magento")
    assert "shopify" in error.value.remedy


def test_a_sku_that_is_made_up_is_the_same_wherever_its_row_stands(tmp_path: Path) -> None:
    head = "product,title,seller,price,currency,stock,option.size\n"
    lines = ["a,A,s,1,EUR,1,S\n", "a,A,s,1,EUR,1,M\n", f"{'b' * 120},B,s,1,EUR,1,\n"]
    found = []
    for order in (lines, lines[::-1]):
        (tmp_path / "a.csv").write_text(head + "".join(order))
        found.append({row.sku for _, _, row in open_file(tmp_path / "a.csv").rows if isinstance(row, ProductRow)})
    assert found[0] == found[1] >= {"A-S", "A-M"}
    assert len(found[0]) == 3 and all(len(sku) <= 100 for sku in found[0])


def test_what_a_person_reads_of_html() -> None:
    assert text_of("<p>Of <b>iron</b> &amp; wood</p><script>x()</script><br>Heavy") == "Of iron & wood\nHeavy"
    assert text_of("plain, 5 > 4") == "plain, 5 > 4"


def test_prices_in_other_currencies_follow_them(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("id\ttitle\tprice\tavailability\nA\tPot\tJPY 1200\tin_stock\n")
    [(_, _, row)] = open_file(tmp_path / "a.tsv", None, {"seller": "s", "currency": "EUR"}).rows
    assert isinstance(row, ProductRow) and row.money == Money(1200, "JPY")
