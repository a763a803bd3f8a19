"""What a PostgreSQL must be, for a deployment to begin on it; and what its scripts must be."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import pytest
from msgspec import structs

from marketplace_core.adapters._scripts import outside, split_statements
from marketplace_core.adapters.postgres import Database, migrate
from marketplace_core.adapters.postgres.migrate import MigrationError, check_server, migrate_database, missing_steps
from marketplace_core.hookspecs import Migration
from marketplace_core.testing.servers import Servers


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


# ── scripts ──────────────────────────────────────────────────────────────────────────────────────────────────

FIRST = Migration("postgres", 1, "gifts", "CREATE TABLE gifts.gifts (id text PRIMARY KEY);\n")
SECOND = Migration("postgres", 2, "ribbons", "ALTER TABLE gifts.gifts ADD COLUMN ribbon text;\n")


@pytest.fixture
async def empty(database_factory: Callable[..., Awaitable[Database]]) -> Database:
    made = await database_factory()
    await made.execute("DROP SCHEMA marketplace CASCADE")
    return made


async def test_a_script_that_was_changed_is_refused_with_its_number(empty: Database) -> None:
    await migrate_database(empty, {"gifts": [FIRST]})
    changed = structs.replace(FIRST, script=FIRST.script.replace("id text", "id uuid"))
    for begin in (migrate_database, missing_steps):
        with pytest.raises(MigrationError) as caught:
            await begin(empty, {"gifts": [changed, SECOND]})
        assert str(caught.value) == (
            f"migration 1 of 'gifts', 'gifts', was changed after {empty.name} ran it; "
            "put back what it was, and write the change as a migration of the next number"
        )
    assert [step.number for step in await migrate_database(empty, {"gifts": [FIRST, SECOND]})] == [2]


async def test_ends_of_lines_are_no_change(empty: Database) -> None:
    await migrate_database(empty, {"gifts": [FIRST]})
    assert await migrate_database(empty, {"gifts": [structs.replace(FIRST, script=FIRST.script.replace("\n", "\r\n"))]}) == []


async def test_a_database_of_before_checksums_takes_over_those_of_now(empty: Database) -> None:
    await migrate_database(empty, {"gifts": [FIRST]})
    await empty.execute("ALTER TABLE marketplace.migrations DROP COLUMN checksum")
    assert [step.number for step in await missing_steps(empty, {"gifts": [FIRST, SECOND]})] == [2]
    assert [step.number for step in await migrate_database(empty, {"gifts": [FIRST, SECOND]})] == [2]
    with pytest.raises(MigrationError, match="migration 1 of 'gifts', 'gifts', was changed"):
        await migrate_database(empty, {"gifts": [structs.replace(FIRST, script="SELECT 1"), SECOND]})


async def test_a_test_database_is_as_migrate_leaves_it(marketplace_servers: Servers) -> None:
    made = Database(await marketplace_servers.create_migrated({"gifts": [FIRST]}))
    try:
        assert await migrate_database(made, {"gifts": [FIRST]}) == []
        with pytest.raises(MigrationError, match="was changed"):
            await migrate_database(made, {"gifts": [structs.replace(FIRST, script="SELECT 1")]})
    finally:
        await made.close()
        marketplace_servers.drop_database(made.dsn)


async def test_a_migration_that_fails_names_its_statement_and_keeps_nothing(empty: Database) -> None:
    script = "CREATE TABLE gifts.a (x int DEFAULT 1); -- ; no end\nCREATE TABLE gifts.b (note text DEFAULT ';', x intt);"
    with pytest.raises(MigrationError) as caught:
        await migrate_database(empty, {"gifts": [FIRST, Migration("postgres", 2, "more", script)]})
    said = str(caught.value)
    assert said.startswith(f"migration 2 of 'gifts', 'more', failed on {empty.name} at its statement 2, ")
    assert "CREATE TABLE gifts.b (note text DEFAULT ';', x intt) (" in said
    assert 'type "intt" does not exist' in said
    assert await empty.value("SELECT to_regclass('gifts.a')::text") is None
    assert await empty.value("SELECT max(number) FROM marketplace.migrations WHERE plugin = 'gifts'") == 1


# ── statements ───────────────────────────────────────────────────────────────────────────────────────────────

FUNCTION = "CREATE FUNCTION a.f() RETURNS int LANGUAGE plpgsql AS $body$ BEGIN; RETURN 1; END $body$"
ATOMIC = "CREATE FUNCTION a.g(x int) RETURNS int BEGIN ATOMIC SELECT CASE WHEN x > 1 THEN 2 ELSE 3 END; SELECT 2; END"


@pytest.mark.parametrize(
    ("script", "statements"),
    [
        ("", []),
        (" ; ;\n-- nothing;\n/* or; */", []),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT ';'; SELECT \";\" FROM t;", ["SELECT ';'", 'SELECT ";" FROM t']),
        ("SELECT 'it''s;'; SELECT E'\\';';", ["SELECT 'it''s;'", "SELECT E'\\';'"]),
        (f"{FUNCTION}; SELECT $$;$$", [FUNCTION, "SELECT $$;$$"]),
        (f"{ATOMIC}; SELECT 2;", [ATOMIC, "SELECT 2"]),
    ],
)
def test_what_ends_a_statement(script: str, statements: list[str]) -> None:
    assert split_statements(script) == statements


@pytest.mark.parametrize(
    ("script", "touched"),
    [
        ("CREATE TABLE a.b (x int REFERENCES c.d); CREATE UNIQUE INDEX i ON a.b (x); UPDATE a.b SET x = 1", []),
        ('CREATE TABLE "a"."b" (x int); DROP INDEX IF EXISTS a.i', []),
        ("-- CREATE TABLE c.d\nSELECT 'CREATE TABLE c.d'", []),
        ("CREATE TABLE IF NOT EXISTS b (x int)", ["b"]),
        ("CREATE UNLOGGED TABLE c.b (x int)", ["c.b"]),
        ("ALTER TABLE ONLY c.b ADD y int", ["c.b"]),
        ("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON c.b (x)", ["c.b"]),
        ("CREATE SCHEMA c", ["c"]),
        ("CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", ["f"]),
        ("INSERT INTO c.b VALUES (1); DELETE FROM c.e", ["c.b", "c.e"]),
    ],
)
def test_what_is_outside_of_a_schema(script: str, touched: list[str]) -> None:
    assert list(outside(script, "a")) == touched
