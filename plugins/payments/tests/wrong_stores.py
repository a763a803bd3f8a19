"""Stores of payments in PostgreSQL with one mistake each, and the rule that notices it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import msgspec
from marketplace_payments.domain import Operation, Payment
from marketplace_payments.stores.postgres import PostgresPaymentStore

from marketplace_core.ports import UnitOfWork

__all__ = ["MISTAKES"]

Store = PostgresPaymentStore


class ForgetsWhatItsGatewayCallsIt(Store):
    async def save(self, uow: UnitOfWork, payment: Payment, ask_at: datetime | None) -> None:
        await super().save(uow, replace(payment, gateway_id=None), ask_at)


class LooksAndInserts(Store):
    """Of two at once both find none, and say that theirs is new."""

    async def insert(self, uow: UnitOfWork, payment: Payment, operation: Operation | None, ask_at: datetime | None) -> bool:
        known = await self.get(payment.order_id)
        await super().insert(uow, payment, operation, ask_at)
        return known is None


class ReadsWithoutALock(Store):
    async def lock(self, uow: UnitOfWork, order_id: str) -> Payment | None:
        return await self.get(order_id)


class AsksAgain(Store):
    """What is to be asked about once stays so."""

    async def save(self, uow: UnitOfWork, payment: Payment, ask_at: datetime | None) -> None:
        await super().save(uow, payment, ask_at or payment.expires_at.replace(year=2000))


class TakesTheReferenceForIt(Store):
    async def find(self, gateway: str, gateway_id: str, reference: str | None) -> Payment | None:
        found = await super().find(gateway, gateway_id, reference)
        return found or (None if reference is None else await self.get(reference))


class AddsUnderAnotherKey(Store):
    async def add_operation(self, uow: UnitOfWork, operation: Operation) -> bool:
        return await super().add_operation(uow, replace(operation, key=operation.id))


class LooksAndAdds(Store):
    async def add_operation(self, uow: UnitOfWork, operation: Operation) -> bool:
        known = await self.operations(operation.payment_id)
        await super().add_operation(uow, operation)
        return operation.key not in {each.key for each in known}


class InsertsOneByOne(Store):
    """And takes what another payment has for known."""

    async def insert_missing(
        self, uow: UnitOfWork, payments: Sequence[Payment], operations: Sequence[Operation]
    ) -> tuple[set[str], set[str]]:
        made, _ = await super().insert_missing(uow, payments, operations)
        return made, {payment.id for payment in payments} - made


class WritesBeforehand(Store):
    """Not in the unit of work."""

    async def insert(self, uow: UnitOfWork, payment: Payment, operation: Operation | None, ask_at: datetime | None) -> bool:
        made = await self._database.value(
            "INSERT INTO payments.payments (id, order_id, gateway, status, document, created_at, updated_at)"
            " VALUES ($1, $2, 'g', 'pending', $3::text::jsonb, now(), now()) ON CONFLICT DO NOTHING RETURNING id",
            payment.id,
            payment.order_id,
            msgspec.json.encode(payment).decode(),
        )
        return made is not None


MISTAKES: list[tuple[type[Store], str]] = [
    (ForgetsWhatItsGatewayCallsIt, "test_a_payment_is_as_it_was_saved"),
    (LooksAndInserts, "test_an_order_has_one"),
    (ReadsWithoutALock, "test_who_locks_one_sees_what_the_other_saved"),
    (AsksAgain, "test_due_is_what_is_to_be_asked_by_now"),
    (TakesTheReferenceForIt, "test_it_is_found_by_what_its_gateway_calls_it"),
    (AddsUnderAnotherKey, "test_operations_are_once_by_their_keys_and_in_order"),
    (LooksAndAdds, "test_of_many_at_once_one_adds_an_operation"),
    (InsertsOneByOne, "test_what_is_missing_is_inserted"),
    (WritesBeforehand, "test_what_was_rolled_back_did_not_happen"),
]
