"""Payments with one mistake each: methods that stand in for those of the right ones, and parts that are changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest
from marketplace_payments import service
from marketplace_payments.operations import Operations
from msgspec.structs import replace

from marketplace_core.capabilities.orders import PaymentMethod
from marketplace_core.capabilities.payments import Authorize, ImportPayment, PaymentMethods
from marketplace_core.errors import Conflict, MarketplaceError, NotFound, Refused, Unavailable
from marketplace_core.testing.contracts import Method
from marketplace_core.testing.contracts.hooks import takes_every_webhook, trusts_everybody
from marketplace_core.values import Imported, Money, new_id
from marketplace_core.webhooks import RawWebhook

__all__ = ["MISTAKES"]

Methods = Mapping[str, Method]
Mistake = Callable[[Any, pytest.MonkeyPatch], Methods]
"""From the right service to the methods that are wrong."""


def _swallowing(right: Any, method: str, *kinds: type[MarketplaceError]) -> Methods:
    async def swallowed(*args: Any) -> Any:
        try:
            return await getattr(right, method)(*args)
        except kinds:
            return None

    return {method: swallowed}


def asks_by_a_new_order_each_time(right: Any, _: Any) -> Methods:
    async def authorize(request: Authorize) -> Any:
        return await right.authorize(replace(request, order_id=new_id()))

    return {"authorize": authorize}


def rounds(right: Any, _: Any) -> Methods:
    async def authorize(request: Authorize) -> Any:
        return await right.authorize(replace(request, amount=Money(round(request.amount.amount, -1), "EUR")))

    return {"authorize": authorize}


def knows_payments_by_their_orders_only(right: Any, _: Any) -> Methods:
    async def get_payment(id_: str) -> Any:
        found = await right.get_payment(id_)
        if found.order_id != id_:
            raise NotFound
        return found

    return {"get_payment": get_payment}


def finds_anything(right: Any, _: Any) -> Methods:
    return _swallowing(right, "get_payment", NotFound)


def answers_declines(right: Any, _: Any) -> Methods:
    return _swallowing(right, "authorize", Refused)


def takes_silence_for_a_decline(right: Any, _: Any) -> Methods:
    async def authorize(request: Authorize) -> Any:
        try:
            return await right.authorize(request)
        except Unavailable:
            raise Refused("payments.declined") from None

    return {"authorize": authorize}


def takes_any_amount(right: Any, _: Any) -> Methods:
    return _swallowing(right, "authorize", Conflict)


def lists_no_methods(right: Any, _: Any) -> Methods:
    async def list_methods() -> Any:
        return PaymentMethods([])

    return {"list_methods": list_methods}


def does_not_wait(right: Any, _: Any) -> Methods:
    async def authorize(request: Authorize) -> Any:
        return replace(await right.authorize(request), status="authorized", action=None)

    return {"authorize": authorize}


def forgets_why(right: Any, _: Any) -> Methods:
    async def expire_action(order_id: str) -> Any:
        try:
            return await right.expire_action(order_id)
        except Refused:
            raise Refused("payments.declined") from None

    return {"expire_action": expire_action}


def voids_nothing(right: Any, _: Any) -> Methods:
    async def void(order_id: str) -> None:
        return None

    return {"void": void}


# ── what orders tell ─────────────────────────────────────────────────────────────────────────────────────────


def captures_at_every_telling(right: Any, patch: pytest.MonkeyPatch) -> Methods:
    make = service.new_operation
    patch.setattr(service, "new_operation", lambda payment, kind, amount, key, at: make(payment, kind, amount, new_id(), at))
    return {}


def captures_what_is_left(right: Any, patch: pytest.MonkeyPatch) -> Methods:
    make = service.new_operation

    def clamped(payment: Any, kind: Any, amount: Money, key: str, at: Any) -> Any:
        return make(payment, kind, Money(min(amount.amount, payment.amount.amount), payment.amount.currency), key, at)

    patch.setattr(service, "new_operation", clamped)
    patch.setattr(service, "left_to_capture", lambda *_: 10**9)
    return {}


def gives_up_what_is_unknown(right: Any, patch: pytest.MonkeyPatch) -> Methods:
    perform = Operations.perform

    async def once(self: Operations, operation_id: str) -> Any:
        try:
            return await perform(self, operation_id)
        except Unavailable:
            return None

    patch.setattr(Operations, "perform", once)
    return {}


def releases_nothing(right: Any, patch: pytest.MonkeyPatch) -> Methods:
    async def request_rest(*_: Any) -> None:
        return None

    patch.setattr(Operations, "request_rest", request_rest)
    return {}


def tries_nothing_again(right: Any, _: Any) -> Methods:
    async def retry_operation(payment_id: str, operation_id: str) -> Any:
        found = await right.get_payment(payment_id)
        return replace(found, operations=[replace(each, status="pending") for each in found.operations])

    return {"retry_operation": retry_operation}


def answers_when_it_is_over(right: Any, _: Any) -> Methods:
    async def retry_operation(payment_id: str, operation_id: str) -> Any:
        await right.retry_operation(payment_id, operation_id)
        await asyncio.sleep(0.5)
        return await right.get_payment(payment_id)

    return {"retry_operation": retry_operation}


def leaves_the_rest_held(right: Any, patch: pytest.MonkeyPatch) -> Methods:
    """What was refused after a capture is not asked for again with it."""
    retry = Operations.retry

    async def alone(self: Operations, order_id: str, operation_id: str) -> Any:
        operations = self._store.operations

        async def wanted(*args: Any) -> Any:
            return [each for each in await operations(*args) if each.id == operation_id or each.kind != "void"]

        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(self._store, "operations", wanted)
            return await retry(self, order_id, operation_id)

    patch.setattr(Operations, "retry", alone)
    return {}


def tries_anything_again(right: Any, _: Any) -> Methods:
    return _swallowing(right, "retry_operation", Conflict)


def finds_any_operation(right: Any, _: Any) -> Methods:
    return _swallowing(right, "retry_operation", NotFound)


def owes_the_commission_too(right: Any, _: Any) -> Methods:
    async def get_balances(seller_id: str) -> Any:
        found = await right.get_balances(seller_id)
        return replace(found, items=[replace(each, pending=each.pending + Money(60, "EUR")) for each in found.items])

    return {"get_balances": get_balances}


# ── history ──────────────────────────────────────────────────────────────────────────────────────────────────


def _importing(right: Any, change: Callable[[list[Imported]], list[Imported]]) -> Methods:
    async def import_payments(payments: list[ImportPayment]) -> Any:
        return change(await right.import_payments(payments))

    return {"import_payments": import_payments}


def writes_all_of_it(right: Any, _: Any) -> Methods:
    return _importing(right, lambda found: [Imported("written") for _ in found])


def answers_in_an_order_of_its_own(right: Any, _: Any) -> Methods:
    return _importing(right, lambda found: sorted(found, key=lambda each: each.status))


def asks_its_gateway_for_history(right: Any, _: Any) -> Methods:
    async def import_payments(payments: list[ImportPayment]) -> Any:
        for each in payments:
            amount, method = Money(1, "EUR"), PaymentMethod("card", "tok_ok")
            asked = Authorize(order_id=each.order_id, account_id=None, amount=amount, method=method, expires_at=each.at)
            await right.authorize(asked)
        return [Imported("written") for _ in payments]

    return {"import_payments": import_payments}


def releases_history(right: Any, _: Any) -> Methods:
    async def get_payment(id_: str) -> Any:
        return replace(await right.get_payment(id_), status="voided")

    return {"get_payment": get_payment}


# ── what gateways tell ───────────────────────────────────────────────────────────────────────────────────────


def believes_webhooks(right: Any, _: Any) -> Methods:
    told: dict[str, str] = {}

    async def receive_webhook(webhook: RawWebhook) -> Any:
        body = msgspec.json.decode(webhook.body)
        told[body["data"]["reference"]] = body["type"].removeprefix("payment.")
        return await right.receive_webhook(webhook)

    async def get_payment(id_: str) -> Any:
        found = await right.get_payment(id_)
        return replace(found, status=told.get(id_, found.status))

    return {"receive_webhook": receive_webhook, "get_payment": get_payment}


def _of(*mistakes: Mistake) -> dict[str, Mistake]:
    return {mistake.__name__: mistake for mistake in mistakes}


MISTAKES: dict[str, dict[str, Mistake]] = {
    "test_an_order_is_authorized_once": _of(asks_by_a_new_order_each_time, rounds),
    "test_a_payment_is_read_by_its_id_and_by_its_orders": _of(knows_payments_by_their_orders_only, finds_anything),
    "test_a_decline_is_a_refusal": _of(answers_declines),
    "test_what_is_unknown_is_asked_again": _of(takes_silence_for_a_decline),
    "test_another_amount_of_the_same_order_is_refused": _of(takes_any_amount),
    "test_methods_are_those_of_the_gateways": _of(lists_no_methods),
    "test_one_that_waits_for_its_holder": _of(does_not_wait),
    "test_a_holder_who_does_not_act_or_fails": _of(forgets_why),
    "test_what_is_voided_is_released_once": _of(voids_nothing),
    "test_what_is_voided_without_an_answer": _of(voids_nothing),
    "test_what_was_voided_first_is_never_authorized": _of(voids_nothing),
    "test_each_shipment_is_captured_once": _of(captures_at_every_telling),
    "test_a_capture_without_an_answer_is_asked_for_again": _of(gives_up_what_is_unknown),
    "test_nothing_is_captured_above_the_authorisation": _of(captures_what_is_left),
    "test_what_nobody_will_capture_is_released": _of(releases_nothing),
    "test_a_seller_has_what_was_captured_and_once_completed_to_pay_out": _of(owes_the_commission_too),
    "test_a_person_has_a_refused_capture_tried_again": _of(tries_nothing_again, answers_when_it_is_over, leaves_the_rest_held),
    "test_what_no_gateway_was_asked_for_is_not_tried_again": _of(tries_anything_again, finds_any_operation),
    "test_what_was_paid_elsewhere_is_written_once_and_told_to_no_gateway": _of(
        writes_all_of_it, answers_in_an_order_of_its_own, asks_its_gateway_for_history
    ),
    "test_of_what_was_paid_elsewhere_nothing_moves_any_more": _of(takes_any_amount, releases_history),
    "test_orders_without_a_payment_are_none_of_its_business": _of(finds_anything),
    "test_a_webhook_is_taken_once": _of(takes_every_webhook),
    "test_late_and_reordered_webhooks_change_nothing": _of(believes_webhooks),
    "test_a_webhook_that_lies_is_not_believed": _of(believes_webhooks),
    "test_webhooks_that_nobody_signed_or_long_ago": _of(trusts_everybody),
    "test_webhooks_that_say_nothing_to_us_are_ignored_once": _of(takes_every_webhook),
}
