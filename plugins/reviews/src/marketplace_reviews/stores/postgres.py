"""Reviews in PostgreSQL: a document each, with what is searched and sorted beside it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from marketplace_core.adapters.postgres import Database, Row, json_text
from marketplace_core.capabilities.reviews import ReviewQuery, SellerReviewQuery
from marketplace_core.context import PluginContext
from marketplace_core.pictures import PictureRecord
from marketplace_core.ports import UnitOfWork
from marketplace_core.values import PageQuery
from marketplace_reviews.domain import Line, Review
from marketplace_reviews.store import Command, Position, ReviewStore

__all__ = ["PostgresReviewStore", "make"]

_LINE = "item_id, order_id, account_id, product_id, seller_id, package_id, delivered_at, review_id, number"

_IMAGES = "(SELECT coalesce(jsonb_agg(p.document ORDER BY p.id), '[]') FROM reviews.pictures p WHERE p.review_id = {})"

#: Votes are counted beside the document, and pictures stand beside it, and are shown as of their rows.
_REVIEW = f"(r.document || jsonb_build_object('helpful', r.helpful, 'images', {_IMAGES.format('r.id')}))::text AS document"

#: A command says what the author says; what others have done to the review meanwhile stays.
_COMING = f"""(coalesce(c.document, r.document) || jsonb_build_object('helpful', coalesce(r.helpful, 0),
  'reply', r.document -> 'reply', 'images', {_IMAGES.format("coalesce(c.document, r.document)->>'id'")}))::text AS document"""

#: $1 is the review's id.
_AS_IT_WILL_BE = f"""
SELECT coalesce(c.act, '') = 'delete' AS gone, {_COMING}
FROM (SELECT $1::text AS id) AS wanted
LEFT JOIN reviews.reviews r ON r.id = wanted.id
LEFT JOIN LATERAL (
  SELECT act, document FROM reviews.commands WHERE review_id = wanted.id ORDER BY number DESC LIMIT 1) AS c ON true
WHERE r.id IS NOT NULL OR c.document IS NOT NULL
"""

_SAVE = """
INSERT INTO reviews.reviews AS r (id, product_id, seller_id, account_id, status, rating, replied, created_at, document)
SELECT d->>'id', d->>'product_id', d->>'seller_id', d->>'account_id', d->>'status', (d->>'rating')::smallint,
  jsonb_typeof(d->'reply') = 'object', (d->>'created_at')::timestamptz, d - 'helpful' - 'images'
FROM (SELECT $1::text::jsonb AS d) AS given
ON CONFLICT (id) DO UPDATE SET status = excluded.status, rating = excluded.rating, replied = excluded.replied,
  document = excluded.document
"""

_OWN = f"""
WITH accepted AS (
  SELECT DISTINCT ON (review_id) review_id, act, document FROM reviews.commands WHERE account_id = $1
  ORDER BY review_id, number DESC
), own AS (
  SELECT r.id, r.created_at, {_REVIEW} FROM reviews.reviews r
  WHERE r.account_id = $1 AND NOT EXISTS (SELECT FROM accepted a WHERE a.review_id = r.id)
    AND ($2::timestamptz IS NULL OR (r.created_at, r.id) < ($2::timestamptz, $3::text))
  ORDER BY r.created_at DESC, r.id DESC LIMIT $4::int
), coming AS (
  SELECT c.review_id AS id, (c.document->>'created_at')::timestamptz AS created_at, {_COMING}
  FROM accepted c LEFT JOIN reviews.reviews r ON r.id = c.review_id WHERE c.act <> 'delete'
)
SELECT id, created_at, document FROM (
  SELECT * FROM own UNION ALL
  SELECT * FROM coming WHERE $2::timestamptz IS NULL OR (created_at, id) < ($2::timestamptz, $3::text)) AS every
