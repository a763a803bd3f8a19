"""Shops that were there before names were compared as they look."""

from __future__ import annotations

import unicodedata
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from marketplace_sellers import plugin
from marketplace_sellers.names import name_key

#: Each with the day on which it was opened; of those alike the first has the name.
NAMES = [
    "K\u0435ttle",
    "Kettle",
    "Sam\u043evar",
    "S\u0430m\u043evar",
    "Te\u200ba",
    "\u0412\u043e\u0441\u0442\u043e\u043a",
    "Müller",
]


async def test_keys_of_shops_become_those_of_now(database_factory: Callable[[Sequence[str]], Awaitable[Any]]) -> None:
    first, *later = [migration.script for migration in plugin.migrations()]
    database = await database_factory(["CREATE SCHEMA sellers;", first])
    before = {name: " ".join(unicodedata.normalize("NFKC", name).casefold().split()) for name in NAMES}
    for day, (name, key) in enumerate(before.items()):
        await database.execute(
            "INSERT INTO sellers.shops (id, name, name_key, slug, description, status, country, version, created_at)"
            " VALUES ($1, $1, $2, $1, '', 'active', 'DE', 1, timestamptz '2026-01-01' + $3::int * interval '1 day')",
            name,
            key,
            day,
        )
    async with database.connection() as connection:
        for script in later:
            await connection.script(script)
    kept = {row["name"]: row["name_key"] for row in await database.fetch("SELECT name, name_key FROM sellers.shops")}
    others = {NAMES[0]: before[NAMES[0]], NAMES[3]: before[NAMES[3]]}
    assert kept == {name: others.get(name, name_key(name)) for name in NAMES}
