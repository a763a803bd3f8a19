"""What is bought, by whom, and by what it can be sent. The same for a quote and for an order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from marketplace_core.capabilities.cart import Cart, CartOwner
from marketplace_core.capabilities.catalog import LineRequest
from marketplace_core.capabilities.logistics import Logistics, Place, RateOption, RateRequest
from marketplace_core.capabilities.orders import PlaceOrder, QuoteRequest
from marketplace_core.capabilities.sellers import Sellers, SellerTerms
from marketplace_core.capabilities.users import Users
from marketplace_core.errors import Conflict, Invalid, NotFound, Problem, Refused
from marketplace_core.values import LARGEST_AMOUNT, Address, Money
from marketplace_orders.domain import Discount

__all__ = [
    "NOBODY_SENDS",
    "Basket",
    "Buyer",
    "Part",
    "PricedLine",
    "buyer",
    "collect",
    "destination",
    "price_parts",
    "select_options",
]


NOBODY_SENDS = "No carrier takes what this seller would send; order less of it, or to another place."


class Basket(NamedTuple):
    """What is to be bought, and the cart that it is in."""

    cart_id: str | None
    lines: list[LineRequest]


class Buyer(NamedTuple):
    """Who buys, and where it goes."""

    account_id: str | None
    email: str
    address: Address


class PricedLine(NamedTuple):
    """A line with its price and what is taken off; ``place`` is where it stands in the basket. ``weight_g`` of a unit."""

    place: int
    variant_id: str
    seller_id: str
    seller_name: str
    quantity: int
    unit_price: Money
    product_id: str
    category_id: str | None
    weight_g: int | None = None
    digital: bool = False
    discounts: tuple[Discount, ...] = ()

    @property
    def subtotal(self) -> Money:
        return self.unit_price * self.quantity

    @property
    def discount(self) -> Money:
        return Money.sum((one.amount for one in self.discounts), self.unit_price.currency)

    @property
    def total(self) -> Money:
        return self.subtotal - self.discount


@dataclass
class Part:
    """One seller's part of a purchase, with what it can be sent by. ``stays``: somebody has to send it, and nobody does.

    ``weight_g``: of what there is to send; None where that is nothing.
    """

    seller_id: str
    seller_name: str
    terms: SellerTerms
    lines: list[PricedLine]
    options: list[RateOption]
    weight_g: int | None
    selected: RateOption | None = None
    stays: bool = False

    @property
    def subtotal(self) -> Money:
        return Money.sum((line.subtotal for line in self.lines), self.lines[0].unit_price.currency)

    @property
    def discount(self) -> Money:
        return Money.sum((line.discount for line in self.lines), self.lines[0].unit_price.currency)

    @property
    def shipping(self) -> Money:
        return self.selected.price if self.selected else Money.zero(self.lines[0].unit_price.currency)

    @property
    def total(self) -> Money:
        return self.subtotal - self.discount + self.shipping


async def buyer(users: Users | None, request: PlaceOrder) -> Buyer:
    """:raises Invalid: the address is missing or not one of the owner's, or a guest gave no e-mail."""
    account_id = request.owner.account_id
    address = request.address or await _saved_address(users, account_id, request.address_id)
    email = request.email
    if account_id is not None and users is not None:
        email = (await users.get_profile(account_id)).email
    if email is None:
        raise Invalid([Problem("/email", "required", "A guest's order needs an e-mail address.")])
    return Buyer(account_id, email, address)


async def destination(users: Users | None, request: QuoteRequest) -> Place:
    """:raises Invalid: neither a country nor a saved address was given."""
    if request.country is not None:
        return Place(request.country, request.postal_code)
    address = await _saved_address(users, request.owner.account_id, request.address_id)
    return Place(address.country, address.postal_code)


