"""Webhooks that came in, in a table of a plugin's own schema."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from marketplace_core.adapters.postgres.server import Database, Row, json_text
from marketplace_core.ports.units import UnitOfWork
from marketplace_core.ports.webhooks import StoredWebhook, WebhookInbox, WebhookState

__all__ = ["PostgresWebhookInbox", "WebhookTable"]

E = TypeVar("E")


class WebhookTable(Struct, frozen=True, kw_only=True):
    """A table of webhooks with its schema, and what its columns are called.

    The names are for tables that were released before this: processes of that release write them still, so they stay.
    ``waiting`` is what the state ``waiting`` is called in it. ``text``: its body is text, in which bytes that are none are
    replaced.
    """

    name: str
    source: str = "source"
    subject: str = "subject"
    at: str = "at"
    waiting: str = "waiting"
    text: bool = False

    @property
    def script(self) -> str:
        """What makes it, for a plugin's migration. A released one is never changed, and neither is this."""
        index = self.name.replace(".", "_")
        return f"""
            CREATE TABLE {self.name} (
              {self.source} text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, {self.subject} text COLLATE "C",
              event jsonb, body {"text" if self.text else "bytea"} NOT NULL, state text NOT NULL, note text,
              {self.at} timestamptz NOT NULL, PRIMARY KEY ({self.source}, id));
            CREATE INDEX {index}_ended ON {self.name} ({self.at}) WHERE state <> '{self.waiting}';
        """

    @property
    def purge(self) -> str:
        """$1: what came before goes, $2: at most so many. By the place of the rows, as a join could choose to read all."""
        return f"""
            DELETE FROM {self.name} WHERE ctid = ANY (ARRAY(
              SELECT ctid FROM {self.name} WHERE state <> '{self.waiting}' AND {self.at} < $1
              ORDER BY {self.at} LIMIT $2::int FOR UPDATE SKIP LOCKED)) RETURNING id
        """


class PostgresWebhookInbox(WebhookInbox[E], Generic[E]):
    def __init__(self, database: Database, table: WebhookTable, event: type[E]) -> None:
        """``event`` is what adapters read from a webhook; it is kept as JSON."""
        self._database, self._table, self._event = database, table, event

    async def insert(self, uow: UnitOfWork, webhook: StoredWebhook[E]) -> bool:
        made = await self._database.on(uow).value(
            self._insert,
            webhook.source,
            webhook.id,
            webhook.subject,
            None if webhook.event is None else json_text(webhook.event),
            _text(webhook.body) if self._table.text else webhook.body,
            self._called(webhook.state),
            webhook.note,
            uow.now,
        )
        return made is not None

    async def waiting(self, source: str, webhook_id: str) -> StoredWebhook[E] | None:
        return self._webhook(await self._database.row(self._select, source, webhook_id))

    async def close(
        self, uow: UnitOfWork, source: str, webhook_id: str, state: WebhookState, note: str | None = None
    ) -> StoredWebhook[E] | None:
        row = await self._database.on(uow).row(self._close, source, webhook_id, self._called(state), note)
        return self._webhook(row)

    async def delete_ended(self, uow: UnitOfWork, before: datetime, limit: int) -> int:
        return len(await self._database.on(uow).fetch(self._purge, before, limit))

    # ── statements, each made once ───────────────────────────────────────────────────────────────────────────

    @cached_property
    def _insert(self) -> str:
        table = self._table
        return (
            f"INSERT INTO {table.name} ({table.source}, id, {table.subject}, event, body, state, note, {table.at})"
            f" VALUES ($1, $2, $3, $4::text::jsonb, $5, $6, $7, $8) ON CONFLICT ({table.source}, id) DO NOTHING RETURNING id"
        )

    @cached_property
    def _columns(self) -> str:
        table = self._table
        return f"{table.source} AS source, id, {table.subject} AS subject, event::text AS event, body, state, note"

    @cached_property
    def _one(self) -> str:
        return f"{self._table.source} = $1 AND id = $2 AND state = '{self._table.waiting}'"

    @cached_property
    def _select(self) -> str:
        return f"SELECT {self._columns} FROM {self._table.name} WHERE {self._one}"

    @cached_property
    def _close(self) -> str:
        return f"UPDATE {self._table.name} SET state = $3, note = $4 WHERE {self._one} RETURNING {self._columns}"

    @cached_property
    def _purge(self) -> str:
        return self._table.purge

    # ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _called(self, state: WebhookState) -> str:
        return self._table.waiting if state == "waiting" else state

    def _webhook(self, row: Row | None) -> StoredWebhook[E] | None:
        if row is None:
            return None
        state: Any = "waiting" if row["state"] == self._table.waiting else row["state"]
        return StoredWebhook(
            source=row["source"],
            id=row["id"],
            body=row["body"].encode() if self._table.text else bytes(row["body"]),
            event=None if row["event"] is None else msgspec.json.decode(row["event"], type=self._event),
            state=state,
            subject=row["subject"],
            note=row["note"],
        )


def _text(body: bytes) -> str:
    """For people to read: PostgreSQL's text holds no zero."""
    return body.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
