"""What a PostgreSQL must be, for a deployment to begin on it."""

from __future__ import annotations

import re

import pytest

from marketplace_core.adapters.postgres import Database, migrate
from marketplace_core.adapters.postgres.migrate import MigrationError, check_server, migrate_database, missing_steps


async def test_ours_suits(database: Database) -> None:
    async with database.connection() as connection:
        await check_server(connection, database.name)


async def test_one_that_is_too_old_is_refused(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "OLDEST_POSTGRES", 99)
    for begin in (migrate_database, missing_steps):
        with pytest.raises(MigrationError, match=r"PostgreSQL \d+; use 99 or later"):
            await begin(database, {})


async def test_one_of_another_language_is_refused(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours speaks English only, so the other language here is that one."""
    monkeypatch.setattr(migrate, "_ENGLISH", re.compile("de_DE.*"))
    for begin in (migrate_database, missing_steps):
        with pytest.raises(MigrationError, match=r"have a superuser run ALTER DATABASE \".+\" SET lc_messages = 'C'"):
            await begin(database, {})


@pytest.mark.parametrize(
    ("locale", "is_english"),
    [
        *(
            (locale, True)
            for locale in ("", "C", "POSIX", "C.UTF-8", "en_US.utf8", "en_GB.UTF-8", "English_United States.1252")
        ),
        *((locale, False) for locale in ("de_DE.UTF-8", "ca_ES.UTF-8", "German_Germany.1252")),
    ],
)
def test_what_is_english(locale: str, is_english: bool) -> None:
    assert (migrate._ENGLISH.fullmatch(locale) is not None) == is_english
