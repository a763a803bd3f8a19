"""What the rows of an Olist folder become: shops, people, products, orders, payments and reviews as the ports take them."""

from __future__ import annotations

from datetime import datetime

from marketplace_core.capabilities.auth import ImportAccount
from marketplace_core.capabilities.catalog import ImportProduct, ImportVariant, SellerRef, SellerState
from marketplace_core.capabilities.orders import ImportLine, ImportOrder
from marketplace_core.capabilities.payments import ImportPart, ImportPayment
from marketplace_core.capabilities.reviews import ImportReview
from marketplace_core.capabilities.sellers import ImportSeller
from marketplace_core.values import Address, Money, derived_id
from marketplace_olist.facts import Facts, Person
from marketplace_olist.files import ItemRow, OrderRow, ProductRow

__all__ = ["CURRENCY", "UNSOLD", "account", "number", "order", "payment", "product", "reviews", "seller"]

CURRENCY = "BRL"
COUNTRY = "BR"
STOCK = 10
ZIP_PREFIX_DIGITS = 5

#: Whose products were never sold is not in the files: the catalogue keeps them for nobody, where no shopper looks.
UNSOLD = SellerState(SellerRef(derived_id("olist/unsold"), "olist:unsold"), active=False, version=0)

_STATUS = {
    "created": "pending",
    "approved": "confirmed",
    "invoiced": "confirmed",
    "processing": "confirmed",
    "shipped": "shipped",
    "delivered": "delivered",
    "unavailable": "cancelled",
    "canceled": "cancelled",
}


def _id(kind: str, key: str) -> str:
    return derived_id(f"olist/{kind}/{key}")


def number(order_id: str) -> str:
    return f"olist:{order_id}"


def seller(seller_id: str) -> ImportSeller:
    return ImportSeller(id=_id("seller", seller_id), name=f"olist:{seller_id}", country=COUNTRY)


def _seller_ref(seller_id: str) -> SellerRef:
    shop = seller(seller_id)
    return SellerRef(shop.id, shop.name)


def account(person: Person) -> ImportAccount:
    """The files name nobody. The address is one that cannot exist (RFC 2606)."""
    key = person.row.customer_unique_id
    return ImportAccount(
        id=_id("customer", key),
        email=_email(key),
        name=_name(key),
        created_at=min(order.order_purchase_timestamp for order in person.orders),
    )


def _email(unique_id: str) -> str:
    return f"{unique_id}@olist.invalid"


def _name(unique_id: str) -> str:
    return f"Customer {unique_id[:8]}"


def product(row: ProductRow, sold: ItemRow | None) -> ImportProduct:
    """With the seller and the price of its last sale."""
    sizes = {
        "weight_g": row.product_weight_g,
        "length_cm": row.product_length_cm,
        "height_cm": row.product_height_cm,
        "width_cm": row.product_width_cm,
    }
    price = None if sold is None else Money(sold.price, CURRENCY)
    variant = ImportVariant(id=_id("variant", row.product_id), sku=row.product_id, price=price, stock=STOCK)
    return ImportProduct(
        id=_id("product", row.product_id),
        key=row.product_id,
        seller_id=UNSOLD.seller.id if sold is None else _id("seller", sold.seller_id),
        title=_title(row),
        description="",
        category=(row.product_category_name,) if row.product_category_name else (),
        attributes={name: size for name, size in sizes.items() if size is not None},
        image=None,
        variants=(variant,),
    )


def _title(row: ProductRow) -> str:
    return f"{row.product_category_name} {row.product_id[:8]}".strip()


def order(facts: Facts, row: OrderRow, paid: ImportPayment | None, *, known: bool) -> ImportOrder:
    """``known``: its person has an account here."""
    _, customer = facts.customers[row.customer_id]
    unique_id = customer.customer_unique_id
    expected = row.order_estimated_delivery_date
    return ImportOrder(
        id=_id("order", row.order_id),
        number=number(row.order_id),
        status=_STATUS[row.order_status],  # type: ignore[arg-type]
        account_id=_id("customer", unique_id) if known else None,
        email=_email(unique_id),
        address=Address(
            name=_name(unique_id),
            line1="-",
            city=customer.customer_city,
            region=customer.customer_state,
            postal_code=customer.customer_zip_code_prefix.zfill(ZIP_PREFIX_DIGITS),
            country=COUNTRY,
        ),
        currency=CURRENCY,
        lines=tuple(_line(facts, item) for item in facts.items.get(row.order_id, ())),
        payment=None if paid is None else paid.view(),
        placed_at=row.order_purchase_timestamp,
        confirmed_at=row.order_approved_at,
        shipped_at=row.order_delivered_carrier_date,
        delivered_at=row.order_delivered_customer_date,
        estimated_delivery=None if expected is None else expected.date().isoformat(),
    )


def _line(facts: Facts, item: ItemRow) -> ImportLine:
    _, bought = facts.products[item.product_id]
    return ImportLine(
        id=_id("item", f"{item.order_id}/{item.order_item_id}"),
        variant_id=_id("variant", item.product_id),
        product_id=_id("product", item.product_id),
        seller=_seller_ref(item.seller_id),
        country=COUNTRY,
        sku=item.product_id,
        title=_title(bought),
        quantity=1,
        unit_price=Money(item.price, CURRENCY),
        shipping=Money(item.freight_value, CURRENCY),
    )


def payment(facts: Facts, row: OrderRow, *, known: bool) -> ImportPayment | None:
    """All rows of an order are one payment."""
    rows = facts.payments.get(row.order_id)
    if not rows:
        return None
    unique_id = facts.customers[row.customer_id][1].customer_unique_id
    parts = [
        ImportPart(f"{row.order_id}/{one.payment_sequential}/{one.payment_type}", Money(one.payment_value, CURRENCY))
        for _, one in rows
    ]
    return ImportPayment(
        id=_id("payment", row.order_id),
        order_id=_id("order", row.order_id),
        account_id=_id("customer", unique_id) if known else None,
        gateway="olist",
        reference=row.order_id,
        currency=CURRENCY,
        parts=tuple(parts),
        at=_paid_at(row),
    )


def reviews(facts: Facts, row: OrderRow) -> list[ImportReview]:
    """The first is of the order's first line, and so on: the files do not say of which."""
    unique_id = facts.customers[row.customer_id][1].customer_unique_id
    found = zip(facts.reviews.get(row.order_id, ()), facts.items.get(row.order_id, ()), strict=False)
    return [
        ImportReview(
            id=_id("review", f"{said.review_id}/{said.order_id}"),
            order_id=_id("order", row.order_id),
            order_item_id=_id("item", f"{item.order_id}/{item.order_item_id}"),
            product_id=_id("product", item.product_id),
            seller_id=_id("seller", item.seller_id),
            account_id=_id("customer", unique_id),
            author=_name(unique_id),
            rating=said.review_score,
            title=said.review_comment_title,
            text=said.review_comment_message,
            delivered_at=row.order_delivered_customer_date,
            created_at=said.review_creation_date,
        )
        for (_, said), item in found
    ]


def _paid_at(row: OrderRow) -> datetime:
    return row.order_approved_at or row.order_purchase_timestamp
