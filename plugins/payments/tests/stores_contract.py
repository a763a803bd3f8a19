"""What every :class:`~marketplace_payments.store.PaymentStore` must do beyond what the suite of the capability sees."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from marketplace_payments.domain import Operation, Payment, Sale, new_operation
from marketplace_payments.store import PaymentStore

from marketplace_core.ports import UnitOfWork, Units
from marketplace_core.testing.contracts import together
from marketplace_core.values import Money, new_id

__all__ = ["PaymentStoreContract"]

NOW = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)


def _eur(amount: int) -> Money:
    return Money(amount, "EUR")


def _payment(order_id: str = "o1", **more: Any) -> Payment:
    zero = _eur(0)
    payment = Payment(
        id=new_id(),
        order_id=order_id,
        account_id="a1",
        gateway="g",
        amount=_eur(1000),
        status="pending",
        authorized=zero,
        captured=zero,
        voided=zero,
        refunded=zero,
        expires_at=NOW + timedelta(minutes=15),
        created_at=NOW,
        updated_at=NOW,
        method={"method": "card", "token": "tok"},
    )
    return replace(payment, **more)


def _operation(payment: Payment, key: str | None = None) -> Operation:
    return new_operation(payment, "capture", _eur(300), key or f"{payment.order_id}/capture", NOW)


async def _add(store: PaymentStore, units: Units, payment: Payment, *operations: Operation, ask_at: Any = None) -> Payment:
    async def work(uow: UnitOfWork) -> None:
        assert await store.insert(uow, replace(payment, gateway_id=None), None, ask_at)
        if payment.gateway_id is not None:  # the gateway tells it later
            await store.save(uow, payment, ask_at)
        for operation in operations:
            assert await store.add_operation(uow, operation)

    await units.run(work)
    return payment


class PaymentStoreContract:
    """Fixtures: ``store``, which is empty, and ``units`` on it."""

    async def test_a_payment_is_as_it_was_saved(self, store: PaymentStore, units: Units) -> None:
        payment = await _add(store, units, _payment())
        assert await store.get("o1") == await store.get(payment.id) == payment
        assert await store.get("nothing") is None

        async def work(uow: UnitOfWork) -> None:
            known = await store.lock(uow, "o1")
            assert known == payment
            known.status, known.gateway_id, known.authorized, known.method = "authorized", "pay-1", _eur(1000), None
            known.updated_at = NOW + timedelta(microseconds=1)
            await store.save(uow, known, None)
            assert await store.lock(uow, "o2") is None

        await units.run(work)
        changed = {"status": "authorized", "gateway_id": "pay-1", "authorized": _eur(1000), "method": None}
        assert await store.get("o1") == replace(payment, **changed, updated_at=NOW + timedelta(microseconds=1))

    async def test_an_order_has_one(self, store: PaymentStore, units: Units) -> None:
        async def insert() -> bool:
            async def work(uow: UnitOfWork) -> bool:
                payment = _payment()
                made = await store.insert(uow, payment, _operation(payment, "o1/authorize"), None)
                await asyncio.sleep(0.05)
                return made

            return await units.run(work)

        assert sorted(await together(*(insert() for _ in range(4)))) == [False] * 3 + [True]
        payment = await store.get("o1")
        assert payment is not None
        assert [each.key for each in await store.operations(payment.id)] == ["o1/authorize"]

    async def test_who_locks_one_sees_what_the_other_saved(self, store: PaymentStore, units: Units) -> None:
        await _add(store, units, _payment())

        async def capture() -> None:
            async def work(uow: UnitOfWork) -> None:
                payment = await store.lock(uow, "o1")
                assert payment is not None
                await asyncio.sleep(0.02)
                payment.captured = Money(payment.captured.amount + 10, "EUR")
                await store.save(uow, payment, None)

            await units.run(work)

        await together(*(capture() for _ in range(5)))
        payment = await store.get("o1")
        assert payment is not None and payment.captured == _eur(50)

    async def test_due_is_what_is_to_be_asked_by_now(self, store: PaymentStore, units: Units) -> None:
        ids = {}
        for n, ask in enumerate((5, 1, 3, 9, None)):
            at = None if ask is None else NOW + timedelta(seconds=ask)
            ids[ask] = (await _add(store, units, _payment(f"o{n}"), ask_at=at)).id
        assert [each.id for each in await store.due(NOW + timedelta(seconds=5), 10)] == [ids[1], ids[3], ids[5]]
        assert [each.id for each in await store.due(NOW + timedelta(seconds=5), 2)] == [ids[1], ids[3]]

        async def answered(uow: UnitOfWork) -> None:
            payment = await store.lock(uow, "o1")
            assert payment is not None
            await store.save(uow, payment, None)

        await units.run(answered)
        assert [each.id for each in await store.due(NOW + timedelta(seconds=5), 10)] == [ids[3], ids[5]]

    async def test_it_is_found_by_what_its_gateway_calls_it(self, store: PaymentStore, units: Units) -> None:
        told = await _add(store, units, _payment("o1", gateway_id="pay-1"))
        untold = await _add(store, units, _payment("o2"))
        assert await store.find("g", "pay-1", None) == await store.find("g", "pay-1", "o2") == told
        assert await store.find("g", "pay-2", "o2") == untold
        assert await store.find("g", "pay-2", "o1") is None, "its gateway calls it otherwise"
        assert await store.find("other", "pay-1", "o2") is None
        assert await store.find("g", "pay-2", None) is None

    async def test_operations_are_once_by_their_keys_and_in_order(self, store: PaymentStore, units: Units) -> None:
        payment = _payment()
        first, second = _operation(payment), _operation(payment, "o1/more")
        second.sale = Sale("p1", "s1", _eur(30), _eur(1), _eur(2), None)
        await _add(store, units, payment, first, second)

        async def again(uow: UnitOfWork) -> list[Operation]:
            assert not await store.add_operation(uow, _operation(payment))
            first.status, first.gateway_id, first.attempts, first.failure = "failed", "cap-1", 2, "payments.declined"
            await store.save_operation(uow, first)
            return await store.operations(payment.id, uow)

        assert await units.run(again) == await store.operations(payment.id) == [first, second]
        assert await store.get_operation(second.id) == (second, payment)
        assert await store.get_operation("nothing") is None

    async def test_of_many_at_once_one_adds_an_operation(self, store: PaymentStore, units: Units) -> None:
        payment = await _add(store, units, _payment())

        async def add() -> bool:
            async def work(uow: UnitOfWork) -> bool:
                made = await store.add_operation(uow, _operation(payment))
                await asyncio.sleep(0.05)
                return made

            return await units.run(work)

        assert sorted(await together(*(add() for _ in range(4)))) == [False] * 3 + [True]
        assert len(await store.operations(payment.id)) == 1

    async def test_what_is_missing_is_inserted(self, store: PaymentStore, units: Units) -> None:
        there = await _add(store, units, _payment("o1", gateway_id="pay-1"))
        given = [
            there,
            _payment("o1"),
            _payment("o2", gateway_id="pay-1"),
            _payment("o3", gateway_id="pay-3"),
            _payment("o4", gateway_id="pay-3"),
            _payment("o5"),
            _payment("o6", gateway="other", gateway_id="pay-1"),
        ]
        parts = [_operation(each, f"import/{n}") for n, each in enumerate(given)]
        made, known = await units.run(lambda uow: store.insert_missing(uow, given, parts))
        assert (made, known) == ({given[n].id for n in (3, 5, 6)}, {there.id})
        assert await store.get("o3") == given[3]
        found = [len(await store.operations(each.id)) for each in given]
        assert found == [0, 0, 0, 1, 0, 1, 1]
        assert await units.run(lambda uow: store.insert_missing(uow, given[3:4], [])) == (set(), {given[3].id})

    async def test_what_was_rolled_back_did_not_happen(self, store: PaymentStore, units: Units) -> None:
        payment = await _add(store, units, _payment())

        async def work(uow: UnitOfWork) -> None:
            assert await store.insert(uow, _payment("o2"), None, None)
            assert await store.add_operation(uow, _operation(payment))
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await units.run(work)
        assert await store.get("o2") is None
        assert await store.operations(payment.id) == []
