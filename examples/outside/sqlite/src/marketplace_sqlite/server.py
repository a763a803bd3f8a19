"""SQLite: connections, each in a thread of its own, and transactions, one at a time.

A file has many readers and one writer, whatever the number of processes that have it open. In a process the units that write
take turns; between processes the file's own lock decides, and its holder's death gives it back.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from marketplace_core.errors import Unavailable
from marketplace_core.ports import UnitOfWork
from marketplace_core.ports.gathering import before_commit
from marketplace_sqlite.shared import shared

__all__ = ["Connection", "Database", "Row", "UniqueViolation"]

T = TypeVar("T")
Row = dict[str, Any]

#: How long it is waited for others that write.
BUSY_SECONDS = 10.0
_OPENING_PAUSE = 0.02
#: Primary result codes where the work is not to blame: the file is in use, the disk is full or away, memory is short.
_UNABLE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
    }
)
_UNIQUE = frozenset({sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY})


class UniqueViolation(Exception):
    """A unique constraint refused a row; ``columns`` are its columns, as ``table.column``."""

    def __init__(self, columns: str) -> None:
        super().__init__(columns)
        self.columns = columns


def translated(error: sqlite3.Error) -> Exception:
    code = getattr(error, "sqlite_errorcode", 0)
    if code & 0xFF in _UNABLE:
        return Unavailable("The database cannot do that now.")
    if code in _UNIQUE:
        return UniqueViolation(str(error).partition("failed: ")[2])
    return error


class Connection:
    """One connection and the thread that uses it: statements that do not wait for each other have others."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, "sqlite")
        self._raw: sqlite3.Connection | None = None

    async def do(self, act: Callable[[sqlite3.Connection], T]) -> T:
        """What ``act`` gives, called in the thread: several statements for the way of one."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._call, act)
        except sqlite3.Error as error:
            meant = translated(error)
            raise meant from (None if meant is error else error)

    def _call(self, act: Callable[[sqlite3.Connection], T]) -> T:
        if self._raw is None:
            self._raw = _opened(self._path)
        return act(self._raw)

    async def fetch(self, sql: str, *params: Any) -> list[Row]:
        return await self.do(lambda raw: raw.execute(sql, params).fetchall())

    async def row(self, sql: str, *params: Any) -> Row | None:
        rows = await self.fetch(sql, *params)
        return rows[0] if rows else None

    async def value(self, sql: str, *params: Any) -> Any:
        row = await self.row(sql, *params)
        return next(iter(row.values())) if row else None

    async def execute(self, sql: str, *params: Any) -> None:
        await self.fetch(sql, *params)

    async def close(self) -> None:
        if self._raw is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._raw.close)
        self._thread.shutdown(wait=False)


def _opened(path: Path) -> sqlite3.Connection:
    """A write-ahead log lets readers read while one writes; ``FULL``: what is committed survives the loss of power."""
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    raw.row_factory = _as_row
    until = time.monotonic() + BUSY_SECONDS
    try:
        while True:
            try:
                raw.execute("PRAGMA journal_mode = WAL").fetchall()
                raw.execute("PRAGMA synchronous = FULL")
                return raw
            except sqlite3.OperationalError as error:  # who changes a new file's mode waits for nobody by itself
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
            time.sleep(_OPENING_PAUSE)
    except BaseException:
        raw.close()
        raise


def _as_row(cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> Row:
    return {column[0]: value for column, value in zip(cursor.description, values, strict=True)}


class Database:
    """One file. Making it opens nothing. ``told`` is what others of this process that have the file open are told by."""

    def __init__(self, path: Path, *, name: str = "marketplace", readers: int = 4) -> None:
        self.path, self.name = path, name
        self.told = shared(os.path.realpath(path))
        self._writer = Connection(path)
        self._turn = asyncio.Lock()
        self._all = [Connection(path) for _ in range(readers)]
        self._free: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
        for reader in self._all:
            self._free.put_nowait(reader)
        self._running: set[asyncio.Task[Any]] = set()

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────

    async def read(self, act: Callable[[sqlite3.Connection], T]) -> T:
        reader = await self._free.get()
        try:
            return await reader.do(act)
        finally:
            self._free.put_nowait(reader)

    async def fetch(self, sql: str, *params: Any) -> list[Row]:
        return await self.read(lambda raw: raw.execute(sql, params).fetchall())

    async def row(self, sql: str, *params: Any) -> Row | None:
        rows = await self.fetch(sql, *params)
        return rows[0] if rows else None

    async def value(self, sql: str, *params: Any) -> Any:
        row = await self.row(sql, *params)
        return next(iter(row.values())) if row else None

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────

    async def execute(self, sql: str, *params: Any) -> None:
        """A transaction of one statement."""
        await self.write(lambda raw: raw.execute(sql, params).fetchall())

    async def write(self, act: Callable[[sqlite3.Connection], T]) -> T:
        """A transaction whose work waits for nothing."""

        async def work(connection: Connection) -> T:
            return await connection.do(act)

        return await self.transact(work)

    async def transact(
        self,
        work: Callable[[Connection], Awaitable[T]],
        *,
        unit: bool = False,
        ended: Callable[[], None] = lambda: None,
    ) -> T:
        """Run ``work`` in a transaction, to its end even when the caller goes away; then call ``ended``. ``unit``: it is a
        unit of work.

        :raises Unavailable: others wrote for longer than it is waited for.
        """
        task = asyncio.ensure_future(self._transact(work, unit))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(lambda _: ended())
        return await asyncio.shield(task)

    async def _transact(self, work: Callable[[Connection], Awaitable[T]], unit: bool) -> T:
        async with self._its_turn() as connection:
            await connection.execute("BEGIN IMMEDIATE")
            try:
                answer = await work(connection)
                if unit:
                    before_commit()
                await connection.execute("COMMIT")
            except BaseException:
                # Where the disk was full SQLite has rolled back by itself.
                await connection.do(lambda raw: raw.execute("ROLLBACK") if raw.in_transaction else None)
                raise
            return answer

    @contextlib.asynccontextmanager
    async def _its_turn(self) -> AsyncIterator[Connection]:
        try:
            async with asyncio.timeout(BUSY_SECONDS):
                await self._turn.acquire()
        except TimeoutError:
            raise Unavailable("The database is busy.") from None
        try:
            yield self._writer
        finally:
            self._turn.release()

    def on(self, uow: UnitOfWork) -> Connection:
        """The connection of a unit of work that runs on SQLite: where a store's writes go."""
        connection = getattr(uow, "connection", None)
        if not isinstance(connection, Connection):
            raise TypeError(f"{type(uow).__name__} does not run on SQLite")
        return connection

    async def close(self) -> None:
        if self._running:
            await asyncio.wait(self._running, timeout=BUSY_SECONDS)
        for connection in (self._writer, *self._all):
            await connection.close()