async def _saved_address(users: Users | None, account_id: str | None, address_id: str | None) -> Address:
    if address_id is None or users is None or account_id is None:
        raise Invalid([Problem("/address", "required", "Say where it goes: an address, or the id of a saved one.")])
    try:
        saved = await users.get_address(account_id, address_id)
    except NotFound:
        raise Invalid([Problem("/address_id", "not_found", "You have no such address.")]) from None
    fields = msgspec.structs.asdict(saved)
    del fields["id"]
    return Address(**fields)


async def collect(cart: Cart | None, owner: CartOwner, lines: Sequence[LineRequest] | None) -> Basket:
    """:raises Conflict: ``cart.empty``."""
    if lines is not None:
        basket = Basket(None, list(lines))
    else:
        found = await cart.get_lines(owner) if cart is not None else None
        basket = Basket(found.cart_id, found.lines) if found else Basket(None, [])
    if not basket.lines:
        raise Conflict("cart.empty", "There is nothing in the cart.")
    return basket


async def price_parts(
    lines: Sequence[PricedLine],
    destination: Place,
    sellers: Sellers | None,
    logistics: Logistics | None,
    weight_g: int,
) -> list[Part]:
    """Group lines by seller in the order in which they come, and ask what sending each part costs.

    :param weight_g: of a unit whose product does not say what it weighs.

    :raises Refused: ``cart.quantity_limit``: so much money cannot be told exactly.
    """
    if sum(line.subtotal.amount for line in lines) > LARGEST_AMOUNT:
        raise Refused("cart.quantity_limit", f"An order is of at most {LARGEST_AMOUNT} minor units; order less at a time.")
    by_seller: dict[str, list[PricedLine]] = {}
    for line in lines:
        by_seller.setdefault(line.seller_id, []).append(line)
    terms = await _terms(by_seller, sellers)
    parts = [
        Part(seller_id, grouped[0].seller_name, terms[seller_id], grouped, [], _weight(grouped, weight_g))
        for seller_id, grouped in by_seller.items()
    ]
    sent = [part for part in parts if part.weight_g is not None]
    if logistics is not None and sent:
        requests = [
            RateRequest(
                seller_id=part.seller_id,
                origin=Place(part.terms.country, ""),
                destination=destination,
                weight_g=part.weight_g or 0,
                currency=part.lines[0].unit_price.currency,
            )
            for part in sent
        ]
        for part, options in zip(sent, await logistics.get_rates(requests), strict=True):
            part.options, part.stays = options, not options
    return parts


def _weight(lines: Sequence[PricedLine], unit_g: int) -> int | None:
    grams = [(unit_g if line.weight_g is None else line.weight_g) * line.quantity for line in lines if not line.digital]
    return sum(grams) if grams else None


async def _terms(by_seller: Mapping[str, Sequence[PricedLine]], sellers: Sellers | None) -> dict[str, SellerTerms]:
    plain = {id_: SellerTerms(id_, lines[0].seller_name, "0", "XX") for id_, lines in by_seller.items()}
    if sellers is None:
        return plain
    return plain | {terms.id: terms for terms in await sellers.get_terms(list(by_seller))}


def select_options(parts: Sequence[Part], wanted: Mapping[str, str], *, complete: bool) -> None:
    """Select what the buyer chose; else the first, which is the cheapest, unless the choice has to be ``complete``.

    :raises Conflict: ``shipping.option_expired``, with a pointer to each that is not on offer.
    """
    problems = []
    for part in parts:
        chosen = wanted.get(part.seller_id)
        part.selected = next((option for option in part.options if option.id == chosen), None)
        if part.stays:
            if complete:
                problems.append(Problem(f"/shipping/{part.seller_id}", "not_found", NOBODY_SENDS))
        elif chosen is None and not complete:
            part.selected = part.options[0] if part.options else None
        elif part.selected is None and part.options:
            detail = "Choose an option for this seller." if chosen is None else "This option is not on offer any more."
            problems.append(Problem(f"/shipping/{part.seller_id}", "not_found" if chosen else "required", detail))
    if problems:
        raise Conflict("shipping.option_expired", "Not every shipping option is on offer.", errors=problems)
