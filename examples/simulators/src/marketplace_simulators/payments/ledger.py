"""The tables of the gateway. Called inside of a transaction wherever something is written."""

from __future__ import annotations

import secrets

import msgspec

from marketplace_simulators.clock import Clock
from marketplace_simulators.payments.domain import Kind, Operation, Payment
from marketplace_simulators.store import Store
from marketplace_simulators.wire import Page

__all__ = ["SCHEMA", "Ledger"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS payments (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
    reference TEXT NOT NULL, key TEXT NOT NULL,
    amount INTEGER NOT NULL, currency TEXT NOT NULL, token TEXT NOT NULL, return_url TEXT,
    state TEXT NOT NULL, authorized INTEGER NOT NULL, captured INTEGER NOT NULL, voided INTEGER NOT NULL,
    refunded INTEGER NOT NULL, failure_code TEXT, failure_detail TEXT, expires_at REAL,
    created_at TEXT NOT NULL,
    CHECK (captured + voided <= authorized AND refunded <= captured)
);
CREATE INDEX IF NOT EXISTS payments_reference ON payments (reference);
CREATE INDEX IF NOT EXISTS payments_waiting ON payments (expires_at) WHERE state = 'requires_action';
CREATE TABLE IF NOT EXISTS operations (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, payment TEXT,
    reference TEXT NOT NULL, key TEXT NOT NULL, amount INTEGER NOT NULL, currency TEXT NOT NULL,
    at TEXT NOT NULL, destination TEXT
);
CREATE INDEX IF NOT EXISTS operations_reference ON operations (reference);
"""


class Ledger:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def insert(self, payment: Payment) -> None:
        """``seq`` is given by the database."""
        columns = [name for name in Payment.__struct_fields__ if name != "seq"]
        self._store.execute(
            f"INSERT INTO payments ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",  # noqa: S608
            *(getattr(payment, name) for name in columns),
        )

    def update(self, payment: Payment) -> None:
        self._store.execute(
            "UPDATE payments SET state = ?, authorized = ?, captured = ?, voided = ?, refunded = ?,"
            " failure_code = ?, failure_detail = ? WHERE id = ?",
            payment.state,
            payment.authorized,
            payment.captured,
            payment.voided,
            payment.refunded,
            payment.failure_code,
            payment.failure_detail,
            payment.id,
        )

    def payment(self, id_: str) -> Payment | None:
        row = self._store.one("SELECT * FROM payments WHERE id = ?", id_)
        return None if row is None else msgspec.convert(row, Payment)

    def payments(self, reference: str | None, page: Page) -> list[Payment]:
        rows = self._store.all(
            "SELECT * FROM payments WHERE (?1 IS NULL OR reference = ?1) AND seq > ?2 ORDER BY seq LIMIT ?3",
            reference,
            page.after,
            page.limit,
        )
        return msgspec.convert(rows, list[Payment])

    def expired(self, now: float) -> list[Payment]:
        rows = self._store.all("SELECT * FROM payments WHERE state = 'requires_action' AND expires_at <= ?", now)
        return msgspec.convert(rows, list[Payment])

    def record(
        self,
        kind: Kind,
        *,
        reference: str,
        key: str,
        amount: int,
        currency: str,
        payment: str | None = None,
        destination: str | None = None,
    ) -> Operation:
        """Write down that money moved."""
        row = self._store.one(
            "INSERT INTO operations (id, kind, payment, reference, key, amount, currency, at, destination)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING *",
            f"op_{secrets.token_hex(12)}",
            kind,
            payment,
            reference,
            key,
            amount,
            currency,
            self._clock.text(),
            destination,
        )
        return msgspec.convert(row, Operation)

    def operations(self, reference: str | None, page: Page) -> list[Operation]:
        rows = self._store.all(
            "SELECT * FROM operations WHERE (?1 IS NULL OR reference = ?1) AND seq > ?2 ORDER BY seq LIMIT ?3",
            reference,
            page.after,
            page.limit,
        )
        return msgspec.convert(rows, list[Operation])
