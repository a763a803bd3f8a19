"""Payments as the port shows them, and a gateway's payment as the rules see it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from marketplace_core.capabilities.orders import PaymentAction, PaymentStatus, PaymentView
from marketplace_core.capabilities.payments import AdminPayment, Balance, Balances, GatewayPayment, Operation
from marketplace_core.values import Money
from marketplace_payments import domain, ledger

__all__ = ["admin_payment", "balances", "payment", "seen", "seller_accounts"]

_STATES = ("pending", "available", "paid_out")


def payment(record: domain.Payment) -> PaymentView:
    return PaymentView(
        id=record.id,
        gateway=record.gateway,
        status=cast(PaymentStatus, record.status),
        authorized=record.authorized,
        captured=record.captured,
        refunded=record.refunded,
        action=_action(record),
    )


def _action(record: domain.Payment) -> PaymentAction | None:
    if record.action_url is None or record.action_expires_at is None:
        return None
    return PaymentAction("redirect", record.action_url, record.action_expires_at)


def admin_payment(record: domain.Payment, operations: Iterable[domain.Operation]) -> AdminPayment:
    return AdminPayment(
        id=record.id,
        gateway=record.gateway,
        status=cast(PaymentStatus, record.status),
        authorized=record.authorized,
        captured=record.captured,
        refunded=record.refunded,
        action=_action(record),
        order_id=record.order_id,
        operations=[
            Operation(
                id=operation.id,
                kind=operation.kind,
                amount=operation.amount,
                status=operation.status,
                gateway_id=operation.gateway_id,
                at=operation.at,
                failure=operation.failure,
            )
            for operation in operations
        ],
    )


def seen(found: GatewayPayment) -> domain.Seen:
    return domain.Seen(
        id=found.id,
        status=found.status,
        authorized=found.authorized,
        captured=found.captured,
        voided=found.voided,
        refunded=found.refunded,
        action_url=found.action.url if found.action else None,
        action_expires_at=found.action.expires_at if found.action else None,
        failure=found.failure,
    )


def seller_accounts(seller_id: str) -> list[str]:
    return [ledger.account(seller_id, state) for state in _STATES]


def balances(seller_id: str, amounts: Mapping[str, Sequence[Money]]) -> Balances:
    """Per currency of any of the seller's accounts."""
    found = {name: {money.currency: money for money in moneys} for name, moneys in amounts.items()}
    currencies = sorted({currency for moneys in found.values() for currency in moneys})
    return Balances(
        [
            Balance(currency, *(found[name].get(currency, Money.zero(currency)) for name in seller_accounts(seller_id)))
            for currency in currencies
        ]
    )
