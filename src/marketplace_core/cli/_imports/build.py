"""A product out of its rows: what is common to its variants is said by the first row that says it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import UNSET

from marketplace_core.capabilities.catalog import ImportImage, ImportProduct, ImportVariant
from marketplace_core.cli._imports.rows import Common, ProductRow
from marketplace_core.cli._imports.spool import Spooled

__all__ = ["Product", "build", "gather"]

_decode_row = msgspec.msgpack.Decoder(ProductRow).decode
_decode_common = msgspec.msgpack.Decoder(Common).decode


@dataclass
class Product:
    """``keeps``: skus of bad rows; ``told``: why it is rejected is in the report; ``counted``: that it is."""

    seller: int
    key: str
    rows: list[tuple[int, ProductRow]] = field(default_factory=list)
    commons: list[tuple[int, Common]] = field(default_factory=list)
    keeps: list[str] = field(default_factory=list)
    images: dict[ImportImage, None] = field(default_factory=dict)
    addresses: dict[str, None] = field(default_factory=dict)
    told: bool = False
    counted: bool = False


def gather(spooled: Sequence[Spooled]) -> Product:
    product = Product(spooled[0].seller, spooled[0].product)
    for row in spooled:
        if row.kind == 0:
            product.rows.append((row.line, _decode_row(row.body)))
        elif row.kind == 2:
            product.commons.append((row.line, _decode_common(row.body)))
        else:
            product.told = True
            if row.kind == 1:
                product.keeps.append(row.sku)
    return product


def build(product: Product, seller_id: str) -> ImportProduct:
    said: list[Common] = [row for _, row in sorted([*product.commons, *product.rows], key=lambda each: each[0])]
    variants = [row for _, row in product.rows]
    skus = {row.sku for row in variants}

    def first(name: str) -> Any:
        return next((value for row in said if (value := getattr(row, name)) is not None), UNSET)

    path = next((row.path for row in said if row.category is not None), None)
    unsaid: Any = tuple(name for name in ("description", "category", "attributes") if first(name) is UNSET)
    return ImportProduct(
        key=product.key,
        seller_id=seller_id,
        title=said[0].title,
        description="" if "description" in unsaid else first("description"),
        category=path or (),
        attributes={} if "attributes" in unsaid else first("attributes"),
        image=None,
        unsaid=unsaid,
        facts=_facts(first, variants),
        images=tuple(product.images),
        addresses=tuple(product.addresses),
        status=first("status"),
        variants=tuple(_variant(row) for row in variants),
        keeps=tuple(sorted(set(product.keeps) - skus)),
    )


def _facts(first: Any, variants: Sequence[ProductRow]) -> dict[str, Any]:
    """Attributes that have a column of their own."""
    said = {name: first(name) for name in ("brand", "tags", "digital")}
    facts = {name: list(v) if isinstance(v, tuple) else v for name, v in said.items() if v is not UNSET}
    for name in ("weight_g", "barcode"):
        each = {row.sku: getattr(row, name) for row in variants if getattr(row, name) is not None}
        if each:
            facts[name] = next(iter(each.values())) if len(set(each.values())) == 1 else each
    untracked = [row.sku for row in variants if row.untracked]
    if untracked:
        facts["untracked"] = len(untracked) == len(variants) or dict.fromkeys(untracked, True)
    return facts


def _variant(row: ProductRow) -> ImportVariant:
    before = UNSET if row.compare_at is None else row.before
    return ImportVariant(
        sku=row.sku,
        price=row.money,
        stock=row.stock or 0,
        options=row.options,
        compare_at=before,
        stock_unsaid=row.stock is None,
    )
