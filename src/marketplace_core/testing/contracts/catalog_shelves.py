"""Shelves for the catalogue's suite: a seller with a product of so many variants, and what orders tell of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from marketplace_core.capabilities.catalog import (
    Catalog,
    LineRequest,
    MoneyInput,
    ProductDraft,
    ProductQuery,
    SellerRef,
    VariantDraft,
)
from marketplace_core.capabilities.orders import EventLine, ItemsCancelled, PackageShipped
from marketplace_core.errors import NotFound
from marketplace_core.events import Event
from marketplace_core.values import Address, Money, new_id

__all__ = [
    "Deliver",
    "Later",
    "Shelf",
    "cancelled",
    "is_seen",
    "lines",
    "open_seller",
    "shelve",
    "shipped",
    "stock",
    "variants",
]

Later = Callable[[float], Awaitable[None]]
Deliver = Callable[[Event], Awaitable[None]]

ADDRESS = Address(name="Ada", line1="1 Test Street", city="Berlin", postal_code="10115", country="DE")
NOTHING = Money(0, "EUR")


class Shelf(NamedTuple):
    """``skus`` and ``ids`` are those of the variants, in order."""

    seller: SellerRef
    product_id: str
    slug: str
    skus: list[str]
    ids: list[str]


async def open_seller(catalog: Catalog, name: str = "Kettle & Sons") -> SellerRef:
    seller = SellerRef(new_id(), name)
    await catalog.set_seller(seller, True, 1)
    return seller


def variants(*on_hand: int, price: int = 1000, currency: str = "EUR", prefix: str = "") -> tuple[VariantDraft, ...]:
    """A variant per count, told apart by their ``size``; their skus begin with ``prefix``, or with something new."""
    prefix = prefix or new_id()[-8:]
    return tuple(
        VariantDraft(sku=f"{prefix}-{n}", price=MoneyInput(price, currency), stock=count, options={"size": str(n)})
        for n, count in enumerate(on_hand)
    )


async def shelve(
    catalog: Catalog,
    *on_hand: int,
    seller: SellerRef | None = None,
    title: str = "Tea pot",
    price: int = 1000,
    category_id: str | None = None,
    published: bool = True,
) -> Shelf:
    """A product with a variant per count, published unless it is not to be."""
    seller = seller or await open_seller(catalog)
    draft = ProductDraft(title=title, category_id=category_id, variants=variants(*on_hand, price=price))
    product = await catalog.create_product(seller.id, draft)
    if published:
        product = await catalog.publish_product(seller.id, product.id)
    skus, ids = [variant.sku for variant in product.variants], [variant.id for variant in product.variants]
    return Shelf(seller, product.id, product.slug, skus, ids)


async def stock(catalog: Catalog, shelf: Shelf) -> list[tuple[int, int, int]]:
    """On hand, promised and available of each variant."""
    product = await catalog.get_seller_product(shelf.seller.id, shelf.product_id)
    counts = [(variant.stock.on_hand, variant.stock.reserved, variant.stock.available) for variant in product.variants]
    views = {view.id: view.available for view in await catalog.get_variants(shelf.ids)}
    assert [available for _, _, available in counts] == [views[variant.id] for variant in product.variants]
    return counts


def lines(shelf: Shelf, *quantities: int) -> list[LineRequest]:
    """So many of each variant, none of those where it is 0."""
    return [LineRequest(id_, count) for id_, count in zip(shelf.ids, quantities, strict=False) if count]


async def is_seen(catalog: Catalog, shelf: Shelf) -> bool:
    """Whether shoppers see a product; by its id, its slug and in lists alike."""
    pages = []
    for name in (shelf.product_id, shelf.slug):
        try:
            pages.append((await catalog.get_product(name)).page)
        except NotFound:
            pages.append(None)
    listed = await catalog.list_products(ProductQuery(seller=shelf.seller.id, limit=100))
    seen = {page is not None and page.id == shelf.product_id for page in pages}
    seen.add(shelf.product_id in {card.id for card in listed.items})
    assert len(seen) == 1, "a product is seen by one way and not by another"
    return seen.pop()


def shipped(shelf: Shelf, *quantities: int) -> PackageShipped:
    return PackageShipped(
        order_id=new_id(),
        package_id=new_id(),
        shipment_id=new_id(),
        seller_id=shelf.seller.id,
        lines=_event_lines(shelf, quantities),
        amount=NOTHING,
        commission=NOTHING,
        shipping=NOTHING,
        tax=NOTHING,
        remaining=NOTHING,
        origin_country="DE",
        carrier="contract",
        service="contract",
        tracking_number=None,
        address=ADDRESS,
    )


def cancelled(shelf: Shelf, *quantities: int) -> ItemsCancelled:
    found = _event_lines(shelf, quantities)
    return ItemsCancelled(order_id=new_id(), package_id=new_id(), lines=found, amount=NOTHING, remaining=NOTHING)


def _event_lines(shelf: Shelf, quantities: Sequence[int]) -> list[EventLine]:
    return [
        EventLine(
            item_id=new_id(),
            variant_id=line.variant_id,
            product_id=shelf.product_id,
            seller_id=shelf.seller.id,
            quantity=line.quantity,
            unit_price=NOTHING,
            total=NOTHING,
        )
        for line in lines(shelf, *quantities)
    ]
