"""What was paid in another system, as records of ours. Everything of it is over."""

from __future__ import annotations

from marketplace_core.capabilities.payments import ImportPayment
from marketplace_core.values import Money, derived_id
from marketplace_payments.domain import Kind, Operation, Payment

__all__ = ["operations", "payment"]


def payment(given: ImportPayment) -> Payment:
    view, zero = given.view(), Money.zero(given.currency)
    return Payment(
        id=given.id,
        order_id=given.order_id,
        account_id=given.account_id,
        gateway=given.gateway,
        amount=view.authorized,
        status=view.status,
        authorized=view.authorized,
        captured=view.captured,
        voided=zero,
        refunded=zero,
        expires_at=given.at,
        created_at=given.at,
        updated_at=given.at,
        gateway_id=given.reference,
    )


def operations(given: ImportPayment) -> list[Operation]:
    """One authorization of the whole, and a capture of each part; their ids ascend, as operations are listed by them."""
    asked: list[tuple[Kind, Money, str]] = [("authorize", given.view().authorized, given.reference)]
    asked += [("capture", part.amount, part.reference) for part in given.parts]
    ids = sorted(derived_id(f"{given.id}/{number}") for number in range(len(asked)))
    return [_operation(given, id_, *one) for id_, one in zip(ids, asked, strict=True)]


def _operation(given: ImportPayment, id_: str, kind: Kind, amount: Money, reference: str) -> Operation:
    return Operation(
        id=id_,
        payment_id=given.id,
        order_id=given.order_id,
        kind=kind,
        amount=amount,
        key=f"import/{id_}",
        status="done",
        at=given.at,
        gateway_id=reference,
    )
