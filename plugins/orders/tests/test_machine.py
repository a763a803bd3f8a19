"""Any sequence of acts on a confirmed order, over the service and its database, against books of our own."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule
from msgspec.structs import replace

from marketplace_core.capabilities.catalog import SellerRef
from marketplace_core.capabilities.orders import CancelItem, Order, Package, PackageQuery, SellerPackage, ShipRequest
from marketplace_core.errors import Conflict
from marketplace_core.testing.contracts.orders import list_variants
from marketplace_core.testing.machines import Machine, run_machine
from marketplace_core.values import new_id

UNITS = 3
RANK = ("confirmed", "partially_shipped", "shipped", "delivered", "completed")


class Acting(Machine):
    """One order of two sellers with two lines each."""

    bench: ClassVar[Any]

    @initialize()
    def begin(self) -> None:
        sellers = [SellerRef(new_id(), name) for name in ("Kettle", "Lamp")]
        self.variants = [id_ for seller in sellers for id_ in self.run(list_variants(self.bench.catalog, seller, 2))]
        self.order: Order = self.run(self.bench.confirmed(self.variants, units=UNITS))
        lines = [line for package in self.order.packages for line in package.items]
        self.left = {line.id: UNITS for line in lines}
        self.shipped = {line.id: 0 for line in lines}
        self.arrived: set[str] = set()
        self.completed = False
        self.seen: dict[str, SellerPackage] = {}
        self._check()

    def _named(self, counts: list[int], package: Package) -> tuple[CancelItem, ...]:
        return tuple(CancelItem(line.id, n) for line, n in zip(package.items, counts, strict=True) if n)

    def _attempt(self, act: Awaitable[Any], items: tuple[CancelItem, ...], *, ship: bool) -> None:
        """It goes through if so many are left, and else it is refused and changes nothing."""
        possible = bool(items) and all(self.left[item.item_id] >= item.quantity for item in items)
        if not possible or self.completed:
            with pytest.raises(Conflict):
                self.run(act)
            return
        self.run(act)
        for item in items:
            self.left[item.item_id] -= item.quantity
            if ship:
                self.shipped[item.item_id] += item.quantity

    counts = st.lists(st.integers(0, UNITS), min_size=2, max_size=2)

    @rule(which=st.integers(0, 1), counts=counts)
    def ship(self, which: int, counts: list[int]) -> None:
        package = self.order.packages[which]
        items = self._named(counts, package)
        act = self.bench.orders.ship(package.seller.id, package.id, ShipRequest(items=items))
        self._attempt(act, items, ship=True)
        self._check()

    @rule(which=st.integers(0, 1), counts=counts)
    def decline(self, which: int, counts: list[int]) -> None:
        package = self.order.packages[which]
        items = self._named(counts, package)
        act = self.bench.orders.decline(package.seller.id, package.id, list(items), "")
        self._attempt(act, items, ship=False)
        self._check()

    @rule(first=counts, second=counts)
    def cancel(self, first: list[int], second: list[int]) -> None:
        one, other = self.order.packages
        items = self._named(first, one) + self._named(second, other)
        self._attempt(self.bench.orders.cancel_by_operator(self.order.id, list(items), ""), items, ship=False)
        self._check()

    @rule(data=st.data(), status=st.sampled_from(["label_created", "in_transit", "exception", "delivered"]))
    def tell(self, data: Any, status: str) -> None:
        shipments = [one for package in self._now().packages for one in package.shipments]
        if not shipments:
            return
        shipment = data.draw(st.sampled_from(shipments))
        self.run(self.bench.track(self.order, shipment, status))
        if status == "delivered":
            self.arrived.add(shipment.id)
        self._check()

    @rule()
    def wait_for_the_end(self) -> None:
        self.run(self.bench.market.clock.advance(15 * 86_400))
        self.run(self.bench.service.complete_delivered())
        self.completed = self.completed or self._now().status == "completed"
        self._check()

    def _now(self) -> Order:
        order: Order = self.run(self.bench.now(self.order))
        return order

    def _expected(self, package: Package) -> str:
        left = sum(self.left[line.id] for line in package.items)
        shipped = sum(self.shipped[line.id] for line in package.items)
        if left:
            return "partially_shipped" if shipped else "confirmed"
        if not shipped:
            return "cancelled"
        if not all(shipment.id in self.arrived for shipment in package.shipments):
            return "shipped"
        return "completed" if self.completed else "delivered"

    def _check(self) -> None:
        order = self._now()
        for package in order.packages:
            for line in package.items:
                assert line.shipped == self.shipped[line.id]
                assert line.quantity - line.shipped - line.cancelled == self.left[line.id]
            assert package.status == self._expected(package)
            assert all((one.status == "delivered") == (one.id in self.arrived) for one in package.shipments)
        going = [package.status for package in order.packages if package.status != "cancelled"]
        least = min(going, key=RANK.index, default="cancelled")
        further = least == "confirmed" and len(set(going)) > 1
        assert order.status == ("partially_shipped" if further else least)
        self._check_money(order)
        self._check_sellers(order)

    def _check_money(self, order: Order) -> None:
        events = [one for one in self.run(self.bench.events("orders.")) if one.get("order_id") == order.id]
        rest = order.total.amount
        for one in events:
            if "remaining" in one:
                rest -= one["amount"]["amount"]
        moved = [one for one in events if "remaining" in one]
        assert not moved or moved[-1]["remaining"]["amount"] == rest
        if not any(self.left.values()):
            assert rest == 0
        delivered = [one["package_id"] for one in events if set(one) == {"order_id", "package_id", "seller_id"}]
        expected = [package.id for package in order.packages if package.status in {"delivered", "completed"}]
        assert sorted(delivered) == sorted(expected)

    def _check_sellers(self, order: Order) -> None:
        """What is searched beside the document is as the document is."""
        for package in order.packages:
            query = PackageQuery(status=package.status, sort="updated", limit=1)
            [found] = self.run(self.bench.orders.list_packages(package.seller.id, query)).items
            assert found.id == package.id
            before = self.seen.get(package.id, found)
            self.seen[package.id] = found
            if replace(found, updated_at=before.updated_at) != before:  # whoever changed it
                assert found.updated_at > before.updated_at
                query = PackageQuery(updated_after=before.updated_at)
                assert self.run(self.bench.orders.list_packages(package.seller.id, query)).items == [found]


@pytest.mark.behaviour("orders-1", "orders-3")
async def test_any_sequence_of_acts(bench: Any) -> None:
    await run_machine(Acting, 12, 12, bench=bench)
