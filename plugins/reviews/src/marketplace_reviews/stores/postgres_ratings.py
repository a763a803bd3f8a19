"""Ratings in PostgreSQL: a row for each review that was ever counted, and one for what those of a product or seller come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from marketplace_core.adapters.postgres import Database, Row
from marketplace_core.capabilities.reviews import RatedKind
from marketplace_core.context import PluginContext
from marketplace_core.ports import UnitOfWork
from marketplace_reviews.domain import STARS, Tally
from marketplace_reviews.store import Counted, RatingStore

__all__ = ["PostgresRatingStore", "make"]

_STARS = [f"stars_{stars}" for stars in STARS]
_COLUMNS = ", ".join(_STARS)

#: Both give the rating that there was.
_TAKE_OUT = "DELETE FROM reviews_ratings.counted WHERE review_id = $1 RETURNING rating"
_PUT = """
WITH known AS (SELECT rating FROM reviews_ratings.counted WHERE review_id = $1), put AS (
  INSERT INTO reviews_ratings.counted AS c (review_id, product_id, seller_id, rating) VALUES ($1, $2, $3, $4::smallint)
  ON CONFLICT (review_id) DO UPDATE SET rating = excluded.rating
)
SELECT rating FROM known
"""

#: The first of a product is never less than none; a row that is there says by itself when it would be.
_ADD = f"""
INSERT INTO reviews_ratings.tallies AS t (kind, id, {_COLUMNS})
VALUES ($1, $2, {", ".join(f"greatest(${n}::int, 0)" for n in range(3, 8))})
ON CONFLICT (kind, id) DO UPDATE SET {", ".join(f"{name} = t.{name} + ${n}::int" for n, name in enumerate(_STARS, start=3))}
RETURNING {_COLUMNS}
"""


class PostgresRatingStore(RatingStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, uow: UnitOfWork, counted: Counted) -> int | None:
        connection = self._database.on(uow)
        if counted.rating is None:
            row = await connection.row(_TAKE_OUT, counted.review_id)
        else:
            row = await connection.row(_PUT, counted.review_id, counted.product_id, counted.seller_id, counted.rating)
        return None if row is None else row["rating"]

    async def add(self, uow: UnitOfWork, kind: RatedKind, id_: str, counts: Sequence[int]) -> Tally:
        [row] = await self._database.on(uow).fetch(_ADD, kind, id_, *counts)
        return _tally(row)

    async def tallies(self, kind: RatedKind, ids: Sequence[str]) -> Mapping[str, Tally]:
        rows = await self._database.fetch(
            f"SELECT id, {_COLUMNS} FROM reviews_ratings.tallies WHERE kind = $1 AND id = ANY($2::text[])", kind, list(ids)
        )
        return {row["id"]: _tally(row) for row in rows}

    async def recount(self, kind: RatedKind, id_: str) -> Tally:
        counts = ", ".join(f"count(*) FILTER (WHERE rating = {stars}) AS stars_{stars}" for stars in STARS)
        found = await self._database.fetch(f"SELECT {counts} FROM reviews_ratings.counted WHERE {kind}_id = $1", id_)
        return _tally(found[0])


def _tally(row: Row) -> Tally:
    return Tally(tuple(row[name] for name in _STARS))


def make(context: PluginContext) -> PostgresRatingStore:
    """On the PostgreSQL that the deployment gives the plugin for its ratings."""
    return PostgresRatingStore(context.connection("ratings"))
