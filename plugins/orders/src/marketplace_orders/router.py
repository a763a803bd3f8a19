"""The routes of orders."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct

from marketplace_core.capabilities.auth import Email
from marketplace_core.capabilities.cart import CartOwner
from marketplace_core.capabilities.orders import (
    AdminOrderQuery,
    CancelItem,
    CancelItems,
    Order,
    OrderQuery,
    Orders,
    PackageQuery,
    PaymentMethod,
    PaymentView,
    PlacedOrder,
    PlaceOrder,
    Quote,
    QuoteRequest,
    SellerPackage,
    Shipment,
    ShipRequest,
)
from marketplace_core.errors import NotFound
from marketplace_core.http.routing import Answer, Request, Router, ServerSentEvents
from marketplace_core.values import LARGEST_AMOUNT, AddressInput, Country, Currency, Id, Money, Page

__all__ = ["routers"]

ENDED = frozenset({"completed", "cancelled", "failed"})
WAIT_SECONDS = 15.0
ORDER_TOKEN = "X-Order-Token"  # noqa: S105 - the name of a guest's header

#: what a quote says is ``selected``, by seller: null where there is nothing to choose from
Shipping = Annotated[dict[Id, Annotated[str, Meta(max_length=500)] | None], Meta(max_length=100)]
Reason = Annotated[str, Meta(max_length=1000)]
Coupon = Annotated[str, Meta(max_length=100)]


class Total(Struct, frozen=True, forbid_unknown_fields=True):
    """Of a whole order: of goods up to the largest amount, and of what is added to them; 0 where discounts pay for all."""

    amount: Annotated[int, Meta(ge=0, le=2 * LARGEST_AMOUNT)]
    currency: Currency


class QuoteBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    address: AddressInput | None = None
    address_id: Id | None = None
    country: Country | None = None
    postal_code: Annotated[str, Meta(max_length=20)] = ""
    coupon: Coupon | None = None
    shipping: Shipping = {}


class PlaceBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    payment: PaymentMethod
    expected_total: Total
    shipping: Shipping = {}
    address: AddressInput | None = None
    address_id: Id | None = None
    coupon: Coupon | None = None
    email: Email | None = None


class CancelBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: Reason = ""
    items: CancelItems | None = None


def routers(orders: Orders) -> Sequence[Router]:
    return buyer(orders), seller(orders), admin(orders)


def _owner(request: Request) -> CartOwner:
    account_id = request.caller.account_id
    return CartOwner(account_id, None if account_id else request.headers.get("x-cart-token"))


def _token(request: Request) -> str | None:
    return request.headers.get(ORDER_TOKEN.lower())


def _chosen(shipping: Shipping) -> dict[str, str]:
    return {seller_id: option for seller_id, option in shipping.items() if option is not None}


def _items(body: CancelBody) -> list[CancelItem] | None:
    return None if body.items is None else list(body.items)


def buyer(orders: Orders) -> Router:
    router = Router("buyer", "orders")

    @router.post("/checkout/quote", access="guest", status=200, key="ignored")
    async def quote(request: Request, body: QuoteBody) -> Quote:
        """What the cart would cost, with the ways of sending it."""
        address = body.address
        return await orders.quote(
            QuoteRequest(
                owner=_owner(request),
                country=address.country if address else body.country,
                postal_code=address.postal_code if address else body.postal_code,
                address_id=body.address_id,
                shipping=_chosen(body.shipping),
                coupon=body.coupon,
            )
        )

    @router.post("/orders", access="guest", status=202, key="required")
    async def place(request: Request, body: PlaceBody) -> Answer[PlacedOrder]:
        """Order what is in the cart. It is paid and confirmed afterwards: look at the order."""
        placed = await orders.place(
            PlaceOrder(
                owner=_owner(request),
                address=body.address,
                address_id=body.address_id,
                email=body.email,
                payment=body.payment,
                expected_total=Money(body.expected_total.amount, body.expected_total.currency),
                shipping=_chosen(body.shipping),
                coupon=body.coupon,
            )
        )
        return Answer(placed, location=f"/orders/{placed.id}")

    @router.get("/orders")
    async def list_orders(request: Request, query: OrderQuery) -> Page[Order]:
        """The buyer's orders, without their timelines."""
        return await orders.list_orders(request.account_id, query)

    @router.get("/orders/{id}", access="guest", headers=[ORDER_TOKEN])
    async def get_order(request: Request, id: str) -> Order:
        """An order of one's own; a guest sends X-Order-Token."""
        return await orders.get_order(id, request.caller.account_id, _token(request))

    @router.get("/orders/{id}/payment", access="guest", headers=[ORDER_TOKEN])
    async def get_payment(request: Request, id: str) -> PaymentView:
        """The order's payment, once there is one."""
        order = await orders.get_order(id, request.caller.account_id, _token(request))
        if order.payment is None:
            raise NotFound("The order has no payment yet.")
        return order.payment

    @router.get("/orders/{id}/events", access="guest", headers=[ORDER_TOKEN, "Last-Event-ID"])
    async def watch(request: Request, id: str) -> ServerSentEvents:
        """The order, and then again at each change, until it has ended."""
        account_id, token = request.caller.account_id, _token(request)
        last = request.headers.get("last-event-id", "")
        first = await orders.get_order(id, account_id, token)
        after = min(int(last[:9]), len(first.timeline)) if last.isascii() and last.isdigit() else 0

        async def changes() -> AsyncIterator[tuple[str, str | None, Any] | None]:
            order, seen = first, after
            while True:
                for number, entry in enumerate(order.timeline[seen:], start=seen + 1):
                    yield "order", str(number), {"type": entry.type, "at": entry.at, "order": order}
                seen = max(seen, len(order.timeline))
                if order.status in ENDED:
                    yield "end", None, {"status": order.status}
                    return
                order = await orders.wait_for_change(id, account_id, token, seen, WAIT_SECONDS)
                if len(order.timeline) <= seen:
                    yield None

        return ServerSentEvents(changes())

    @router.post("/orders/{id}/cancel", access="guest", status=202, headers=[ORDER_TOKEN])
    async def cancel(request: Request, id: str, body: CancelBody) -> Answer[Order]:
        """Cancel what is not shipped, or the named units of it."""
        order = await orders.cancel(id, request.caller.account_id, _token(request), _items(body), body.reason)
        return Answer(order, location=f"/orders/{id}")

    return router


