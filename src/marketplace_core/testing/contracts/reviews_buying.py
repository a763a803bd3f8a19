"""What has arrived for whom, in the suite of reviews; and what a provider has carried out."""

from __future__ import annotations

from marketplace_core import calls
from marketplace_core.capabilities.auth import Auth, Registration
from marketplace_core.capabilities.orders import EventLine, OrderConfirmed, PackageDelivered
from marketplace_core.capabilities.reviews import ReviewDraft, Reviews
from marketplace_core.testing.contracts.surroundings import shipped
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import Money, new_id

__all__ = ["EUR", "PRODUCT", "SELLER", "bought", "joined", "reviewed", "under_key"]

PRODUCT, SELLER = "product", "seller"
EUR = Money(1000, "EUR")


async def joined(market: Marketplace, name: str = "Ada Lovelace") -> str:
    """Somebody's account."""
    registration = Registration(f"{new_id()}@example.org", "correct horse battery", name)
    return (await market.port(Auth).ensure_account(registration, ())).id


async def bought(
    market: Marketplace,
    account_id: str | None,
    *,
    product: str = PRODUCT,
    seller: str = SELLER,
    sent: bool = True,
    delivered: bool = True,
) -> str:
    """A line of an order of the account's, or a guest's, that has arrived, or is on its way; gives its id."""
    line = EventLine(
        item_id=new_id(), variant_id="v", product_id=product, seller_id=seller, quantity=1, unit_price=EUR, total=EUR
    )
    order_id, package_id = new_id(), new_id()
    confirmed = OrderConfirmed(order_id=order_id, number="1", account_id=account_id, total=EUR, lines=[line])
    await market.deliver(Reviews, confirmed)
    if sent:
        await market.deliver(Reviews, shipped(order_id=order_id, package_id=package_id, seller_id=seller, lines=[line]))
    if delivered:
        await market.deliver(Reviews, PackageDelivered(order_id=order_id, package_id=package_id, seller_id=seller))
    return line.item_id


async def reviewed(
    market: Marketplace,
    reviews: Reviews,
    *stars: int,
    author: str | None = None,
    product: str = PRODUCT,
    seller: str = SELLER,
) -> list[str]:
    """A review of each rating, all by one person and carried out; gives their ids."""
    author = author or await joined(market)
    lines = [await bought(market, author, product=product, seller=seller) for _ in stars]
    found = []
    for rating, line in zip(stars, lines, strict=True):
        draft = ReviewDraft(rating=rating, title=f"{rating} stars", text="It holds tea.", order_item_id=line)
        found.append((await reviews.write_review(author, product, draft)).id)
    await market.settle()
    return found


def under_key(key: str) -> calls.Call:
    """A call under an idempotency key, as of one client."""
    return calls.Call(key=key, guest="client")
