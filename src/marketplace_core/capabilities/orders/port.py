"""The port of orders: what other plugins may ask."""

from __future__ import annotations

from abc import ABC, abstractmethod

from marketplace_core.capabilities.orders.imports import ImportOrder
from marketplace_core.capabilities.orders.values import (
    AdminOrderQuery,
    CancelItem,
    Order,
    OrderQuery,
    PackageQuery,
    PaymentView,
    PlacedOrder,
    PlaceOrder,
    Quote,
    QuoteRequest,
    SellerPackage,
    Shipment,
    ShipRequest,
)
from marketplace_core.errors import Failure
from marketplace_core.ports import mutation, patient, query
from marketplace_core.values import Imported, Page


class Orders(ABC):
    """Placing and following orders."""

    @abstractmethod
    @query
    async def quote(self, request: QuoteRequest) -> Quote:
        """:raises Conflict: ``cart.empty``, ``shipping.option_expired``."""

    @abstractmethod
    @mutation(retriable=True)
    async def place(self, request: PlaceOrder) -> PlacedOrder:
        """Reserve, compare with ``expected_total``, write the order; the checkout goes on by itself.

        A cart has one open order. One that waits for its payer is superseded: it fails with ``orders.superseded``, and what
        it held passes over; of any other the ``location`` is told.

        :raises Conflict: ``cart.empty``, ``cart.changed``, ``coupons.not_applicable``, ``orders.in_progress``,
            ``orders.out_of_stock``, ``shipping.option_expired``. :raises Refused: ``cart.currency_mismatch``,
            ``cart.quantity_limit``. :raises Unavailable: a price rule failed.
        :raises MarketplaceError: ``http.rate_limited``: too much is held by unpaid orders of the account or the address.
        """

    @abstractmethod
    @mutation(retriable=True)
    async def confirm(self, order_id: str, payment: PaymentView | None = None) -> None:
        """Paid and allocated: give it a number. Again: nothing.

        ``payment``: as the checkout left it, unless the order knows of a later state.
        """

    @abstractmethod
    @mutation(retriable=True)
    async def fail(self, order_id: str, failure: Failure) -> None:
        """It will not be, and its stock has been given back. Again: nothing."""

    @abstractmethod
    @query
    async def get_orders(self, ids: list[str]) -> list[Order]:
        """Those that exist, whoever's they are: for other plugins and operators."""

    @abstractmethod
    @query
    async def get_order(self, order_id: str, account_id: str | None, token: str | None) -> Order:
        """A buyer's own order, or a guest's by its token. :raises NotFound: also for another's."""

    @abstractmethod
    @patient(seconds=60.0)
    @query
    async def wait_for_change(self, order_id: str, account_id: str | None, token: str | None, after: int, wait: float) -> Order:
        """The order once its timeline is longer than ``after``, at the latest after ``wait`` seconds."""

    @abstractmethod
    @query
    async def list_orders(self, account_id: str, query: OrderQuery) -> Page[Order]: ...

    @abstractmethod
    @mutation(retriable=True)
    async def cancel(
        self, order_id: str, account_id: str | None, token: str | None, items: list[CancelItem] | None, reason: str
    ) -> Order:
        """Cancel units that are not shipped, or all of those; of an order that is pending, all.

        :raises Conflict: ``orders.not_cancellable``.
        """

    # for sellers

    @abstractmethod
    @query
    async def list_packages(self, seller_id: str, query: PackageQuery) -> Page[SellerPackage]: ...

    @abstractmethod
    @query
    async def get_package(self, seller_id: str, package_id: str) -> SellerPackage:
        """:raises NotFound: also for another seller's."""

    @abstractmethod
    @mutation(retriable=True)
    async def ship(self, seller_id: str, package_id: str, request: ShipRequest) -> Shipment:
        """Hand units to a carrier; their money is captured. :raises Conflict: ``orders.not_shippable``."""

    @abstractmethod
    @mutation(retriable=True)
    async def decline(self, seller_id: str, package_id: str, items: list[CancelItem] | None, reason: str) -> SellerPackage:
        """The seller cannot deliver units. :raises Conflict: ``orders.not_cancellable``."""

    @abstractmethod
    @query
    async def get_shipment(self, seller_id: str, shipment_id: str) -> Shipment: ...

    # for operators

    @abstractmethod
    @query
    async def search_orders(self, query: AdminOrderQuery) -> Page[Order]: ...

    @abstractmethod
    @mutation(retriable=True)
    async def cancel_by_operator(self, order_id: str, items: list[CancelItem] | None, reason: str) -> Order: ...

    @abstractmethod
    @patient(seconds=60.0)
    @mutation(retriable=True)
    async def import_orders(self, orders: list[ImportOrder]) -> list[Imported]:
        """Write those whose ids are not known, in the same order; ``duplicate`` where the number is another's.

        Their events carry the origin ``import``. They are history: nothing ships, cancels or completes them any more.
        """