def seller(orders: Orders) -> Router:
    router = Router("seller", "orders", scope="orders")

    @router.get("/orders", access="shop")
    async def list_packages(request: Request, query: PackageQuery) -> Page[SellerPackage]:
        """The shop's packages of confirmed orders."""
        return await orders.list_packages(request.seller_id, query)

    @router.get("/orders/{id}", access="shop")
    async def get_package(request: Request, id: str) -> SellerPackage:
        """One of the shop's packages."""
        return await orders.get_package(request.seller_id, id)

    @router.post("/orders/{id}/ship", access="shop", status=202, while_suspended=True)
    async def ship(request: Request, id: str, body: ShipRequest) -> Answer[Shipment]:
        """Hand units to a carrier; what is shipped is captured."""
        shipment = await orders.ship(request.seller_id, id, body)
        return Answer(shipment, location=f"/shipments/{shipment.id}")

    @router.post("/orders/{id}/decline", access="shop", status=202)
    async def decline(request: Request, id: str, body: CancelBody) -> Answer[SellerPackage]:
        """Say that units cannot be delivered."""
        package = await orders.decline(request.seller_id, id, _items(body), body.reason)
        return Answer(package, location=f"/orders/{id}")

    @router.get("/shipments/{id}", access="shop")
    async def get_shipment(request: Request, id: str) -> Shipment:
        """One of the shop's shipments."""
        return await orders.get_shipment(request.seller_id, id)

    return router


def admin(orders: Orders) -> Router:
    router = Router("admin", "orders", scope="orders")

    @router.get("/orders", access="staff")
    async def search(query: AdminOrderQuery) -> Page[Order]:
        """Orders of everybody."""
        return await orders.search_orders(query)

    @router.get("/orders/{id}", access="staff")
    async def get_order(id: str) -> Order:
        """Any order."""
        found = await orders.get_orders([id])
        if not found:
            raise NotFound("There is no such order.")
        return found[0]

    @router.post("/orders/{id}/cancel", access="staff", status=202)
    async def cancel(id: str, body: CancelBody) -> Answer[Order]:
        """Cancel what is not shipped, for the buyer."""
        order = await orders.cancel_by_operator(id, _items(body), body.reason)
        return Answer(order, location=f"/orders/{id}")

    return router
