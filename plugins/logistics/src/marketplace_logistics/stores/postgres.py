"""Logistics in PostgreSQL: a document per shipment, with what is searched and sorted beside it, and a row per event."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from marketplace_core.adapters.postgres import Database, json_text
from marketplace_core.adapters.postgres.webhooks_in import PostgresWebhookInbox, WebhookTable
from marketplace_core.capabilities.logistics import ShipmentQuery
from marketplace_core.context import PluginContext
from marketplace_core.ports import UnitOfWork
from marketplace_logistics.domain import UNDER_WAY, Shipment, TrackingEvent
from marketplace_logistics.store import LogisticsStore, Position

__all__ = ["PostgresLogisticsStore", "make"]

#: Two that insert one shipment take turns: the token, which is unique as well, would refuse the second.
_INSERT = """
INSERT INTO logistics.shipments (id, order_id, package_id, seller_id, carrier, service, status, own, tracking_number,
  tracking_token, document, created_at, updated_at)
SELECT d->>'id', d->>'order_id', d->>'package_id', d->>'seller_id', d->>'carrier', d->>'service', d->>'status',
  (d->>'own')::boolean, d->>'tracking_number', d->>'tracking_token', d - 'events', (d->>'created_at')::timestamptz,
  (d->>'updated_at')::timestamptz
FROM (SELECT d, pg_advisory_xact_lock(hashtextextended(d->>'id', 0)) FROM (SELECT $1::text::jsonb AS d) AS sent) AS given
ON CONFLICT (id) DO NOTHING RETURNING id
"""

_SAVE = """
WITH given AS (SELECT $2::text::jsonb AS d), noted AS (
  INSERT INTO logistics.tracking_events (shipment_id, occurred_at, code, location, source, told_at)
  SELECT $1, occurred_at, code, coalesce(location, ''), $4, told_at
  FROM jsonb_to_recordset($3::text::jsonb) AS t(occurred_at timestamptz, code text, location text, told_at timestamptz)
  ON CONFLICT (shipment_id, occurred_at, code, location) DO NOTHING
)
UPDATE logistics.shipments SET carrier = d->>'carrier', service = d->>'service', status = d->>'status',
  own = (d->>'own')::boolean, tracking_number = d->>'tracking_number', document = d - 'events',
  updated_at = (d->>'updated_at')::timestamptz
FROM given WHERE id = $1
"""

_SELECT = """
SELECT s.document::text AS document, (
  SELECT jsonb_agg(jsonb_build_object(
    'code', e.code, 'location', nullif(e.location, ''), 'occurred_at', e.occurred_at, 'told_at', e.told_at))
  FROM logistics.tracking_events e WHERE e.shipment_id = s.id)::text AS events
FROM logistics.shipments s
"""

_TRACKED = "carrier = $1 AND tracking_number = $2 AND NOT own"
_UNDER_WAY = ", ".join(f"'{status}'" for status in UNDER_WAY)

#: As 0.1.0 made it, with a note since.
WEBHOOKS = WebhookTable(
    name="logistics.webhooks", source="carrier", subject="tracking_number", at="received_at", waiting="accepted"
)
PURGE_WEBHOOKS = WEBHOOKS.purge


class PostgresLogisticsStore(LogisticsStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(self, uow: UnitOfWork, shipment: Shipment) -> bool:
        return await self._database.on(uow).value(_INSERT, json_text(shipment)) is not None

    async def lock(self, uow: UnitOfWork, shipment_id: str) -> Shipment | None:
        return await self._locked(uow, "id = $1", shipment_id)

    async def lock_tracked(self, uow: UnitOfWork, carrier: str, tracking_number: str) -> Shipment | None:
        return await self._locked(uow, _TRACKED, carrier, tracking_number)

    async def _locked(self, uow: UnitOfWork, condition: str, *params: str) -> Shipment | None:
        """The lock first, in a statement of its own: what is read with it is as old as the statement's beginning."""
        connection = self._database.on(uow)
        id_ = await connection.value(f"SELECT id FROM logistics.shipments WHERE {condition} FOR UPDATE", *params)
        return None if id_ is None else _shipment(await connection.row(f"{_SELECT} WHERE s.id = $1", id_))

    async def is_tracked(self, uow: UnitOfWork, carrier: str, tracking_number: str) -> bool:
        found = await self._database.on(uow).value(
            f"SELECT 1 FROM logistics.shipments WHERE {_TRACKED}", carrier, tracking_number
        )
        return found is not None

    async def save(self, uow: UnitOfWork, shipment: Shipment, new: Sequence[TrackingEvent] = (), source: str = "") -> None:
        await self._database.on(uow).execute(_SAVE, shipment.id, json_text(shipment), json_text(list(new)), source)

    async def get(self, shipment_id: str) -> Shipment | None:
        return _shipment(await self._database.row(f"{_SELECT} WHERE s.id = $1", shipment_id))

    async def get_by_token(self, tracking_token: str) -> Shipment | None:
        return _shipment(await self._database.row(f"{_SELECT} WHERE s.tracking_token = $1", tracking_token))

    async def list_of_carrier(self, carrier: str, query: ShipmentQuery, after: Position | None) -> list[Shipment]:
        rows = await self._database.fetch(
            f"{_SELECT} WHERE s.carrier = $1 AND ($2::text IS NULL OR s.status = $2::text)"
            " AND ($3::timestamptz IS NULL OR s.updated_at > $3::timestamptz)"
            " AND ($4::text IS NULL OR s.tracking_number = $4::text)"
            " AND ($5::timestamptz IS NULL OR (s.created_at, s.id) < ($5::timestamptz, $6::text))"
            " ORDER BY s.created_at DESC, s.id DESC LIMIT $7::int",
            carrier,
            query.status,
            query.updated_after,
            query.tracking_number,
            *(after or (None, None)),
            query.size + 1,
        )
        return [_decode(row) for row in rows]

    async def under_way(self, limit: int) -> list[tuple[str, str, str]]:
        rows = await self._database.fetch(
            "SELECT id, carrier, tracking_number FROM logistics.shipments"
            f" WHERE NOT own AND tracking_number IS NOT NULL AND status IN ({_UNDER_WAY})"
            " ORDER BY polled_at NULLS FIRST, id LIMIT $1::int",
            limit,
        )
        return [(row["id"], row["carrier"], row["tracking_number"]) for row in rows]

    async def polled(self, shipment_ids: Sequence[str], at: datetime) -> None:
        await self._database.execute(
            "UPDATE logistics.shipments SET polled_at = $2 WHERE id = ANY($1::text[])", list(shipment_ids), at
        )


def _shipment(row: dict[str, Any] | None) -> Shipment | None:
    return None if row is None else _decode(row)


def _decode(row: dict[str, Any]) -> Shipment:
    shipment = msgspec.json.decode(row["document"], type=Shipment)
    events = msgspec.json.decode(row["events"] or "[]", type=list[TrackingEvent])
    shipment.restore(events)
    return shipment


def make(context: PluginContext) -> tuple[PostgresLogisticsStore, PostgresWebhookInbox[TrackingEvent]]:
    """On the PostgreSQL that the deployment gives the plugin."""
    database = context.database
    return PostgresLogisticsStore(database), PostgresWebhookInbox(database, WEBHOOKS, TrackingEvent)
