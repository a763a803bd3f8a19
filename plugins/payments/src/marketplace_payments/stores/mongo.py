"""Payments in MongoDB: a document per payment, per operation and per webhook.

The ``_id`` is what must be there once: of a payment its order's id, of an operation the key that it is asked under. Of two that
write one of them, one is run again and sees the other's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from pymongo import InsertOne

from marketplace_core.adapters.mongo import Connection, Database, Document
from marketplace_core.adapters.mongo.webhooks_in import MongoWebhookInbox
from marketplace_core.capabilities.payments import GatewayEvent
from marketplace_core.context import PluginContext
from marketplace_core.ports import UnitOfWork
from marketplace_payments.domain import Operation, Payment
from marketplace_payments.store import PaymentStore

__all__ = ["MongoPaymentStore", "make"]

_PAYMENTS, _OPERATIONS, _WEBHOOKS = "payments.payments", "payments.operations", "payments.webhooks"


class MongoPaymentStore(PaymentStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(self, uow: UnitOfWork, payment: Payment, operation: Operation | None, ask_at: datetime | None) -> bool:
        own = _of_payment(payment, ask_at)
        new = await _is_new(self._database.on(uow), _PAYMENTS, own)
        if new and operation is not None:
            await self.add_operation(uow, operation)
        return new

    async def insert_missing(
        self, uow: UnitOfWork, payments: Sequence[Payment], operations: Sequence[Operation]
    ) -> tuple[set[str], set[str]]:
        connection = self._database.on(uow)
        ids = [payment.id for payment in payments]
        theirs: Mapping[str, list[str]] = defaultdict(list)
        for payment in payments:
            if payment.gateway_id is not None:
                theirs[payment.gateway].append(payment.gateway_id)
        same: list[Document] = [{"_id": {"$in": [payment.order_id for payment in payments]}}, {"id": {"$in": ids}}]
        same += [{"gateway": gateway, "gateway_id": {"$in": known}} for gateway, known in theirs.items()]
        rows = await connection.find(_PAYMENTS, {"$or": same}, fields={"id": 1, "gateway": 1, "gateway_id": 1})
        there = {row["id"] for row in rows} & set(ids)
        taken = {place for row in rows for place in _places(row["_id"], row["id"], row["gateway"], row["gateway_id"])}
        made: dict[str, Document] = {}
        for payment in sorted(payments, key=lambda payment: payment.order_id):
            places = _places(payment.order_id, payment.id, payment.gateway, payment.gateway_id)
            if taken.isdisjoint(places):
                taken |= places
                made[payment.id] = _of_payment(payment, None)
        await connection.write(_PAYMENTS, [InsertOne(row) for row in made.values()])
        parts = [_of_operation(operation) for operation in operations if operation.payment_id in made]
        await connection.write(_OPERATIONS, [InsertOne(row) for row in parts])
        return set(made), there

    async def lock(self, uow: UnitOfWork, order_id: str) -> Payment | None:
        return _payment(await self._database.on(uow).lock(_PAYMENTS, {"_id": order_id}))

    async def save(self, uow: UnitOfWork, payment: Payment, ask_at: datetime | None) -> None:
        own = _of_payment(payment, ask_at)
        await self._database.on(uow).update(_PAYMENTS, {"_id": own.pop("_id")}, {"$set": own})

    async def get(self, payment_or_order_id: str) -> Payment | None:
        row = await self._database.find_one(_PAYMENTS, {"$or": [{"_id": payment_or_order_id}, {"id": payment_or_order_id}]})
        return _payment(row)

    async def due(self, now: datetime, limit: int) -> list[Payment]:
        rows = await self._database.find(_PAYMENTS, {"ask_at": {"$lte": now}}, sort=[("ask_at", 1)], limit=limit)
        return [msgspec.convert(row["payment"], Payment) for row in rows]

    async def find(self, gateway: str, gateway_id: str, reference: str | None) -> Payment | None:
        row = await self._database.find_one(_PAYMENTS, {"gateway": gateway, "gateway_id": gateway_id})
        if row is None and reference is not None:
            row = await self._database.find_one(_PAYMENTS, {"_id": reference, "gateway": gateway, "gateway_id": None})
        return _payment(row)

    # ── operations ───────────────────────────────────────────────────────────────────────────────────────────

    async def add_operation(self, uow: UnitOfWork, operation: Operation) -> bool:
        return await _is_new(self._database.on(uow), _OPERATIONS, _of_operation(operation))

    async def save_operation(self, uow: UnitOfWork, operation: Operation) -> None:
        change = {
            "operation.status": operation.status,
            "operation.gateway_id": operation.gateway_id,
            "operation.attempts": operation.attempts,
            "operation.failure": operation.failure,
        }
        await self._database.on(uow).update(_OPERATIONS, {"id": operation.id}, {"$set": change})

    async def operations(self, payment_id: str, uow: UnitOfWork | None = None) -> list[Operation]:
        source = self._database if uow is None else self._database.on(uow)
        rows = await source.find(_OPERATIONS, {"payment_id": payment_id}, sort=[("id", 1)])
        return [msgspec.convert(row["operation"], Operation) for row in rows]

    async def get_operation(self, operation_id: str) -> tuple[Operation, Payment] | None:
        row = await self._database.find_one(_OPERATIONS, {"id": operation_id})
        payment = None if row is None else await self.get(row["operation"]["order_id"])
        return None if row is None or payment is None else (msgspec.convert(row["operation"], Operation), payment)


async def _is_new(connection: Connection, name: str, row: Document) -> bool:
    """Whether there was none of its ``_id``, which there is now."""
    where = {"_id": row["_id"]}
    own = {key: value for key, value in row.items() if key != "_id"}
    return await connection.change(name, where, {"$setOnInsert": own}, upsert=True, before=True) is None


def _places(order_id: str, id_: str, gateway: str, gateway_id: str | None) -> set[tuple[str, ...]]:
    """What no two payments have both."""
    own: set[tuple[str, ...]] = {("order", order_id), ("id", id_)}
    return own if gateway_id is None else own | {("gateway", gateway, gateway_id)}


# ── documents: what is searched beside what it is ────────────────────────────────────────────────────────────


def _of_payment(payment: Payment, ask_at: datetime | None) -> Document:
    return {
        "_id": payment.order_id,
        "id": payment.id,
        "gateway": payment.gateway,
        "gateway_id": payment.gateway_id,
        "ask_at": ask_at,
        "payment": msgspec.to_builtins(payment),
    }


def _payment(row: Document | None) -> Payment | None:
    return None if row is None else msgspec.convert(row["payment"], Payment)


def _of_operation(operation: Operation) -> Document:
    row: Document = {"_id": operation.key, "id": operation.id, "payment_id": operation.payment_id}
    return {**row, "operation": msgspec.to_builtins(operation)}


def make(context: PluginContext) -> tuple[MongoPaymentStore, MongoWebhookInbox[GatewayEvent]]:
    """On the MongoDB that the deployment gives the plugin for its payments."""
    database: Database = context.connection()
    return MongoPaymentStore(database), MongoWebhookInbox(database, _WEBHOOKS, GatewayEvent)
