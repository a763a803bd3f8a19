"""From a cart to what can be ordered: asks the other plugins, and changes nothing but stock that is held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

from marketplace_core import calls
from marketplace_core.capabilities.cart import Cart, CartOwner
from marketplace_core.capabilities.catalog import Catalog, LineRequest, Reservation
from marketplace_core.capabilities.logistics import Logistics, Place
from marketplace_core.capabilities.orders import PlaceOrder, Quote, QuoteProblem, QuoteRequest
from marketplace_core.capabilities.sellers import Sellers
from marketplace_core.capabilities.users import Users
from marketplace_core.errors import Conflict, Invalid, Problem, Refused, Unavailable
from marketplace_core.origins import Origins
from marketplace_core.ports import digest
from marketplace_core.values import Clock, new_id
from marketplace_orders import checkout, quotes
from marketplace_orders.config import OrdersConfig
from marketplace_orders.discounts import PriceRules

__all__ = ["Checkout", "Placing", "reservation_key"]


class Placing(NamedTuple):
    """All that an order is written from."""

    buyer: checkout.Buyer
    basket: checkout.Basket
    reservation: Reservation
    parts: list[checkout.Part]


class Checkout:
    """``takes_money``: whether the deployment has payments. Cart, sellers, logistics, users: None where it has not.

    Then an order names its lines, has no commission, is sent by nobody, has its address and e-mail with it.
    """

    def __init__(
        self,
        catalog: Catalog,
        cart: Cart | None,
        sellers: Sellers | None,
        logistics: Logistics | None,
        users: Users | None,
        rules: PriceRules,
        clock: Clock,
        config: OrdersConfig,
        *,
        takes_money: bool,
        tax_included: bool,
        origins: Origins,
    ) -> None:
        self._catalog = catalog
        self._cart = cart
        self._sellers = sellers
        self._logistics = logistics
        self._users = users
        self._rules = rules
        self._clock = clock
        self._config = config
        self.takes_money = takes_money
        self.tax_included = tax_included
        self._origins = origins

    async def quote(self, request: QuoteRequest, basket: checkout.Basket, held: Mapping[str, int]) -> Quote:
        """``held``: units by variant that are there for this cart beside those that are there for everybody."""
        views = {view.id: view for view in await self._catalog.get_variants([x.variant_id for x in basket.lines])}
        priced, problems = quotes.price_lines(basket.lines, views, held)
        if not priced:
            raise Conflict("cart.empty", "Nothing in the cart can be bought now.")
        try:
            priced = await self._rules.apply(priced, request.owner.account_id)
        except Unavailable as error:  # what it costs at most is worth knowing; an order is refused meanwhile
            problems.append(QuoteProblem("discounts_unknown", None, error.detail))
        parts = await self._price(priced, await checkout.destination(self._users, request))
        checkout.select_options(parts, request.shipping, complete=False)
        problems += [
            QuoteProblem("unavailable", line.variant_id, checkout.NOBODY_SENDS)
            for part in parts
            if part.stays
            for line in part.lines
        ]
        expires_at = self._clock.now() + timedelta(seconds=self._config.quote_seconds)
        return quotes.quote(parts, request.coupon, problems, expires_at, tax_included=self.tax_included)

    def check(self, request: PlaceOrder) -> None:
        """What can be said of a request by itself. :raises Invalid: :raises Conflict:"""
        if self.takes_money and request.payment is None:
            raise Invalid([Problem("/payment", "required", "Say how it is paid.")])
        return_url = request.payment.return_url if request.payment is not None else None
        if return_url is not None and (problem := self._origins.problem(return_url)) is not None:
            raise Invalid([Problem("/payment/return_url", "format", problem)])
        if request.coupon is not None:
            raise Conflict("coupons.not_applicable", "There is no such coupon.")

    async def collect(self, owner: CartOwner, lines: Sequence[LineRequest] | None) -> checkout.Basket:
        """What is to be bought: ``lines``, else what is in the owner's cart. :raises Conflict: ``cart.empty``."""
        return await checkout.collect(self._cart, owner, lines)

    async def reserve(self, request: PlaceOrder, basket: checkout.Basket, key: str, instead_of: str | None) -> Placing:
        """Hold the stock under ``key``, if need be that which is held under ``instead_of``.

        What is refused afterwards leaves it held: see :meth:`release`.
        """
        buyer = await checkout.buyer(self._users, request)
        seconds = self._config.reserve_seconds if buyer.account_id else self._config.guest_reserve_seconds
        reservation = await self._catalog.reserve(key, basket.lines, seconds, instead_of)
        priced = [
            checkout.PricedLine(
                index,
                line.variant_id,
                line.seller.id,
                line.seller.name,
                line.quantity,
                line.unit_price,
                line.product_id,
                line.category_id,
                line.weight_g,
                line.digital,
            )
            for index, line in enumerate(reservation.lines)
        ]
        if len({line.unit_price.currency for line in priced}) > 1:
            raise Refused("cart.currency_mismatch", "An order has one currency.")
        priced = await self._rules.apply(priced, buyer.account_id)
        parts = await self._price(priced, Place(buyer.address.country, buyer.address.postal_code))
        checkout.select_options(parts, request.shipping, complete=True)
        total = quotes.total(parts)
        if total != request.expected_total:
            problem = Problem("/expected_total", "unknown_value", f"It is {total.amount} {total.currency} now.")
            raise Conflict("cart.changed", "The total is not what was expected; quote again.", errors=[problem])
        return Placing(buyer, basket, reservation, parts)

    async def carriers(self) -> list[str]:
        """The names of those that are asked for parcels."""
        return await self._logistics.get_carriers() if self._logistics is not None else []

    async def release(self, key: str) -> None:
        await self._catalog.release(key)

    async def withdraw(self, key: str) -> bool:
        """Whether an order can be given up: what it holds is free then."""
        return await self._catalog.withdraw(key)

    async def _price(self, lines: list[checkout.PricedLine], to: Place) -> list[checkout.Part]:
        return await checkout.price_parts(lines, to, self._sellers, self._logistics, self._config.line_weight_g)


def reservation_key(request: PlaceOrder) -> str:
    """A retry finds the reservation of the first try; another request under the same key has one of its own."""
    call = calls.current()
    return f"{call.scope}/{call.key}/{digest((request,)).hex()}" if call.key else new_id()
