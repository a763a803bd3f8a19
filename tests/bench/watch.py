"""What the servers were asked: PostgreSQL's own log of statements, and Redis's MONITOR."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from market import Market
from msgspec import Struct

__all__ = ["SqlLog", "Statement", "Transaction", "redis_commands", "transactions"]


class Statement(Struct, frozen=True):
    """``params`` are as text; None is NULL."""

    pid: int
    sql: str
    params: tuple[str | None, ...] = ()


class Transaction(Struct):
    """``explicit``: it had a BEGIN and a COMMIT, which are not among the statements."""

    pid: int
    statements: list[Statement]
    explicit: bool

    @property
    def count(self) -> int:
        """Statements without those that only control a transaction."""
        return sum(not statement.sql.startswith(("SAVEPOINT", "ROLLBACK", "RELEASE")) for statement in self.statements)

    @property
    def writes(self) -> bool:
        """Whether its commit waits for the disk."""
        return any(_WRITES(statement.sql) for statement in self.statements)


_WRITES = re.compile(r"\b(INSERT\s+INTO|UPDATE|DELETE\s+FROM|pg_notify)\b").search  # FOR UPDATE too: its lock is written
_BEGINS = re.compile(r"(BEGIN|START TRANSACTION)\b").match
_ENDS = re.compile(r"(COMMIT|END|ROLLBACK|ABORT)\s*;?\s*$").match
#: what pools send between two uses of a connection
_IDLE = re.compile(r"(;|DEALLOCATE ALL)\s*$").match

_ENTRY = re.compile(r"^\d{4}-\d\d-\d\d [\d:.]+ UTC \[(\d+)\] (\S*) (LOG|DETAIL):  ", re.M)
_STATEMENT = re.compile(r"(?:statement|execute [^:]*): (.*)", re.S)
_PARAMETERS = re.compile(r"\$\d+ = (NULL|'((?:[^']|'')*)')")


class SqlLog:
    """All statements on a market's databases, by ``log_statement = all``."""

    def __init__(self, market: Market, database: str = "main") -> None:
        self._path = market.postgres.log
        self._admin = market.database("postgres")
        self._database = database

    async def __aenter__(self) -> SqlLog:
        await self._set("ALTER SYSTEM SET log_statement = 'all'")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._set("ALTER SYSTEM RESET log_statement")
        await self._admin.close()

    async def _set(self, statement: str) -> None:
        await self._admin.execute(statement)
        await self._admin.execute("SELECT pg_reload_conf()::text")
        await asyncio.sleep(0.5)  # until every session has heard of it

    async def during(self, act: Callable[[], Awaitable[object]], tail: float = 0.1) -> list[Statement]:
        """What came while ``act`` ran, and ``tail`` seconds longer."""
        offset = self._path.stat().st_size
        await act()
        await asyncio.sleep(tail)
        with self._path.open("rb") as file:
            file.seek(offset)
            return _parse(file.read().decode(), self._database)


def _parse(text: str, database: str) -> list[Statement]:
    found: list[Statement] = []
    entries = list(_ENTRY.finditer(text))
    for entry, following in itertools.zip_longest(entries, entries[1:]):
        pid, of, kind = int(entry[1]), entry[2], entry[3]
        if of != database:
            continue
        said = text[entry.end() : following.start() if following else None].rstrip("\n").replace("\n\t", "\n")
        if kind == "LOG" and (statement := _STATEMENT.match(said)):
            found.append(Statement(pid, statement[1]))
        elif kind == "DETAIL" and said.lower().startswith("parameters: "):
            params = tuple(None if value == "NULL" else inner.replace("''", "'") for value, inner in _PARAMETERS.findall(said))
            last = next(n for n in reversed(range(len(found))) if found[n].pid == pid)
            found[last] = Statement(pid, found[last].sql, params)
    return found


def transactions(statements: Sequence[Statement]) -> list[Transaction]:
    """By session, in the order in which they began."""
    found: list[Transaction] = []
    open_: dict[int, Transaction] = {}
    for statement in statements:
        if _IDLE(statement.sql):
            continue
        if _BEGINS(statement.sql):
            open_[statement.pid] = Transaction(statement.pid, [], True)
            found.append(open_[statement.pid])
        elif _ENDS(statement.sql):
            open_.pop(statement.pid, None)
        elif statement.pid in open_:
            open_[statement.pid].statements.append(statement)
        else:
            found.append(Transaction(statement.pid, [statement], False))
    return [transaction for transaction in found if transaction.statements]


# ── Redis ────────────────────────────────────────────────────────────────────────────────────────────────────

Command = tuple[bytes, ...]
_ARGUMENT = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.S)
_ESCAPE = re.compile(rb"\\(x[0-9a-f]{2}|.)", re.S)
_PLAIN = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}


@contextlib.asynccontextmanager
async def redis_commands(url: str) -> AsyncIterator[list[Command]]:
    """Fills the list with what clients send to this server; what a script does is the script's."""
    path = Path(unquote(urlsplit(url).path))
    reader, writer = await asyncio.open_unix_connection(str(path))
    found: list[Command] = []

    async def follow() -> None:
        while line := await reader.readline():
            head, _, rest = line.partition(b"] ")
            if not head.endswith(b" lua"):
                found.append(tuple(_ESCAPE.sub(_unescape, argument) for argument in _ARGUMENT.findall(rest)))

    writer.write(b"MONITOR\r\n")
    await reader.readline()
    following = asyncio.create_task(follow())
    try:
        yield found
        await asyncio.sleep(0.1)
    finally:
        following.cancel()
        writer.close()
        await asyncio.gather(following, return_exceptions=True)


def _unescape(match: re.Match[bytes]) -> bytes:
    code = match[1]
    return bytes([int(code[1:], 16)]) if len(code) > 1 else _PLAIN.get(code, code)
