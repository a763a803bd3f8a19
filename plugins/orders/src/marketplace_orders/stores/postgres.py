"""Orders in PostgreSQL: a document per order, with what is searched and sorted beside it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from marketplace_core.adapters.postgres import Database, json_text
from marketplace_core.capabilities.orders import AdminOrderQuery, OrderQuery, PackageQuery
from marketplace_core.context import PluginContext
from marketplace_core.ports import UnitOfWork
from marketplace_orders.domain import Order
from marketplace_orders.store import CartOrder, Open, OrderStore, Position

__all__ = ["PostgresOrderStore", "make"]

#: $7 cart, $8 from where, $9 units. Nothing where the cart has an open order: the index ``orders_open_cart`` says so.
_INSERT = """
WITH saved AS (
  INSERT INTO orders.orders (id, account_id, email, status, number, document, created_at, updated_at,
    cart_id, cart_number, placed_from, units)
  VALUES ($1, $2, $3, $4, NULL, $5::text::jsonb, $6, $6,
    $7, (SELECT coalesce(max(cart_number), 0) + 1 FROM orders.orders WHERE cart_id = $7), $8, $9)
  ON CONFLICT DO NOTHING RETURNING id
), packed AS (
  INSERT INTO orders.packages (id, order_id, seller_id, status, created_at, updated_at)
  SELECT p->>'id', saved.id, p->>'seller_id', p->>'status', $6, $6
  FROM saved, jsonb_array_elements($5::text::jsonb->'packages') AS p
)
SELECT id FROM saved
"""

#: $1 account, $2 from where
_OPEN = """
SELECT count(*) FILTER (WHERE account_id = $1) AS account_orders,
  coalesce(sum(units) FILTER (WHERE account_id = $1), 0)::bigint AS account_units,
  count(*) FILTER (WHERE placed_from = $2) AS from_orders,
  coalesce(sum(units) FILTER (WHERE placed_from = $2), 0)::bigint AS from_units
