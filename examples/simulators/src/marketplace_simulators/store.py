"""The file that holds everything a simulator must still know after a SIGKILL.

One SQLite connection, used from the event loop's thread only and never across an ``await``, so that a
transaction is alone by construction. A commit is on disk before the client hears of it: `synchronous=FULL`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["Store", "WrongDatabase"]

_FORMAT = 1

_SHARED = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, digest TEXT NOT NULL, status INTEGER NOT NULL, body BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS faults (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, operation TEXT NOT NULL, kind TEXT NOT NULL,
    remaining INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS webhooks (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, subject TEXT NOT NULL, body BLOB NOT NULL,
    due REAL NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, swap INTEGER NOT NULL DEFAULT 0, behind INTEGER
);
CREATE INDEX IF NOT EXISTS webhooks_due ON webhooks (due);
CREATE INDEX IF NOT EXISTS webhooks_subject ON webhooks (subject);
"""


class WrongDatabase(Exception):
    """The file belongs to another program or to another version of this one."""


class Store:
    """The database of one simulator. ``schema`` are the program's own tables."""

    def __init__(self, path: Path, program: str, schema: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=10, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        try:
            self._prepare(path, program, schema)
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise WrongDatabase(f"{path}: {error}") from error
        except WrongDatabase:
            self._db.close()
            raise

    def _prepare(self, path: Path, program: str, schema: str) -> None:
        self.execute("PRAGMA journal_mode=WAL")
        self.execute("PRAGMA synchronous=FULL")
        version = self.one("PRAGMA user_version")
        if version is not None and version["user_version"] not in {0, _FORMAT}:
            raise WrongDatabase(f"{path} is of format {version['user_version']}, not {_FORMAT}")
        with self.transaction():
            for statement in f"{_SHARED}{schema}".split(";"):
                if statement.strip():
                    self.execute(statement)
            if not self.one("SELECT 1 FROM pragma_table_info('webhooks') WHERE name = 'trace'"):
                self.execute("ALTER TABLE webhooks ADD COLUMN trace TEXT NOT NULL DEFAULT ''")
            owner = self.setting("program")
            if owner not in {None, program}:
                raise WrongDatabase(f"{path} belongs to the simulator of {owner}, not of {program}")
            self.set("program", program)
            self.execute(f"PRAGMA user_version={_FORMAT}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block or, if it raises, nothing of it. No ``await`` inside."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def execute(self, statement: str, *values: object) -> sqlite3.Cursor:
        return self._db.execute(statement, values)

    def one(self, statement: str, *values: object) -> dict[str, Any] | None:
        row = self._db.execute(statement, values).fetchone()
        return None if row is None else dict(row)

    def all(self, statement: str, *values: object) -> list[dict[str, Any]]:
        return [dict(row) for row in self._db.execute(statement, values)]

    def setting(self, name: str) -> str | None:
        row = self.one("SELECT value FROM settings WHERE name = ?", name)
        return None if row is None else str(row["value"])

    def set(self, name: str, value: str) -> None:
        self.execute("INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)", name, value)

    def close(self) -> None:
        self._db.close()
