"""``marketplace import products``: what can be written is written, the rest is told; a second run changes nothing."""

from __future__ import annotations

import asyncio
import hashlib
import io
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct
from PIL import Image, UnidentifiedImageError

from marketplace_core import calls
from marketplace_core.capabilities.catalog import Catalog, ImportImage, ImportProduct, ImportVariant
from marketplace_core.capabilities.sellers import Sellers
from marketplace_core.cli._imports.rows import BadRow, ProductRow, read_rows
from marketplace_core.errors import MarketplaceError
from marketplace_core.ports import Blobs

__all__ = ["Count", "Report", "import_products"]

BATCH = 100
_EXTENSIONS = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp", "GIF": "gif"}
_MAX_PIXELS = 50_000_000


class Count(Struct):
    read: int = 0
    written: int = 0
    unchanged: int = 0
    rejected: int = 0


class Report(Struct):
    products: Count
    variants: Count
    sellers: Count
    rejected: list[BadRow]
    seconds: float


class _Product(Struct):
    """The rows of one product that were good, with their lines."""

    key: tuple[str, str]
    rows: list[tuple[int, ProductRow]]
    image: ImportImage | None = None


async def import_products(
    path: Path,
    catalog: Catalog,
    sellers: Sellers,
    blobs: Blobs,
    *,
    owner_id: str | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Report:
    """Import a file; ``progress`` hears of products done, of how many.

    :param owner_id: the account that owns the first shop which is made, if it has none.
    :raises NotAProductFile: nothing of it can be read.
    """
    began = time.monotonic()
    report = Report(Count(), Count(), Count(), [], 0.0)
    products = list(await asyncio.to_thread(_gather, path, report))
    with calls.scope(calls.Call(origin="import")):
        ids = await _sellers(products, sellers, owner_id, report)
        for start in range(0, len(products), BATCH):
            batch = products[start : start + BATCH]
            await _store_images(path.parent, batch, blobs, report)
            await _write([product for product in batch if product.rows], ids, catalog, report)
            progress(start + len(batch), len(products))
    report.rejected.sort(key=lambda row: row.line)
    report.seconds = round(time.monotonic() - began, 3)
    return report


def _gather(path: Path, report: Report) -> Iterator[_Product]:
    """Products in the order of their first row. What is common to a product's variants comes from that row."""
    found: dict[tuple[str, str], _Product] = {}
    skus: set[tuple[str, str]] = set()
    seen: set[tuple[str, str]] = set()
    for line, row in read_rows(path):
        report.variants.read += 1
        if isinstance(row, BadRow):
            _reject(report, row)
            continue
        key, sku = (row.seller, row.product), (row.seller, row.sku)
        seen.add(key)
        if sku in skus:
            _reject(report, BadRow(line, "duplicate", f"sku: {row.sku!r} of this seller stands on an earlier line."))
            continue
        skus.add(sku)
        product = found.setdefault(key, _Product(key, []))
        first = product.rows[0][1] if product.rows else row
        if first.currency != row.currency:
            _reject(report, BadRow(line, "unknown_value", "currency: all prices of a product are in one currency."))
        elif any(other.options == row.options for _, other in product.rows):
            _reject(report, BadRow(line, "duplicate", "options: another variant of the product has the same options."))
        else:
            product.rows.append((line, row))
    report.products.read = len(seen)
    yield from found.values()


def _reject(report: Report, row: BadRow) -> None:
    report.rejected.append(row)
    report.variants.rejected += 1


async def _sellers(products: Sequence[_Product], sellers: Sellers, owner_id: str | None, report: Report) -> dict[str, str]:
    names = list(dict.fromkeys(product.key[0] for product in products if product.rows))
    ensured = await sellers.ensure_sellers(names, owner_id) if names else []
    made = sum(seller.made for seller in ensured)
    report.sellers = Count(read=len(names), written=made, unchanged=len(names) - made)
    return {name: seller.id for name, seller in zip(names, ensured, strict=True)}


async def _store_images(folder: Path, batch: Sequence[_Product], blobs: Blobs, report: Report) -> None:
    """Pictures go into the blobs under their digest, so that the same picture has the same key at each run."""
    contents: dict[str, bytes] = {}
    for product in batch:
        line, first = next(((line, row) for line, row in product.rows if row.image), (0, None))
        if first is None or first.image is None:
            continue
        try:
            content, image = await asyncio.to_thread(_picture, folder, first.image)
        except ValueError as error:
            for bad, _ in product.rows:
                _reject(report, BadRow(bad, "not_found", f"image: {error} (line {line})"))
            product.rows = []
            report.products.rejected += 1
            continue
        product.image = image
        contents[image.key] = content
    if contents:
        await blobs.put(contents)


def _picture(folder: Path, name: str) -> tuple[bytes, ImportImage]:
    """:raises ValueError: it is not there, or not a picture."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f"{name!r} is not beside the file.")
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            form, (width, height) = image.format, image.size
    except OSError as error:
        unreadable = isinstance(error, UnidentifiedImageError)
        raise ValueError(f"{name!r} is {'no picture' if unreadable else 'not there'}.") from error
    if form not in _EXTENSIONS or width * height > _MAX_PIXELS:
        raise ValueError(f"{name!r} is not a PNG, JPEG, WebP or GIF of at most {_MAX_PIXELS // 1_000_000} megapixels.")
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    return content, ImportImage(f"catalog/{digest[:2]}/{digest}.{_EXTENSIONS[form]}", width, height)


async def _write(batch: Sequence[_Product], ids: dict[str, str], catalog: Catalog, report: Report) -> None:
    if not batch:
        return
    try:
        results = await catalog.import_products([_import(product, ids) for product in batch])
    except MarketplaceError as error:
        if not error.is_refusal or len(batch) == 1:
            if not error.is_refusal:
                raise
            for line, _ in batch[0].rows:
                _reject(report, BadRow(line, error.code, error.detail))
            report.products.rejected += 1
            return
        for product in batch:  # one of them is refused: the others go in
            await _write([product], ids, catalog, report)
        return
    for product, result in zip(batch, results, strict=True):
        for line, row in product.rows:
            status = result.variants[row.sku]
            if status == "rejected":
                _reject(report, BadRow(line, result.code or "rejected", result.detail or ""))
            else:
                setattr(report.variants, status, getattr(report.variants, status) + 1)
        setattr(report.products, result.status, getattr(report.products, result.status) + 1)


def _import(product: _Product, ids: dict[str, str]) -> ImportProduct:
    first = product.rows[0][1]
    return ImportProduct(
        key=first.product,
        seller_id=ids[first.seller],
        title=first.title,
        description=first.description,
        category=first.path,
        attributes=first.attributes,
        image=product.image,
        variants=tuple(ImportVariant(sku=r.sku, price=r.money, stock=r.stock, options=r.options) for _, r in product.rows),
    )
