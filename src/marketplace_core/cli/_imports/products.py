"""``marketplace import products``: what can be written is written, the rest is told; a second run changes nothing.

The file is read once, onto the disk; then products are written as they stand there. So a product's rows may stand anywhere, and
which of them has which sku is judged by what the whole file says.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from marketplace_core import calls
from marketplace_core.capabilities.catalog import Catalog, ImportImage, ImportProduct, ImportResult
from marketplace_core.capabilities.sellers import Sellers
from marketplace_core.cli._imports.build import Product, build, gather
from marketplace_core.cli._imports.files import ProductFile, open_file
from marketplace_core.cli._imports.pictures import find_picture
from marketplace_core.cli._imports.report import Report
from marketplace_core.cli._imports.rows import BadRow, Common, ProductRow, made_up_sku
from marketplace_core.cli._imports.shops import Shops
from marketplace_core.cli._imports.spool import Spool, Spooled
from marketplace_core.errors import MarketplaceError
from marketplace_core.pictures import TYPE, BadPicture, Picture, PictureSizes, kept_sizes
from marketplace_core.ports import Blobs

__all__ = ["Progress", "Report", "import_products"]

BATCH = 200
BATCH_ROWS = 1000
_SPOOLED = 2000

Progress = Callable[[int, int], None]


class Ports(Struct):
    catalog: Catalog
    sellers: Sellers
    blobs: Blobs
    sizes: PictureSizes | None


def _is_address(picture: str) -> bool:
    return picture.startswith(("https://", "http://"))


def _ignore(_done: int, _total: int) -> None:
    pass


async def import_products(
    path: Path,
    catalog: Catalog,
    sellers: Sellers,
    blobs: Blobs,
    *,
    owner_id: str | None = None,
    form: str | None = None,
    constants: Mapping[str, str] | None = None,
    progress: Progress = _ignore,
    reading: Progress = _ignore,
    sizes: PictureSizes | None = None,
) -> Report:
    """Import a file; ``reading`` hears of rows read, ``progress`` of rows done, of how many.

    While the file is read that is a guess, by how far in it the rows stand; 0 where none can be made.

    :param owner_id: the account that owns the first shop which is made, if it has none.
    :param form: a format that is shipped, or the path of a mapping file; None: as the header says.
    :param constants: field -> what no column of the file says.
    :param sizes: those in which pictures are kept; None: as where no deployment says so.
    :raises NotAProductFile: nothing of it can be read.
    """
    began = time.monotonic()
    report = Report()
    with Spool() as spool:
        shops = Shops()
        source = await asyncio.to_thread(open_file, path, form, constants)
        report.format = source.recognised
        await asyncio.to_thread(_read, source, spool, shops, report, reading)
        with calls.scope(calls.Call(origin="import")):
            await shops.ensure(sellers, owner_id, report.sellers)
            for number, same in shops.merged():
                spool.merge(number, same)
            report.products.read = await asyncio.to_thread(_settle, spool, report)
            await _Writing(path.parent, spool, shops, Ports(catalog, sellers, blobs, sizes), report, progress).run()
    report.rejected.sort(key=lambda row: row.line)
    report.seconds = round(time.monotonic() - began, 3)
    return report


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────


def _read(source: ProductFile, spool: Spool, shops: Shops, report: Report, reading: Progress) -> None:
    waiting: list[Spooled] = []
    for line, fields, row in source.rows:
        spooled = _spooled(line, fields, row, shops)
        if isinstance(row, BadRow):
            report.reject(row, read=True)
        elif isinstance(row, ProductRow):
            report.variants.read += 1
        if spooled is not None:
            waiting.append(spooled)
        if len(waiting) >= _SPOOLED:
            spool.add(waiting)
            waiting.clear()
            share = source.place.share
            reading(report.variants.read, round(report.variants.read / share) if share else 0)
    spool.add(waiting)
    reading(report.variants.read, report.variants.read)


def _spooled(line: int, fields: Mapping[str, Any], row: Common | BadRow, shops: Shops) -> Spooled | None:
    if isinstance(row, BadRow):
        product, seller = _text(fields, "product"), _text(fields, "seller")
        if not product or not seller:
            return None  # it names nothing
        sku = _text(fields, "sku") or made_up_sku(product, fields)
        return Spooled(line, shops.number(seller), product, sku, 1, b"")
    good = isinstance(row, ProductRow)
    number = shops.number(row.seller, row.country, good=good)
    sku = row.sku if isinstance(row, ProductRow) else ""
    return Spooled(line, number, row.product, sku, 0 if good else 2, msgspec.msgpack.encode(row))


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value.strip() if isinstance(value, str) and "\0" not in value and len(value) <= 1000 else ""


def _settle(spool: Spool, report: Report) -> int:
    """Gives how many products there are."""
    spool.close_in()
    for line, sku, before in spool.twice():
        report.reject(BadRow(line, "duplicate", f"sku: {sku!r} of this seller stands on line {before} already.", sku))
    return spool.order()


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────


class _Writing:
    def __init__(self, folder: Path, spool: Spool, shops: Shops, ports: Ports, report: Report, progress: Progress) -> None:
        self._folder, self._spool, self._shops, self._ports = folder, spool, shops, ports
        self._report, self._progress = report, progress

    async def run(self) -> None:
        done, total = 0, self._report.variants.read
        self._progress(done, total)
        for batch in self._batches():
            ready = [product for product in batch if await self._is_good(product)]
            await self._pictures(ready)
            await self._write([product for product in ready if self._has_rows(product)])
            done += sum(len(product.rows) + len(product.keeps) for product in batch)
            self._progress(min(done, total), total)
        self._progress(total, total)

    def _batches(self) -> Iterator[list[Product]]:
        batch: list[Product] = []
        rows = 0
        for spooled in self._spool.products():
            product = gather(spooled)
            batch.append(product)
            rows += len(product.rows)
            if len(batch) >= BATCH or rows >= BATCH_ROWS:
                yield batch
                batch, rows = [], 0
        if batch:
            yield batch

    async def _is_good(self, product: Product) -> bool:
        refused = self._shops.refused(product.seller)
        if refused is not None and product.rows:
            self._reject(product, *refused)
            return False
        return self._has_rows(product)

    def _has_rows(self, product: Product) -> bool:
        """A product of which no row is left is rejected, and its rows are told already."""
        if product.rows:
            return True
        if product.commons and not product.told:
            detail = "The product has no variant: no row of it has a price."
            self._report.reject(BadRow(product.commons[0][0], "required", detail, product.key), read=True)
            product.told = True
        self._report.products.rejected += not product.counted
        product.counted = True
        return False

    async def _pictures(self, products: Sequence[Product]) -> None:
        """Into the blobs, under their digests. A row whose picture is bad is rejected, and no other."""
        found = await self._find_all(products)
        contents: dict[str, bytes] = {}
        for product in products:
            for line, row in [*product.commons, *product.rows]:
                for name in row.pictures:
                    if _is_address(name):
                        product.addresses[name] = None
                        continue
                    picture = found[name]
                    if isinstance(picture, BadPicture):
                        self._drop(product, line, row, BadRow(line, picture.code, f"image: {picture.detail}", name[:100]))
                        break
                    sizes, drawn = kept_sizes(picture, "catalog", f"{self._shops.id_of(product.seller)}\n{product.key}")
                    page = sizes.pop("page")
                    product.images[ImportImage(page.url, page.width, page.height, sizes)] = None
                    contents |= drawn
        if contents:
            await self._ports.blobs.put(contents, TYPE)

    async def _find_all(self, products: Sequence[Product]) -> dict[str, Picture | BadPicture]:
        """Each once, whichever rows name it: those of a product's variants mostly name the same."""
        rows = (row for product in products for _, row in [*product.commons, *product.rows])
        names = list(dict.fromkeys(name for row in rows for name in row.pictures if not _is_address(name)))
        few = asyncio.Semaphore(len(os.sched_getaffinity(0)))

        async def find(name: str) -> Picture | BadPicture:
            async with few:
                try:
                    return await asyncio.to_thread(find_picture, self._folder, name, self._ports.sizes)
                except BadPicture as error:
                    return error

        return dict(zip(names, await asyncio.gather(*map(find, names)), strict=True))

    def _drop(self, product: Product, line: int, row: Common, bad: BadRow) -> None:
        product.told = True
        if isinstance(row, ProductRow):
            product.rows = [each for each in product.rows if each[0] != line]
            product.keeps.append(row.sku)
            self._report.reject(bad)
        else:
            product.commons = [each for each in product.commons if each[0] != line]
            self._report.reject(bad, read=True)

    async def _write(self, batch: Sequence[Product]) -> None:
        if not batch:
            return
        given = [build(product, self._shops.id_of(product.seller)) for product in batch]
        moving: list[tuple[Product, ImportProduct, ImportResult]] = []
        for product, wanted, result in zip(batch, given, await self._send(batch, given), strict=True):
            takes = self._takes(product, result)
            if takes:
                moving.append((product, replace(wanted, takes=takes), result))
            else:
                self._tell(product, result)
        if moving:
            products = [product for product, _, _ in moving]
            results = await self._send(products, [wanted for _, wanted, _ in moving])
            for product, result, (_, _, before) in zip(products, results, moving, strict=True):
                # What the first attempt wrote is written, though the second one found it so.
                self._tell(product, replace(result, status=_better(before.status, result.status)), before)

    def _takes(self, product: Product, result: ImportResult) -> tuple[str, ...]:
        """Skus that another product has now, and by the end of the file will not have."""
        return tuple(
            sku
            for sku, problem in result.problems.items()
            if problem.code == "catalog.sku_taken"
            and problem.holder is not None
            and self._spool.gives_away(product.seller, problem.holder, sku)
        )

    async def _send(self, batch: Sequence[Product], given: Sequence[ImportProduct]) -> list[ImportResult]:
        try:
            return await self._ports.catalog.import_products(list(given))
        except MarketplaceError as error:
            if not error.is_refusal:
                raise
            if len(given) == 1:
                refused = {variant.sku: "rejected" for variant in given[0].variants}
                return [ImportResult("rejected", refused, error.code, error.detail)]  # type: ignore[arg-type]
        halves = len(given) // 2  # one of them is refused: the others go in
        return [
            *await self._send(batch[:halves], given[:halves]),
            *await self._send(batch[halves:], given[halves:]),
        ]

    def _tell(self, product: Product, result: ImportResult, before: ImportResult | None = None) -> None:
        for line, row in product.rows:
            status = result.variants[row.sku]
            if status == "rejected":
                problem = result.problems.get(row.sku)
                code, detail = (problem.code, problem.detail) if problem else (result.code or "rejected", result.detail or "")
                self._report.reject(BadRow(line, code, detail, row.sku))
            else:
                self._report.variants.add(_better(before.variants[row.sku], status) if before else status)
        self._report.products.add(result.status)

    def _reject(self, product: Product, code: str, detail: str) -> None:
        for line, row in product.rows:
            self._report.reject(BadRow(line, code, detail, row.seller[:100]))
        product.rows, product.told = [], True
        self._has_rows(product)


def _better(before: Any, after: Any) -> Any:
    return "written" if "written" in {before, after} else after
