"""The table of shipments."""

from __future__ import annotations

import msgspec

from marketplace_simulators.carriers.domain import Event, NewShipment, Shipment
from marketplace_simulators.store import Store
from marketplace_simulators.wire import Page

__all__ = ["SCHEMA", "Shipments"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS shipments (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, tracking_number TEXT NOT NULL UNIQUE,
    reference TEXT NOT NULL, service TEXT NOT NULL, status TEXT NOT NULL, estimated_delivery TEXT NOT NULL,
    content BLOB NOT NULL, events BLOB NOT NULL, created_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS shipments_reference ON shipments (reference);
"""


def _shipment(row: dict[str, object]) -> Shipment:
    content = msgspec.json.decode(msgspec.convert(row["content"], bytes), type=NewShipment)
    events = msgspec.json.decode(msgspec.convert(row["events"], bytes), type=list[Event])
    rest = {name: value for name, value in row.items() if name not in {"content", "events"}}
    return msgspec.convert({**rest, "content": content, "events": events}, Shipment)


class Shipments:
    def __init__(self, store: Store) -> None:
        self._store = store

    def insert(self, shipment: Shipment) -> None:
        """``seq`` is given by the database."""
        self._store.execute(
            "INSERT INTO shipments (id, tracking_number, reference, service, status, estimated_delivery,"
            " content, events, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            shipment.id,
            shipment.tracking_number,
            shipment.reference,
            shipment.service,
            shipment.status,
            shipment.estimated_delivery,
            msgspec.json.encode(shipment.content),
            msgspec.json.encode(shipment.events),
            shipment.created_at,
        )

    def update(self, shipment: Shipment) -> None:
        self._store.execute(
            "UPDATE shipments SET status = ?, events = ? WHERE seq = ?",
            shipment.status,
            msgspec.json.encode(shipment.events),
            shipment.seq,
        )

    def find(self, tracking_number: str) -> Shipment | None:
        row = self._store.one("SELECT * FROM shipments WHERE tracking_number = ?", tracking_number)
        return None if row is None else _shipment(row)

    def list(self, reference: str | None, page: Page) -> list[Shipment]:
        rows = self._store.all(
            "SELECT * FROM shipments WHERE (?1 IS NULL OR reference = ?1) AND seq > ?2 ORDER BY seq LIMIT ?3",
            reference,
            page.after,
            page.limit,
        )
        return [_shipment(row) for row in rows]
