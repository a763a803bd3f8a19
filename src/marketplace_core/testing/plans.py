"""What PostgreSQL would do for a statement: a test can say that its cost does not grow with what is there."""

from __future__ import annotations

import re
from typing import Any

from marketplace_core.adapters.postgres import Database

__all__ = ["read_whole"]


async def read_whole(database: Database, statement: str, *parameters: Any) -> list[str]:
    """The tables, with their schemas, that ``statement`` would read from beginning to end.

    Planned for what is there: of a small table PostgreSQL reads all by right, so let it have some thousand rows, and ANALYZE.
    """
    rows = await database.fetch(f"EXPLAIN (VERBOSE) {statement}", *parameters)
    plan = "\n".join(row["QUERY PLAN"] for row in rows)
    return re.findall(r"Seq Scan on (\S+)", plan)
