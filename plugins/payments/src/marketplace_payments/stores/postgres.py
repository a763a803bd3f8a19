"""Payments in PostgreSQL: a document per payment, its operations, and the table of webhooks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from marketplace_core.adapters.postgres import Database, Row, json_text
from marketplace_core.adapters.postgres.webhooks_in import PostgresWebhookInbox, WebhookTable
from marketplace_core.capabilities.payments import GatewayEvent
from marketplace_core.context import PluginContext
from marketplace_core.ports import UnitOfWork
from marketplace_core.values import Money
from marketplace_payments.domain import Operation, Payment, Sale
from marketplace_payments.store import PaymentStore

__all__ = ["PostgresPaymentStore", "make"]

_INSERT = """
INSERT INTO payments.payments (id, order_id, gateway, status, document, ask_at, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5::text::jsonb, $6, $7, $7) ON CONFLICT (order_id) DO NOTHING RETURNING id
"""

#: Rows go in by the order of their orders, so that two such calls never wait for each other. $1, $2: as JSON
_INSERT_MISSING = """
WITH made AS (
  INSERT INTO payments.payments (id, order_id, gateway, gateway_id, status, document, created_at, updated_at)
  SELECT d->>'id', d->>'order_id', d->>'gateway', d->>'gateway_id', d->>'status', d,
    (d->>'created_at')::timestamptz, (d->>'updated_at')::timestamptz
  FROM jsonb_array_elements($1::text::jsonb) AS d ORDER BY d->>'order_id'
  ON CONFLICT DO NOTHING RETURNING id
), done AS (
  INSERT INTO payments.operations (id, payment_id, order_id, kind, amount, currency, key, status, gateway_id, at)
  SELECT o.id, o.payment_id, o.order_id, o.kind, (o.amount->>'amount')::bigint, o.amount->>'currency', o.key, o.status,
    o.gateway_id, o.at
  FROM jsonb_to_recordset($2::text::jsonb) AS o(id text, payment_id text, order_id text, kind text, amount jsonb,
    key text, status text, gateway_id text, at timestamptz)
  JOIN made ON made.id = o.payment_id
)
SELECT id FROM made
"""

_ADD_OPERATION = """
INSERT INTO payments.operations
  (id, payment_id, order_id, kind, amount, currency, key, status, gateway_id, attempts, failure, sale, at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::int, $11, $12::text::jsonb, $13) ON CONFLICT (key) DO NOTHING RETURNING id