ORDER BY created_at DESC, id DESC LIMIT $4::int
"""

_PICTURES = "SELECT p.document::text AS document FROM reviews.pictures p WHERE p.review_id = $1 ORDER BY p.id"

#: Every blob that a picture is in, as its index has it.
_KEYS = """(jsonb_path_query_array(p.document, '$.key') || jsonb_path_query_array(p.document, '$.sizes.*.url')
  || jsonb_path_query_array(p.document, '$.source'))"""
_REFERRED = f"""
SELECT DISTINCT key FROM reviews.pictures p, jsonb_array_elements_text({_KEYS}) AS key
WHERE {_KEYS} ?| $1::text[] AND key = ANY($1::text[])
"""

#: per sort: its key and the key's type, whether it descends
SORTS = {
    "newest": ("r.created_at", "timestamptz", True),
    "helpful": ("r.helpful", "int", True),
    "rating": ("r.rating", "smallint", False),
    "-rating": ("r.rating", "smallint", True),
}


class PostgresReviewStore(ReviewStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    # ── lines ────────────────────────────────────────────────────────────────────────────────────────────────

    async def add_lines(self, uow: UnitOfWork, lines: Sequence[Line]) -> None:
        await self._database.on(uow).execute(
            f"INSERT INTO reviews.lines ({_LINE}) SELECT {_LINE} FROM jsonb_populate_recordset(NULL::reviews.lines,"
            " $1::text::jsonb) ORDER BY item_id ON CONFLICT (item_id) DO NOTHING",
            json_text(list(lines)),
        )

    async def ship_lines(self, uow: UnitOfWork, package_id: str, item_ids: Sequence[str]) -> None:
        await self._database.on(uow).execute(
            "UPDATE reviews.lines SET package_id = $1 WHERE item_id = ANY($2::text[])", package_id, list(item_ids)
        )

    async def deliver_lines(self, uow: UnitOfWork, package_id: str, at: datetime) -> list[Line]:
        rows = await self._database.on(uow).fetch(
            f"UPDATE reviews.lines SET delivered_at = $2 WHERE package_id = $1 AND delivered_at IS NULL RETURNING {_LINE}",
            package_id,
            at,
        )
        return sorted((Line(**row) for row in rows), key=lambda line: line.item_id)

    async def lock_line(self, uow: UnitOfWork, item_id: str) -> Line | None:
        row = await self._database.on(uow).row(f"SELECT {_LINE} FROM reviews.lines WHERE item_id = $1 FOR UPDATE", item_id)
        return None if row is None else Line(**row)

    async def save_line(self, uow: UnitOfWork, line: Line) -> None:
        await self._database.on(uow).execute(
            "UPDATE reviews.lines SET review_id = $2::text, number = $3::int WHERE item_id = $1",
            line.item_id,
            line.review_id,
            line.number,
        )

    # ── commands ─────────────────────────────────────────────────────────────────────────────────────────────

    async def add_command(self, uow: UnitOfWork, command: Command) -> None:
        await self._database.on(uow).execute(
            "INSERT INTO reviews.commands (review_id, number, account_id, act, document)"
            " VALUES ($1, $2::int, $3, $4, $5::text::jsonb)",
            command.review.id,
            command.number,
            command.review.account_id,
            command.act,
            json_text(command.review),
        )

    async def close_commands(self, uow: UnitOfWork, review_id: str, number: int) -> None:
        await self._database.on(uow).execute(
            "DELETE FROM reviews.commands WHERE review_id = $1 AND number <= $2::int", review_id, number
        )

    # ── reviews ──────────────────────────────────────────────────────────────────────────────────────────────

    async def find(self, review_id: str, uow: UnitOfWork | None = None) -> Review | None:
        source = self._database if uow is None else self._database.on(uow)
        row = await source.row(_AS_IT_WILL_BE, review_id)
        return None if row is None or row["gone"] else _review(row)

    async def get(self, review_id: str) -> Review | None:
        return _found(await self._database.row(f"SELECT {_REVIEW} FROM reviews.reviews r WHERE r.id = $1", review_id))

    async def lock(self, uow: UnitOfWork, review_id: str) -> Review | None:
        locking = f"SELECT {_REVIEW} FROM reviews.reviews r WHERE r.id = $1 FOR UPDATE"
        return _found(await self._database.on(uow).row(locking, review_id))

    async def save(self, uow: UnitOfWork, review: Review) -> None:
        await self._database.on(uow).execute(_SAVE, json_text(review))

    async def delete(self, uow: UnitOfWork, review_id: str) -> None:
        connection = self._database.on(uow)
        await connection.execute("DELETE FROM reviews.pictures WHERE review_id = $1", review_id)
        await connection.execute("DELETE FROM reviews.reviews WHERE id = $1", review_id)

    async def list_published(
        self, product_id: str, query: ReviewQuery, after: Position | None
    ) -> list[tuple[Review, Position]]:
        key, kind, descends = SORTS[query.sort]
        params: list[Any] = [product_id, query.size + 1]
        where = ["r.product_id = $1", "r.status = 'published'"]
        if query.rating is not None:
            params.append(query.rating)
            where.append(f"r.rating = ${len(params)}::smallint")
        if after is not None:
            params += after
            where.append(f"({key}, r.id) {'<' if descends else '>'} (${len(params) - 1}::{kind}, ${len(params)}::text)")
        order = f"{key} DESC, r.id DESC" if descends else f"{key}, r.id"
        rows = await self._database.fetch(
            f"SELECT {_REVIEW}, {key} AS position, r.id FROM reviews.reviews r WHERE {' AND '.join(where)}"
            f" ORDER BY {order} LIMIT $2::int",
            *params,
        )
        return [(_review(row), (row["position"], row["id"])) for row in rows]

    async def list_of_seller(
        self, seller_id: str, query: SellerReviewQuery, after: Position | None
    ) -> list[tuple[Review, Position]]:
        rows = await self._database.fetch(
            f"SELECT {_REVIEW}, r.created_at, r.id FROM reviews.reviews r WHERE r.seller_id = $1 AND r.status = 'published'"
            " AND ($2::text IS NULL OR r.product_id = $2::text) AND ($3::smallint IS NULL OR r.rating = $3::smallint)"
            " AND ($4::boolean IS NULL OR r.replied = $4::boolean)"
            " AND ($5::timestamptz IS NULL OR (r.created_at, r.id) < ($5::timestamptz, $6::text))"
            " ORDER BY r.created_at DESC, r.id DESC LIMIT $7::int",
            seller_id,
            query.product_id,
            query.rating,
            query.replied,
            *(after or (None, None)),
            query.size + 1,
        )
        return [(_review(row), (row["created_at"], row["id"])) for row in rows]

    async def list_own(self, account_id: str, query: PageQuery, after: Position | None) -> list[tuple[Review, Position]]:
        rows = await self._database.fetch(_OWN, account_id, *(after or (None, None)), query.size + 1)
        return [(_review(row), (row["created_at"], row["id"])) for row in rows]

    # ── pictures ─────────────────────────────────────────────────────────────────────────────────────────────

    async def get_pictures(self, review_id: str) -> list[PictureRecord]:
        return [_picture(row) for row in await self._database.fetch(_PICTURES, review_id)]

    async def lock_pictures(self, uow: UnitOfWork, review_id: str) -> list[PictureRecord]:
        return [_picture(row) for row in await self._database.on(uow).fetch(f"{_PICTURES} FOR UPDATE", review_id)]

    async def save_pictures(self, uow: UnitOfWork, review_id: str, pictures: Sequence[PictureRecord]) -> None:
        await self._database.on(uow).execute(
            "INSERT INTO reviews.pictures (id, review_id, document)"
            " SELECT d->>'id', $1, d FROM jsonb_array_elements($2::text::jsonb) AS d ORDER BY 1"
            " ON CONFLICT (id) DO UPDATE SET document = excluded.document",
            review_id,
            json_text(list(pictures)),
        )

    async def referred_pictures(self, keys: Sequence[str]) -> set[str]:
        return {row["key"] for row in await self._database.fetch(_REFERRED, list(keys))}

    # ── what others think of it ──────────────────────────────────────────────────────────────────────────────

    async def vote(self, uow: UnitOfWork, review_id: str, account_id: str, helpful: bool) -> bool:
        connection = self._database.on(uow)
        act = (
            "INSERT INTO reviews.votes (review_id, account_id) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING review_id"
            if helpful
            else "DELETE FROM reviews.votes WHERE review_id = $1 AND account_id = $2 RETURNING review_id"
        )
        if await connection.row(act, review_id, account_id) is None:
            return False
        counting = "UPDATE reviews.reviews SET helpful = helpful + $2::int WHERE id = $1"
        await connection.execute(counting, review_id, 1 if helpful else -1)
        return True

    async def report(self, uow: UnitOfWork, review_id: str, account_id: str, reason: str, at: datetime) -> int | None:
        connection = self._database.on(uow)
        added = await connection.row(
            "INSERT INTO reviews.reports (review_id, account_id, reason, created_at) VALUES ($1, $2, $3, $4)"
            " ON CONFLICT DO NOTHING RETURNING review_id",
            review_id,
            account_id,
            reason,
            at,
        )
        if added is None:
            return None
        count: int = await connection.value("SELECT count(*) FROM reviews.reports WHERE review_id = $1", review_id)
        return count


def _found(row: Row | None) -> Review | None:
    return None if row is None else _review(row)


def _picture(row: Row) -> PictureRecord:
    return msgspec.json.decode(row["document"], type=PictureRecord)


def _review(row: Row) -> Review:
    return msgspec.json.decode(row["document"], type=Review)


def make(context: PluginContext) -> PostgresReviewStore:
    """On the PostgreSQL that the deployment gives the plugin for its reviews."""
    return PostgresReviewStore(context.database)
