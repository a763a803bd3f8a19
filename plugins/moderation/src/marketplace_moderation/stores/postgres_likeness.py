"""What texts, pictures and prices are like, in PostgreSQL: found by the bands that they share, and by steps of prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from marketplace_core.adapters.postgres import Database, json_text
from marketplace_core.ports import UnitOfWork
from marketplace_moderation.store import LikenessStore, Picture, Text

__all__ = ["PostgresLikenessStore"]

_TEXTS = """
SELECT subject, owner, signature, bands FROM moderation.texts
WHERE bands && $1::bigint[] AND owner <> $2 AND split_part(subject, '/', 1) = split_part($3, '/', 1) LIMIT 50
"""
_PICTURES = """
SELECT subject, key, owner, hash, bands FROM moderation.pictures WHERE bands && $1::int[] AND NOT owner = ANY($2::text[])
LIMIT 50
"""
_PUT_TEXT = """
INSERT INTO moderation.texts (subject, owner, signature, bands) VALUES ($1, $2, $3::bytea, $4::bigint[])
ON CONFLICT (subject) DO UPDATE SET owner = excluded.owner, signature = excluded.signature, bands = excluded.bands
"""
_PUT_PICTURES = """
INSERT INTO moderation.pictures (subject, key, owner, hash, bands)
SELECT subject, key, owner, hash, ARRAY(SELECT jsonb_array_elements_text(bands)::int)
FROM jsonb_to_recordset($1::text::jsonb) AS r(subject text, key text, owner text, hash bigint, bands jsonb)
ON CONFLICT (subject, key) DO NOTHING
"""
_ADD_PRICE = """
INSERT INTO moderation.prices AS p (category_id, currency, step, count) VALUES ($1, $2, $3::int, 1)
ON CONFLICT (category_id, currency, step) DO UPDATE SET count = p.count + 1
"""
_TAKE_PRICE = """
WITH gone AS (DELETE FROM moderation.priced WHERE subject = $1 RETURNING category_id, currency, step)
UPDATE moderation.prices p SET count = p.count - 1 FROM gone
WHERE (p.category_id, p.currency, p.step) = (gone.category_id, gone.currency, gone.step)
"""


class PostgresLikenessStore(LikenessStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def texts_like(self, uow: UnitOfWork, text: Text) -> list[Text]:
        rows = await self._database.on(uow).fetch(_TEXTS, text.bands, text.owner, text.subject)
        return [Text(**row) for row in rows]

    async def pictures_like(self, uow: UnitOfWork, pictures: Sequence[Picture]) -> list[Picture]:
        if not pictures:
            return []
        bands = sorted({band for picture in pictures for band in picture.bands})
        rows = await self._database.on(uow).fetch(_PICTURES, bands, sorted({picture.owner for picture in pictures}))
        return [Picture(**row) for row in rows]

    async def put(self, uow: UnitOfWork, subject: str, text: Text | None, pictures: Sequence[Picture]) -> None:
        connection = self._database.on(uow)
        if text is None:
            await connection.execute("DELETE FROM moderation.texts WHERE subject = $1", subject)
        else:
            await connection.execute(_PUT_TEXT, subject, text.owner, text.signature, text.bands)
        keys = [picture.key for picture in pictures]
        gone = "DELETE FROM moderation.pictures WHERE subject = $1 AND NOT key = ANY($2::text[])"
        await connection.execute(gone, subject, keys)
        if pictures:
            await connection.execute(_PUT_PICTURES, json_text(list(pictures)))

    async def steps(self, uow: UnitOfWork, category_id: str, currency: str) -> Mapping[int, int]:
        rows = await self._database.on(uow).fetch(
            "SELECT step, count FROM moderation.prices WHERE category_id = $1 AND currency = $2 AND count > 0",
            category_id,
            currency,
        )
        return {row["step"]: row["count"] for row in rows}

    async def put_price(self, uow: UnitOfWork, subject: str, category_id: str, currency: str, step: int) -> None:
        connection = self._database.on(uow)
        await connection.execute(_TAKE_PRICE, subject)
        await connection.execute(_ADD_PRICE, category_id, currency, step)
        await connection.execute(
            "INSERT INTO moderation.priced (subject, category_id, currency, step) VALUES ($1, $2, $3, $4::int)",
            subject,
            category_id,
            currency,
            step,
        )

    async def model(self) -> tuple[int, bytes] | None:
        row = await self._database.row("SELECT number, body FROM moderation.models ORDER BY number DESC LIMIT 1")
        return None if row is None else (row["number"], bytes(row["body"]))

    async def model_number(self) -> int | None:
        found: Any = await self._database.value("SELECT max(number) FROM moderation.models")
        return None if found is None else int(found)

    async def put_model(self, uow: UnitOfWork, body: bytes) -> None:
        await self._database.on(uow).execute(
            "INSERT INTO moderation.models (created_at, body) VALUES ($1::timestamptz, $2::bytea)", uow.now, body
        )
