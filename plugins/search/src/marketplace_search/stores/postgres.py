"""Counts of searches in PostgreSQL: one statement for a batch, however many searches it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Literal

from msgspec.structs import asdict

from marketplace_core.adapters.postgres import Database, json_text
from marketplace_core.capabilities.search import SearchedWords
from marketplace_core.context import PluginContext
from marketplace_search.store import Signals, SignalStore

__all__ = ["PostgresSignals", "make"]

_ADD = """
WITH told AS (
  SELECT r.* FROM jsonb_to_recordset($1::text::jsonb) AS r(query text, day date, searches bigint, without_result bigint,
    results bigint, clicks bigint, positions bigint)
)
INSERT INTO search_signals.days AS o SELECT * FROM told ORDER BY query, day
ON CONFLICT (query, day) DO UPDATE SET searches = o.searches + excluded.searches,
  without_result = o.without_result + excluded.without_result,
  results = CASE WHEN excluded.searches > 0 THEN excluded.results ELSE o.results END,
  clicks = o.clicks + excluded.clicks, positions = o.positions + excluded.positions
"""

#: A mark more than there may be is never written: what has been known by so many keeps none.
_PEOPLE = """
WITH told AS (
  SELECT r.query, r.searches, r.day, r.people FROM jsonb_to_recordset($1::text::jsonb)
    AS r(query text, day date, searches bigint, results bigint, people jsonb) WHERE r.searches > 0 AND r.results > 0
), marked AS (
  SELECT told.query, told.searches, told.day, coalesce(o.known, false) AS known,
    ARRAY(SELECT DISTINCT mark FROM (SELECT unnest(o.people) UNION SELECT jsonb_array_elements_text(told.people)::int)
      AS marks(mark)) AS people
  FROM told LEFT JOIN search_signals.queries o USING (query)
)
INSERT INTO search_signals.queries AS o (query, searches, last_day, people, known)
SELECT query, searches, day, CASE WHEN known OR cardinality(people) >= $2::int THEN '{}' ELSE people END,
  known OR cardinality(people) >= $2::int FROM marked ORDER BY query
ON CONFLICT (query) DO UPDATE SET searches = o.searches + excluded.searches,
  last_day = greatest(o.last_day, excluded.last_day), people = excluded.people, known = o.known OR excluded.known
"""

_POPULAR = """
SELECT query FROM search_signals.queries WHERE known AND query LIKE $1 AND query <> $2
ORDER BY searches DESC, query LIMIT $3::int
"""

_TOTALS = """
SELECT coalesce(sum(searches), 0)::bigint AS searches, coalesce(sum(without_result), 0)::bigint AS without_result,
  coalesce(sum(clicks), 0)::bigint AS clicks FROM search_signals.days WHERE day BETWEEN $1 AND $2
"""

_TOP = """
SELECT query, sum(searches)::bigint AS searches, (array_agg(results ORDER BY day DESC))[1] AS results,
  sum(clicks)::bigint AS clicks, (sum(positions)::float8 / nullif(sum(clicks), 0)::float8) AS position
FROM search_signals.days WHERE day BETWEEN $1 AND $2 GROUP BY query
HAVING sum(searches) > 0 AND (NOT $4::boolean OR (array_agg(results ORDER BY day DESC))[1] = 0)
ORDER BY sum(searches) DESC, query LIMIT $3::int
"""


class PostgresSignals(SignalStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, signals: Sequence[Signals], people: int) -> None:
        rows = json_text(
            [
                {**asdict(each), "without_result": each.searches if not each.results else 0, "people": sorted(each.people)}
                for each in signals
            ]
        )
        async with self._database.connection() as connection:
            await connection.execute(_ADD, rows)
            await connection.execute(_PEOPLE, rows, people)

    async def popular(self, prefix: str, size: int) -> list[str]:
        pattern = prefix.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") + "%"
        return [row["query"] for row in await self._database.fetch(_POPULAR, pattern, prefix, size)]

    async def totals(self, since: date, until: date) -> tuple[int, int, int]:
        row = await self._database.row(_TOTALS, since, until)
        return (row["searches"], row["without_result"], row["clicks"]) if row else (0, 0, 0)

    async def top(self, since: date, until: date, size: int, which: Literal["all", "nothing"]) -> list[SearchedWords]:
        rows = await self._database.fetch(_TOP, since, until, size, which == "nothing")
        return [SearchedWords(**row) for row in rows]

    async def forget(self, before: date) -> None:
        await self._database.execute("DELETE FROM search_signals.days WHERE day < $1", before)
        await self._database.execute("DELETE FROM search_signals.queries WHERE last_day < $1", before)


def make(context: PluginContext) -> PostgresSignals:
    return PostgresSignals(context.connection("signals"))
