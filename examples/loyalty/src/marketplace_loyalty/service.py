"""Use cases of loyalty: counting what arrives, telling what it earns, and the price rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from marketplace_core.capabilities.logistics import ShipmentChanged
from marketplace_core.capabilities.orders import (
    Discount,
    OrderConfirmed,
    PackageDelivered,
    PackageShipped,
    Pricing,
)
from marketplace_core.events import Event
from marketplace_core.ports import UnitOfWork, Units, handler
from marketplace_core.values import Money, split_money
from marketplace_loyalty.domain import Ladder, Purchase, part
from marketplace_loyalty.loyalty import Loyalty, LoyaltyView, NextTier, ReachedTier, Standing
from marketplace_loyalty.store import LoyaltyStore

__all__ = ["LoyaltyRule", "LoyaltyService"]


class LoyaltyService(Loyalty):
    def __init__(self, units: Units, store: LoyaltyStore, ladder: Ladder, *, currency: str) -> None:
        self.units = units
        self._store = store
        self._ladder = ladder
        self._currency = currency

    async def get_loyalty(self, account_id: str) -> LoyaltyView:
        spent = {money.currency: money for money in await self._store.spent(account_id)}
        sums = {self._currency: Money.zero(self._currency)} | spent
        return LoyaltyView([self._standing(money) for money in sums.values()])

    def _standing(self, spent: Money) -> Standing:
        tier, following = self._ladder.reached(spent), self._ladder.following(spent)
        missing = self._ladder.missing(following, spent) if following is not None else None
        return Standing(
            spent,
            ReachedTier(tier.name, tier.percent) if tier is not None else None,
            NextTier(following.name, following.percent, Money(missing or 0, spent.currency)) if following is not None else None,
        )

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────

    @handler(OrderConfirmed, PackageShipped, PackageDelivered)
    async def on_order_changed(self, uow: UnitOfWork, event: Event) -> None:
        """One handler for all three, so that an order's events stay in their order also where one of them fails and waits.

        What is cancelled has not been sent, and does not count.
        """
        if isinstance(event, OrderConfirmed):
            if event.account_id is None:
                return  # a guest's
            purchase = await self._store.open(uow, event.order_id)
            purchase.confirm(event.account_id, event.total.currency)
            await self._count(uow, event.order_id, purchase)
            return
        found = await self._store.lock(uow, event.key)
        if found is None:
            return
        if isinstance(event, PackageShipped):
            found.send(event.shipment_id, event.package_id, sum(line.total.amount for line in event.lines))
        elif isinstance(event, PackageDelivered):
            found.receive(event.package_id)
        await self._count(uow, event.key, found)

    @handler(ShipmentChanged)
    async def on_shipment_changed(self, uow: UnitOfWork, event: ShipmentChanged) -> None:
        """A parcel that came back was not kept. Its events come by another topic, so perhaps before the order's."""
        if event.shipment.status == "returned":
            purchase = await self._store.open(uow, event.order_id)
            purchase.take_back(event.shipment_id)
            await self._count(uow, event.order_id, purchase)

    async def _count(self, uow: UnitOfWork, order_id: str, purchase: Purchase) -> None:
        change = purchase.count()
        await self._store.save(uow, order_id, purchase)
        if change and purchase.account_id is not None:
            await self._store.add(uow, purchase.account_id, Money(change, purchase.currency))


class LoyaltyRule:
    """What the plugin adds to orders. It runs where orders run, and reads the plugin's store there."""

    def __init__(self, store: LoyaltyStore, ladder: Ladder, funded_by: Literal["platform", "seller"]) -> None:
        self._store = store
        self._ladder = ladder
        self._funded_by = funded_by

    async def price_rules(self, pricing: Pricing) -> Mapping[str, Discount]:
        """The tier's percentage of the whole purchase, split over its lines. One query."""
        if pricing.account_id is None:
            return {}
        sums = [money for money in await self._store.spent(pricing.account_id) if money.currency == pricing.currency]
        tier = self._ladder.reached(sums[0]) if sums else None
        if tier is None:
            return {}
        off = part(pricing.subtotal, tier.percent)
        amounts = split_money(off, [line.subtotal.amount for line in pricing.lines])
        discount = Discount(label=f"{tier.name}: {tier.percent} % off", amounts=tuple(amounts), funded_by=self._funded_by)
        return {"loyalty": discount}