FROM orders.orders WHERE status = 'pending' AND units IS NOT NULL AND (account_id = $1 OR placed_from = $2)
"""

#: Rows go in by the order of their ids, so that two such calls never wait for each other. $1: orders as JSON
_INSERT_MISSING = """
WITH given AS (
  SELECT d->>'id' AS id, d FROM jsonb_array_elements($1::text::jsonb) AS d
), made AS (
  INSERT INTO orders.orders (id, account_id, email, status, number, document, created_at, updated_at)
  SELECT id, d->>'account_id', d->>'email', d->>'status', d->>'number', d,
    (d->>'created_at')::timestamptz, (d->>'updated_at')::timestamptz
  FROM given ORDER BY id
  ON CONFLICT DO NOTHING RETURNING id
), package AS (
  SELECT made.id AS order_id, p, (d->>'created_at')::timestamptz AS created_at
  FROM made JOIN given USING (id), jsonb_array_elements(d->'packages') AS p
), packed AS (
  INSERT INTO orders.packages (id, order_id, seller_id, status, created_at, updated_at)
  SELECT p->>'id', order_id, p->>'seller_id', p->>'status', created_at, (p->>'updated_at')::timestamptz FROM package
), sent AS (
  INSERT INTO orders.shipments (id, order_id, seller_id)
  SELECT s->>'id', order_id, p->>'seller_id' FROM package, jsonb_array_elements(p->'shipments') AS s
)
SELECT id FROM made
"""

#: Told which order has changed, once that is committed.
CHANGES = "marketplace_orders"

_SAVE = f"""
WITH given AS (SELECT $2::text::jsonb AS d, pg_notify('{CHANGES}', $1)), saved AS (
  UPDATE orders.orders SET status = d->>'status', number = d->>'number', document = d,
    updated_at = (d->>'updated_at')::timestamptz, complete_at = (d->>'complete_at')::timestamptz
  FROM given WHERE id = $1
), sent AS (
  INSERT INTO orders.shipments (id, order_id, seller_id)
  SELECT s->>'id', $1, p->>'seller_id'
  FROM given, jsonb_array_elements(d->'packages') AS p, jsonb_array_elements(p->'shipments') AS s
  ON CONFLICT (id) DO NOTHING
)
UPDATE orders.packages o SET status = p->>'status', updated_at = (p->>'updated_at')::timestamptz
FROM given, jsonb_array_elements(d->'packages') AS p
WHERE o.id = p->>'id' AND (o.status, o.updated_at) <> (p->>'status', (p->>'updated_at')::timestamptz)
"""

_BY_PACKAGE = (
    "SELECT o.document::text AS document FROM orders.packages p JOIN orders.orders o ON o.id = p.order_id"
    " WHERE p.id = $1 AND p.seller_id = $2"
)


class PostgresOrderStore(OrderStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(self, uow: UnitOfWork, order: Order, placed_from: str | None = None) -> bool:
        made = await self._database.on(uow).value(
            _INSERT,
            order.id,
            order.account_id,
            order.email,
            order.status,
            json_text(order),
            order.created_at,
            order.cart_id,
            placed_from,
            order.units,
        )
        return made is not None

    async def last_of_cart(self, cart_id: str) -> CartOrder:
        rows = await self._database.fetch(
            "SELECT cart_number, CASE WHEN status = 'pending' THEN document::text END AS document"
            " FROM orders.orders WHERE cart_id = $1 ORDER BY cart_number DESC LIMIT 1",
            cart_id,
        )
        return CartOrder(rows[0]["cart_number"], _order(rows[0]["document"])) if rows else CartOrder(0, None)

    async def was_bought_since(self, uow: UnitOfWork, cart_id: str, number: int, but: str) -> bool:
        found: bool = await self._database.on(uow).value(
            "SELECT EXISTS (SELECT FROM orders.orders"
            " WHERE cart_id = $1 AND cart_number > $2 AND number IS NOT NULL AND id <> $3)",
            cart_id,
            number,
            but,
        )
        return found

    async def follow_cart(self, uow: UnitOfWork, cart_id: str, into: str) -> None:
        await self._database.on(uow).execute(
            "UPDATE orders.orders SET cart_id = $2,"
            " cart_number = (SELECT coalesce(max(cart_number), 0) + 1 FROM orders.orders WHERE cart_id = $2)"
            " WHERE cart_id = $1 AND status = 'pending'"
            " AND NOT EXISTS (SELECT FROM orders.orders WHERE cart_id = $2 AND status = 'pending')",
            cart_id,
            into,
        )

    async def lock_holders(self, uow: UnitOfWork, holders: Sequence[str]) -> None:
        for holder in sorted(holders):
            await self._database.on(uow).execute(
                "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"orders.open:{holder}"
            )

    async def open_of(self, uow: UnitOfWork | None, account_id: str | None, placed_from: str | None) -> list[Open]:
        rows = await (self._database if uow is None else self._database.on(uow)).fetch(_OPEN, account_id, placed_from)
        [row] = rows
        return [Open(row["account_orders"], row["account_units"]), Open(row["from_orders"], row["from_units"])]

    async def insert_missing(self, uow: UnitOfWork, orders: Sequence[Order]) -> tuple[set[str], set[str]]:
        connection = self._database.on(uow)
        made = {row["id"] for row in await connection.fetch(_INSERT_MISSING, json_text(orders))}
        rows = await connection.fetch("SELECT id FROM orders.orders WHERE id = ANY($1::text[])", [order.id for order in orders])
        return made, {row["id"] for row in rows} - made

    async def lock(self, uow: UnitOfWork, order_id: str) -> Order | None:
        text = await self._database.on(uow).value(
            "SELECT document::text AS document FROM orders.orders WHERE id = $1 FOR UPDATE", order_id
        )
        return _order(text)

    async def lock_by_package(self, uow: UnitOfWork, seller_id: str, package_id: str) -> Order | None:
        return _order(await self._database.on(uow).value(f"{_BY_PACKAGE} FOR UPDATE OF o", package_id, seller_id))

    async def save(self, uow: UnitOfWork, order: Order) -> None:
        await self._database.on(uow).execute(_SAVE, order.id, json_text(order))

    def changes(self, order_id: str) -> contextlib.AbstractAsyncContextManager[asyncio.Event]:
        return self._database.listening(CHANGES).changes(order_id)

    async def next_number(self, uow: UnitOfWork, series: str) -> int:
        number: int = await self._database.on(uow).value(
            "INSERT INTO orders.series AS s (name, last) VALUES ($1, 1)"
            " ON CONFLICT (name) DO UPDATE SET last = s.last + 1 RETURNING last",
            series,
        )
        return number

    async def get(self, ids: Sequence[str]) -> list[Order]:
        rows = await self._database.fetch(
            "SELECT document::text AS document FROM orders.orders WHERE id = ANY($1::text[])", list(ids)
        )
        return [_decode(row["document"]) for row in rows]

    async def list_of_account(self, account_id: str, query: OrderQuery, after: Position | None) -> list[Order]:
        rows = await self._database.fetch(
            "SELECT document::text AS document FROM orders.orders WHERE account_id = $1"
            " AND ($2::text IS NULL OR status = $2::text)"
            " AND ($3::timestamptz IS NULL OR (created_at, id) < ($3::timestamptz, $4::text))"
            " ORDER BY created_at DESC, id DESC LIMIT $5::int",
            account_id,
            query.status,
            *(after or (None, None)),
            query.size + 1,
        )
        return [_decode(row["document"]) for row in rows]

    async def search(self, query: AdminOrderQuery, after: Position | None) -> list[Order]:
        rows = await self._database.fetch(
            "SELECT document::text AS document FROM orders.orders WHERE ($1::text IS NULL OR status = $1::text)"
            " AND ($2::text IS NULL OR number = $2::text) AND ($3::text IS NULL OR lower(email) = lower($3::text))"
            " AND ($4::timestamptz IS NULL OR created_at > $4::timestamptz)"
            " AND ($5::timestamptz IS NULL OR (created_at, id) < ($5::timestamptz, $6::text))"
            " ORDER BY created_at DESC, id DESC LIMIT $7::int",
            query.status,
            query.number,
            query.email,
            query.created_after,
            *(after or (None, None)),
            query.size + 1,
        )
        return [_decode(row["document"]) for row in rows]

    async def list_packages(
        self, seller_id: str, query: PackageQuery, after: Position | None
    ) -> list[tuple[Order, str, Position]]:
        # By their changes, who changes meanwhile comes again at the end: from its beginning a walk would miss it.
        column, after_it, order = {"created": ("created_at", "<", "DESC"), "updated": ("updated_at", ">", "ASC")}[query.sort]
        rows = await self._database.fetch(
            f"SELECT o.document::text AS document, p.id, p.{column} AS position"
            " FROM orders.packages p JOIN orders.orders o ON o.id = p.order_id WHERE p.seller_id = $1"
            " AND o.number IS NOT NULL AND ($2::text IS NULL OR p.status = $2::text)"
            " AND ($3::timestamptz IS NULL OR p.created_at > $3::timestamptz)"
            " AND ($4::timestamptz IS NULL OR p.updated_at > $4::timestamptz)"
            f" AND ($5::timestamptz IS NULL OR (p.{column}, p.id) {after_it} ($5::timestamptz, $6::text))"
            f" ORDER BY p.{column} {order}, p.id {order} LIMIT $7::int",
            seller_id,
            query.status,
            query.created_after,
            query.updated_after,
            *(after or (None, None)),
            query.size + 1,
        )
        return [(_decode(row["document"]), row["id"], (row["position"], row["id"])) for row in rows]

    async def get_by_package(self, seller_id: str, package_id: str) -> Order | None:
        return _order(await self._database.value(_BY_PACKAGE, package_id, seller_id))

    async def get_by_shipment(self, seller_id: str, shipment_id: str) -> Order | None:
        return _order(
            await self._database.value(
                "SELECT o.document::text AS document FROM orders.shipments s JOIN orders.orders o ON o.id = s.order_id"
                " WHERE s.id = $1 AND s.seller_id = $2",
                shipment_id,
                seller_id,
            )
        )

    async def due_for_completion(self, now: datetime, limit: int) -> list[str]:
        rows = await self._database.fetch(
            "SELECT id FROM orders.orders WHERE complete_at <= $1 ORDER BY complete_at LIMIT $2::int", now, limit
        )
        return [row["id"] for row in rows]


def _order(text: Any) -> Order | None:
    return None if text is None else _decode(text)


def _decode(text: str) -> Order:
    return msgspec.json.decode(text, type=Order)


def make(context: PluginContext) -> PostgresOrderStore:
    """On the PostgreSQL that the deployment gives the plugin."""
    return PostgresOrderStore(context.database)