"""

_OPERATION = (
    "o.id, o.payment_id, o.order_id, o.kind, o.amount, o.currency, o.key, o.status, o.gateway_id, o.attempts, o.failure,"
    " o.sale::text AS sale, o.at"
)

_FIND = """
SELECT document::text FROM payments.payments WHERE gateway = $1 AND gateway_id = $2
UNION ALL
SELECT document::text FROM payments.payments WHERE order_id = $3::text AND gateway = $1 AND gateway_id IS NULL
LIMIT 1
"""

#: As 0.1.0 made it.
WEBHOOKS = WebhookTable(name="payments.webhooks", source="gateway", subject="payment_id", waiting="received", text=True)
PURGE_WEBHOOKS = WEBHOOKS.purge


class PostgresPaymentStore(PaymentStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(self, uow: UnitOfWork, payment: Payment, operation: Operation | None, ask_at: datetime | None) -> bool:
        known = await self._database.on(uow).value(
            _INSERT,
            payment.id,
            payment.order_id,
            payment.gateway,
            payment.status,
            json_text(payment),
            ask_at,
            payment.created_at,
        )
        if known is not None and operation is not None:
            await self.add_operation(uow, operation)
        return known is not None

    async def insert_missing(
        self, uow: UnitOfWork, payments: Sequence[Payment], operations: Sequence[Operation]
    ) -> tuple[set[str], set[str]]:
        connection = self._database.on(uow)
        made = {row["id"] for row in await connection.fetch(_INSERT_MISSING, json_text(payments), json_text(operations))}
        rows = await connection.fetch(
            "SELECT id FROM payments.payments WHERE id = ANY($1::text[])", [payment.id for payment in payments]
        )
        return made, {row["id"] for row in rows} - made

    async def lock(self, uow: UnitOfWork, order_id: str) -> Payment | None:
        return _payment(
            await self._database.on(uow).value(
                "SELECT document::text FROM payments.payments WHERE order_id = $1 FOR UPDATE", order_id
            )
        )

    async def save(self, uow: UnitOfWork, payment: Payment, ask_at: datetime | None) -> None:
        await self._database.on(uow).execute(
            "UPDATE payments.payments SET gateway_id = $2, status = $3, document = $4::text::jsonb, ask_at = $5,"
            " updated_at = $6 WHERE id = $1",
            payment.id,
            payment.gateway_id,
            payment.status,
            json_text(payment),
            ask_at,
            payment.updated_at,
        )

    async def get(self, payment_or_order_id: str) -> Payment | None:
        return _payment(
            await self._database.value(
                "SELECT document::text FROM payments.payments WHERE id = $1 OR order_id = $1", payment_or_order_id
            )
        )

    async def due(self, now: datetime, limit: int) -> list[Payment]:
        rows = await self._database.fetch(
            "SELECT document::text AS document FROM payments.payments WHERE ask_at <= $1 ORDER BY ask_at LIMIT $2::int",
            now,
            limit,
        )
        return [msgspec.json.decode(row["document"], type=Payment) for row in rows]

    async def find(self, gateway: str, gateway_id: str, reference: str | None) -> Payment | None:
        return _payment(await self._database.value(_FIND, gateway, gateway_id, reference))

    # ── operations ───────────────────────────────────────────────────────────────────────────────────────────

    async def add_operation(self, uow: UnitOfWork, operation: Operation) -> bool:
        made = await self._database.on(uow).value(
            _ADD_OPERATION,
            operation.id,
            operation.payment_id,
            operation.order_id,
            operation.kind,
            operation.amount.amount,
            operation.amount.currency,
            operation.key,
            operation.status,
            operation.gateway_id,
            operation.attempts,
            operation.failure,
            None if operation.sale is None else json_text(operation.sale),
            operation.at,
        )
        return made is not None

    async def save_operation(self, uow: UnitOfWork, operation: Operation) -> None:
        await self._database.on(uow).execute(
            "UPDATE payments.operations SET status = $2, gateway_id = $3, attempts = $4::int, failure = $5 WHERE id = $1",
            operation.id,
            operation.status,
            operation.gateway_id,
            operation.attempts,
            operation.failure,
        )

    async def operations(self, payment_id: str, uow: UnitOfWork | None = None) -> list[Operation]:
        source = self._database if uow is None else self._database.on(uow)
        rows = await source.fetch(
            f"SELECT {_OPERATION} FROM payments.operations o WHERE o.payment_id = $1 ORDER BY o.id", payment_id
        )
        return [_operation(row) for row in rows]

    async def get_operation(self, operation_id: str) -> tuple[Operation, Payment] | None:
        row = await self._database.row(
            f"SELECT {_OPERATION}, p.document::text AS document FROM payments.operations o"
            " JOIN payments.payments p ON p.id = o.payment_id WHERE o.id = $1",
            operation_id,
        )
        return None if row is None else (_operation(row), msgspec.json.decode(row["document"], type=Payment))


def _payment(text: Any) -> Payment | None:
    return None if text is None else msgspec.json.decode(text, type=Payment)


def _operation(row: Row) -> Operation:
    return Operation(
        id=row["id"],
        payment_id=row["payment_id"],
        order_id=row["order_id"],
        kind=row["kind"],
        amount=Money(row["amount"], row["currency"]),
        key=row["key"],
        status=row["status"],
        at=row["at"],
        gateway_id=row["gateway_id"],
        attempts=row["attempts"],
        failure=row["failure"],
        sale=None if row["sale"] is None else msgspec.json.decode(row["sale"], type=Sale),
    )


def make(context: PluginContext) -> tuple[PostgresPaymentStore, PostgresWebhookInbox[GatewayEvent]]:
    """On the PostgreSQL that the deployment gives the plugin for its payments."""
    database = context.database
    return PostgresPaymentStore(database), PostgresWebhookInbox(database, WEBHOOKS, GatewayEvent)
