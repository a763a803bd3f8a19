"""Moderation in PostgreSQL: an item each as a document, with what is searched and sorted beside it, and the audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from marketplace_core.adapters.postgres import Database, Row, json_text
from marketplace_core.capabilities.moderation import Author, QueueQuery
from marketplace_core.context import PluginContext
from marketplace_core.ports import UnitOfWork
from marketplace_core.values import PageQuery
from marketplace_moderation.domain import Item
from marketplace_moderation.store import Entry, LikenessStore, ModerationStore, Position, Waiting
from marketplace_moderation.stores.postgres_likeness import PostgresLikenessStore

__all__ = ["PostgresModerationStore", "make"]

_SAVE = """
INSERT INTO moderation.items (id, kind, subject_id, version, state, author_id, seller_id, claimed_until, since, created_at,
  document)
SELECT r.*, d FROM jsonb_array_elements($1::text::jsonb) AS d, jsonb_to_record(d) AS r(id text, kind text, subject_id text,
  version int, state text, author_id text, seller_id text, claimed_until timestamptz, since timestamptz,
  created_at timestamptz) ORDER BY r.id
ON CONFLICT (id) DO UPDATE SET state = excluded.state, claimed_until = excluded.claimed_until, since = excluded.since,
  document = excluded.document
"""

_LATEST = """
SELECT document::text AS document FROM moderation.items WHERE kind = $1 AND subject_id = $2 ORDER BY version DESC LIMIT 1
FOR UPDATE
"""

_LOCK = "SELECT document::text AS document FROM moderation.items WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE"

_FREE = "(claimed_until IS NULL OR claimed_until <= $2::timestamptz)"
#: By the status that is asked for; $2 is the time.
_STATUS = {
    None: "state IN ('open', 'appealed')",
    "open": f"state = 'open' AND {_FREE}",
    "appealed": f"state = 'appealed' AND {_FREE}",
    "claimed": "state IN ('open', 'appealed') AND claimed_until > $2::timestamptz",
    "decided": "state = 'decided'",
}

_WAITING = """
SELECT count(*) FILTER (WHERE state = 'open') AS open, count(*) FILTER (WHERE state = 'appealed') AS appealed,
  coalesce(extract(epoch FROM $1::timestamptz - min(since)), 0)::float8 AS seconds
FROM moderation.items WHERE state IN ('open', 'appealed')
"""


class PostgresModerationStore(ModerationStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    # ── the audit ────────────────────────────────────────────────────────────────────────────────────────────

    async def lock_audit(self, uow: UnitOfWork) -> Entry:
        row = await self._database.on(uow).row("SELECT number, hash FROM moderation.audit_head FOR UPDATE")
        return _head(row)

    async def add_entries(self, uow: UnitOfWork, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        connection = self._database.on(uow)
        await connection.execute(
            "INSERT INTO moderation.audit (number, entry, hash) SELECT * FROM jsonb_to_recordset($1::text::jsonb)"
            " AS r(number bigint, entry text, hash text) ORDER BY number",
            json_text(list(entries)),
        )
        last = entries[-1]
        await connection.execute(
            "UPDATE moderation.audit_head SET number = $1::bigint, hash = $2::text", last.number, last.hash
        )

    async def entries(self, after: int, limit: int) -> list[Entry]:
        rows = await self._database.fetch(
            "SELECT number, entry, hash FROM moderation.audit WHERE number > $1::bigint ORDER BY number LIMIT $2::int",
            after,
            limit,
        )
        return [Entry(**row) for row in rows]

    async def head(self) -> Entry:
        return _head(await self._database.row("SELECT number, hash FROM moderation.audit_head"))

    # ── items ────────────────────────────────────────────────────────────────────────────────────────────────

    async def latest(self, uow: UnitOfWork, kind: str, subject_id: str) -> Item | None:
        row = await self._database.on(uow).row(_LATEST, kind, subject_id)
        return None if row is None else _item(row)

    async def get(self, item_id: str) -> Item | None:
        row = await self._database.row("SELECT document::text AS document FROM moderation.items WHERE id = $1", item_id)
        return None if row is None else _item(row)

    async def lock(self, uow: UnitOfWork, item_ids: Sequence[str]) -> Mapping[str, Item]:
        rows = await self._database.on(uow).fetch(_LOCK, list(item_ids))
        return {item.id: item for item in map(_item, rows)}

    async def save(self, uow: UnitOfWork, items: Sequence[Item]) -> None:
        await self._database.on(uow).execute(_SAVE, json_text(list(items)))

    async def list_queue(self, query: QueueQuery, after: Position | None, now: datetime) -> list[tuple[Item, Position]]:
        params: list[Any] = [query.size + 1, now]
        where = [_STATUS[query.status], "$2::timestamptz IS NOT NULL"]
        if query.kind is not None:
            params.append(query.kind)
            where.append(f"kind = ${len(params)}")
        if after is not None:
            params += after
            where.append(f"(since, id) > (${len(params) - 1}::timestamptz, ${len(params)}::text)")
        rows = await self._database.fetch(
            f"SELECT document::text AS document, since, id FROM moderation.items WHERE {' AND '.join(where)}"
            " ORDER BY since, id LIMIT $1::int",
            *params,
        )
        return [(_item(row), (row["since"], row["id"])) for row in rows]

    async def list_own(self, author: Author, query: PageQuery, after: Position | None) -> list[tuple[Item, Position]]:
        page = (
            "SELECT document, created_at, id FROM moderation.items WHERE {0} AND state <> 'superseded'"
            " AND ($3::timestamptz IS NULL OR (created_at, id) < ($3::timestamptz, $4::text))"
            " ORDER BY created_at DESC, id DESC LIMIT $5::int"
        )
        rows = await self._database.fetch(
            f"SELECT document::text AS document, created_at, id FROM (({page.format('author_id = $1::text')})"
            f" UNION ({page.format('seller_id = $2::text')})) AS own ORDER BY created_at DESC, id DESC LIMIT $5::int",
            author.account_id,
            author.seller_id,
            *(after or (None, None)),
            query.size + 1,
        )
        return [(_item(row), (row["created_at"], row["id"])) for row in rows]

    async def waiting(self, now: datetime) -> Waiting:
        [row] = await self._database.fetch(_WAITING, now)
        return Waiting(**row)


def _head(row: Row | None) -> Entry:
    if row is None:
        raise LookupError("the audit of moderation has no head")
    return Entry(row["number"], "", row["hash"])


def _item(row: Row) -> Item:
    return msgspec.json.decode(row["document"], type=Item)


def make(context: PluginContext) -> tuple[ModerationStore, LikenessStore]:
    """On the PostgreSQL that the deployment gives the plugin."""
    return PostgresModerationStore(context.database), PostgresLikenessStore(context.database)
