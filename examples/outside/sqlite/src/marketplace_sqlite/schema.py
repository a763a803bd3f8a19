"""What core keeps in each file: outbox, inbox, parked keys, claims. Times are seconds since 1970, of the machine's clock."""

from __future__ import annotations

__all__ = ["CORE_MIGRATIONS"]

#: Numbered from 1, forward only.
CORE_MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE marketplace_writer (id text NOT NULL PRIMARY KEY) WITHOUT ROWID;
    INSERT INTO marketplace_writer VALUES (lower(hex(randomblob(6))));
    CREATE TABLE marketplace_idempotency (
      scope text NOT NULL, method text NOT NULL, key text NOT NULL,
      digest text NOT NULL, refused int NOT NULL, body text NOT NULL, created_at real NOT NULL,
      PRIMARY KEY (scope, method, key)) WITHOUT ROWID;
    CREATE INDEX marketplace_idempotency_age ON marketplace_idempotency (created_at);
    CREATE TABLE marketplace_aggregates (
      topic text NOT NULL, key text NOT NULL, sequence int NOT NULL, PRIMARY KEY (topic, key)) WITHOUT ROWID;
    CREATE TABLE marketplace_outbox (
      id integer PRIMARY KEY AUTOINCREMENT,
      kind text NOT NULL, topic text NOT NULL, type text NOT NULL, key text NOT NULL, sequence int,
      event_id text NOT NULL, payload text NOT NULL, trace text NOT NULL, created_at real NOT NULL, relayed_at real);
    CREATE INDEX marketplace_outbox_pending ON marketplace_outbox (id) WHERE relayed_at IS NULL;
    CREATE TABLE marketplace_inbox (
      handler text NOT NULL, key text NOT NULL, sequence int NOT NULL, writer text NOT NULL DEFAULT '', parked_at real,
      PRIMARY KEY (handler, key)) WITHOUT ROWID;
    CREATE TABLE marketplace_parked (
      id text NOT NULL PRIMARY KEY, handler text NOT NULL, key text NOT NULL, sequence int NOT NULL, type text NOT NULL,
      envelope text NOT NULL, writer text NOT NULL, error text NOT NULL, attempts int NOT NULL, at real NOT NULL,
      requested text, retry_at real, UNIQUE (handler, key, sequence));
    CREATE TABLE marketplace_unreadable (
      id text NOT NULL PRIMARY KEY, reader text NOT NULL, topic text NOT NULL, partition int NOT NULL, raw blob NOT NULL,
      error text NOT NULL, attempts int NOT NULL DEFAULT 1, at real NOT NULL, requested text);
    CREATE INDEX marketplace_unreadable_reader ON marketplace_unreadable (reader);
    """,
)
