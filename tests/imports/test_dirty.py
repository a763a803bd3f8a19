"""Every dirty file gives the report that a seller would want, and changes nothing when it is run again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from marketplace_core.capabilities.catalog import Catalog, SellerProductQuery
from marketplace_core.capabilities.sellers import SellerQuery, Sellers
from marketplace_core.cli._imports.products import Report, import_products
from marketplace_core.cli._imports.text import NotAProductFile
from marketplace_core.testing.marketplace import Marketplace
from tests.imports.dirty import DIRTY, Dirty

Open = Callable[..., Awaitable[Marketplace]]


async def test_dirty_files(marketplace: Open, tmp_path: Path) -> None:
    market = await marketplace(["auth", "sellers", "catalog"])
    assert len(DIRTY) >= 60
    wrong: list[str] = []
    for number, (name, dirty) in enumerate(DIRTY.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = folder / dirty.name
        content = (
            dirty.content if isinstance(dirty.content, bytes) else dirty.content.replace("SHOP", f"Shop {number}").encode()
        )
        path.write_bytes(content.replace(b"SHOP", f"Shop {number}".encode()))
        try:
            found = await _run(market, path, dirty)
        except NotAProductFile as error:
            if dirty.refused not in str(error) or dirty.written or dirty.rejected or not error.remedy:
                wrong.append(f"{name}: {error}")
            continue
        except Exception as error:
            wrong.append(f"{name}: {error!r}")
            continue
        wrong += [f"{name}: {each}" for each in [*found, *(["it is read"] if dirty.refused else [])]]
    assert not wrong, "\n".join(wrong)


async def _run(market: Marketplace, path: Path, dirty: Dirty) -> list[str]:
    report = await _imported(market, path, dirty)
    wrong = _differences(report, dirty)
    if not wrong:
        again = await _imported(market, path, dirty)
        if (again.variants.written, again.products.written, again.sellers.written) != (0, 0, 0):
            wrong.append(f"a second run writes {again.variants}")
        if [(row.line, row.code) for row in again.rejected] != [(row.line, row.code) for row in report.rejected]:
            wrong.append(f"a second run rejects {again.rejected}")
    if not wrong and dirty.titles:
        sellers = (await market.port(Sellers).list_sellers(SellerQuery(limit=1))).items
        shown = await market.port(Catalog).list_seller_products(sellers[0].id, SellerProductQuery(limit=100))
        if tuple(product.title for product in shown.items) != dirty.titles:
            wrong.append(f"it shows {[product.title for product in shown.items]}")
    return wrong


async def _imported(market: Marketplace, path: Path, dirty: Dirty) -> Report:
    return await import_products(
        path,
        market.port(Catalog),
        market.port(Sellers),
        market.process.blobs,
        form=dirty.form,
        constants=dirty.constants,
    )


def _differences(report: Report, dirty: Dirty) -> list[str]:
    wrong: list[str] = []
    for name in ("products", "variants", "sellers"):
        count = getattr(report, name)
        if count.read != count.written + count.unchanged + count.rejected:
            wrong.append(f"{name} do not add up: {count}")
    rejected = tuple((row.line, row.code) for row in report.rejected)
    if dirty.written >= 0 and (report.variants.written, rejected) != (dirty.written, dirty.rejected):
        wrong.append(f"{report.variants.written} written, rejected {report.rejected}")
    if dirty.written < 0 and (report.variants.written == 0 or {row.code for row in report.rejected} != {"malformed"}):
        wrong.append(f"{report.variants}, rejected {report.rejected}")
    if dirty.products is not None and report.products.written != dirty.products:
        wrong.append(f"{report.products.written} products")
    if dirty.recognised not in str(report.format):
        wrong.append(f"read as {report.format}")
    if dirty.detail not in "".join(row.detail for row in report.rejected):
        wrong.append(f"it says {report.rejected}")
    wrong += [f"no detail of line {row.line}" for row in report.rejected if not row.detail]
    return wrong
