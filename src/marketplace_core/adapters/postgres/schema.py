"""What core itself keeps in each database: outbox, inbox, parked keys, claims, schedules, webhooks that go out."""

from __future__ import annotations

__all__ = ["CORE_MIGRATIONS"]

#: Migrations of what core itself keeps in each database, numbered from 1, forward only.
CORE_MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE marketplace.idempotency (
      scope text NOT NULL, method text NOT NULL, key text NOT NULL,
      digest text NOT NULL, refused boolean NOT NULL, body text NOT NULL,
      created_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (scope, method, key));
    CREATE INDEX ON marketplace.idempotency (created_at);
    CREATE TABLE marketplace.aggregates (
      topic text NOT NULL, key text NOT NULL, sequence bigint NOT NULL, PRIMARY KEY (topic, key))
      WITH (fillfactor = 80);
    CREATE TABLE marketplace.outbox (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      kind text NOT NULL, topic text NOT NULL, type text NOT NULL, key text NOT NULL,
      lane smallint NOT NULL, sequence bigint, event_id text NOT NULL, payload text NOT NULL,
      created_at timestamptz NOT NULL DEFAULT now(), relayed_at timestamptz);
    CREATE INDEX outbox_pending ON marketplace.outbox (id) WHERE relayed_at IS NULL;
    CREATE TABLE marketplace.inbox (
      handler text NOT NULL, key text NOT NULL, sequence bigint NOT NULL, parked_at timestamptz,
      PRIMARY KEY (handler, key)) WITH (fillfactor = 80);
    CREATE TABLE marketplace.parked (
      id text PRIMARY KEY, handler text NOT NULL, key text NOT NULL, sequence bigint NOT NULL,
      envelope text NOT NULL, error text NOT NULL DEFAULT '', attempts int NOT NULL DEFAULT 0,
      at timestamptz NOT NULL DEFAULT now(), requested text, UNIQUE (handler, key, sequence));
    """,
    """
    CREATE TABLE marketplace.schedules (
      name text PRIMARY KEY, last_at timestamptz, failures int NOT NULL DEFAULT 0, error text NOT NULL DEFAULT '',
      retry_at timestamptz, owner text, owned_until timestamptz) WITH (fillfactor = 80);
    """,
    "ALTER TABLE marketplace.parked ADD COLUMN retry_at timestamptz",
    "ALTER TABLE marketplace.outbox ADD COLUMN trace text NOT NULL DEFAULT ''",
    # Of a parked event of before, the type stands in its envelope, which can be read.
    """
    ALTER TABLE marketplace.parked ADD COLUMN type text;
    CREATE TABLE marketplace.unreadable (
      id text PRIMARY KEY, reader text NOT NULL, topic text NOT NULL, partition int NOT NULL, raw bytea NOT NULL,
      error text NOT NULL, attempts int NOT NULL DEFAULT 1, at timestamptz NOT NULL DEFAULT now(), requested text);
    CREATE INDEX ON marketplace.unreadable (reader);
    """,
    # Whose sequences the outbox has, which moves with the database. In inbox rows of before it is whoever comes next.
    """
    CREATE TABLE marketplace.writer (id text PRIMARY KEY);
    INSERT INTO marketplace.writer SELECT left(replace(gen_random_uuid()::text, '-', ''), 12);
    ALTER TABLE marketplace.inbox ADD COLUMN writer text NOT NULL DEFAULT '';
    ALTER TABLE marketplace.parked ADD COLUMN writer text NOT NULL DEFAULT '';
    """,
    # Webhooks that go out. What waits is found by its endpoint, so that one that is slow holds up no other.
    """
    CREATE TABLE marketplace.webhook_endpoints (
      id text COLLATE "C" PRIMARY KEY, plugin text NOT NULL, owner text NOT NULL, url text NOT NULL, events text[] NOT NULL,
      state text NOT NULL, generation int NOT NULL, secret_at timestamptz NOT NULL, created_at timestamptz NOT NULL,
      off_at timestamptz, note text);
    CREATE INDEX webhook_endpoints_owner ON marketplace.webhook_endpoints (plugin, owner);
    CREATE TABLE marketplace.webhook_deliveries (
      id text COLLATE "C" PRIMARY KEY, plugin text NOT NULL, endpoint_id text COLLATE "C" NOT NULL, message_id text NOT NULL,
      type text NOT NULL, body text NOT NULL, trace text NOT NULL, state text NOT NULL, tries int NOT NULL DEFAULT 0,
      created_at timestamptz NOT NULL, due_at timestamptz NOT NULL, ended_at timestamptz, status int, note text,
      UNIQUE (endpoint_id, message_id)) WITH (fillfactor = 80);
    CREATE INDEX webhook_deliveries_waiting ON marketplace.webhook_deliveries (plugin, endpoint_id, due_at)
      WHERE state = 'waiting';
    CREATE INDEX webhook_deliveries_ended ON marketplace.webhook_deliveries (plugin, ended_at) WHERE state <> 'waiting';
    CREATE INDEX webhook_deliveries_endpoint ON marketplace.webhook_deliveries (endpoint_id, id);
    """,
)
