"""The routes of payments."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace_core.capabilities.payments import (
    AdminPayment,
    Balances,
    PaymentMethods,
    Payments,
)
from marketplace_core.http.routing import Request, Router
from marketplace_core.webhooks import WebhookAnswer, raw_webhook
from marketplace_payments.gateways import METHODS_TAG

__all__ = ["routers"]


def routers(payments: Payments) -> Sequence[Router]:
    return buyer(payments), seller(payments), admin(payments)


def buyer(payments: Payments) -> Router:
    router = Router("buyer", "payments")

    @router.get("/payment-methods", access="anyone", cached=METHODS_TAG)
    async def list_methods() -> PaymentMethods:
        """The ways to pay."""
        return await payments.list_methods()

    @router.post("/webhooks/payments/{gateway}", access="guest", status=200, key="ignored")
    async def receive_webhook(request: Request, gateway: str, raw: bytes) -> WebhookAnswer:
        """What a payment gateway tells, signed as that gateway signs."""
        return await payments.receive_webhook(raw_webhook(gateway, request.headers, raw))

    return router


def seller(payments: Payments) -> Router:
    router = Router("seller", "payments", scope="payments")

    @router.get("/balance", access="shop")
    async def get_balance(request: Request) -> Balances:
        """What the shop is owed, per currency."""
        return await payments.get_balances(request.seller_id)

    return router


def admin(payments: Payments) -> Router:
    router = Router("admin", "payments", scope="payments")

    @router.get("/payments/{id}", access="staff")
    async def get_payment(id: str) -> AdminPayment:
        """A payment by its id or its order's, with what the gateway was asked."""
        return await payments.get_payment(id)

    @router.post("/payments/{id}/operations/{operation_id}/retry", access="staff", status=202)
    async def retry_operation(id: str, operation_id: str) -> AdminPayment:
        """Ask the gateway again for what it refused for good."""
        return await payments.retry_operation(id, operation_id)

    return router
