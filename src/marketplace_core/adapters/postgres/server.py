"""PostgreSQL: connections, on which nobody waits for ever, and transactions."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import msgspec
import structlog
from psqlpy import ConnectionPool, ConnRecyclingMethod
from psqlpy.exceptions import DataError
from psqlpy.exceptions import Error as DriverError

from marketplace_core import metrics
from marketplace_core._runtime import failpoints
from marketplace_core.adapters._notices import Notices
from marketplace_core.adapters._waits import ANSWER_SECONDS, STATEMENT_SECONDS, Waiting, bounded_dsn, patience
from marketplace_core.adapters.postgres.listening import Listening
from marketplace_core.errors import Invalid, Problem, Unavailable
from marketplace_core.ports import UnitOfWork
from marketplace_core.ports.gathering import before_commit

__all__ = ["Connection", "Database", "Row", "UniqueViolation", "json_text", "with_database"]

log = structlog.get_logger("marketplace.postgres")

T = TypeVar("T")
Row = dict[str, Any]

_SILENT = "The database does not answer."


class UniqueViolation(Exception):
    """A unique constraint refused a row; ``constraint`` is its name."""

    def __init__(self, constraint: str) -> None:
        super().__init__(constraint)
        self.constraint = constraint


def json_text(value: Any) -> str:
    """``value`` as JSON text for a ``$n::text::jsonb`` parameter: rows go in by one parameter, however many."""
    return msgspec.json.encode(value).decode()


#: What the server says where the work is not to blame: the driver gives no code. It met another one;
#: the server was told to end it; it is full, or its disk.
_MET = re.compile(r"db error: ERROR: (deadlock detected|could not serialize access)")
_BUSY = re.compile(r"db error: ERROR: canceling statement due to ")
_UNABLE = re.compile(
    r"db error: ERROR: (out of (shared )?memory|.*: (No space left on device|Disk quota exceeded|Input/output error)$)"
)
#: What came in was not looked at before, or not well enough: whoever sent it is to be told, and not that we are broken.
_UNHOLDABLE = re.compile(
    r"db error: ERROR: (invalid byte sequence for encoding|unsupported Unicode escape sequence|numeric field overflow"
    r'|[a-z ]*out of range|value ".*" is out of range for type|stack depth limit exceeded|string is too long)'
)
#: And what is so for as long as the connection is: it prepared what has changed since, or it leads to a server that was the
#: first one until another was made that.
_STALE = re.compile(
    r"db error: ERROR: (cached plan must not change result type"
    r"|cannot execute .* (in a read-only transaction|during recovery)$)"
)
_PASSING = (
    (_MET, "The work met another one; please repeat it."),
    (_BUSY, "The database is busy."),
    (_UNABLE, "The database cannot do that now."),
    (_STALE, "The database cannot do that now."),
)


def translated(error: DriverError) -> Exception:
    """What ``error`` means, to be raised. It tells why, but not what is in a row, as the server does after the first line."""
    told = type(error)(str(error).split("\n", 1)[0])
    meant = _meant(told)
    if meant is not told:
        meant.__cause__ = told
    meant.__suppress_context__ = True
    return meant


def _meant(error: DriverError) -> Exception:
    text = str(error)
    if "violates unique constraint" in text:
        return UniqueViolation(text.split('unique constraint "', 1)[-1].split('"', 1)[0])
    for pattern, meaning in _PASSING:
        if pattern.search(text):
            return Unavailable(meaning)
    if _UNHOLDABLE.search(text):
        return Invalid([Problem("", "format", "It holds what cannot be kept: NUL, or a number or a time that is too large.")])
    if "db error: ERROR" in text or "error serializing parameter" in text or isinstance(error, DataError):
        return error  # a mistake of ours, which no repeat mends
    return Unavailable(_SILENT)


class Connection:
    """One connection inside a transaction, or taken for a single statement."""

    def __init__(self, raw: Any, database: Database, pool: ConnectionPool, seconds: float | None) -> None:
        """``seconds``: how long an answer may take; None: for ever."""
        self._raw, self._database, self._pool, self._seconds = raw, database, pool, seconds
        self._silent = False

    async def fetch(self, sql: str, *params: Any) -> list[Row]:
        result = await self._ask(self._raw.execute, sql, list(params))
        rows: list[Row] = result.result()
        return rows

    async def _ask(self, act: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        """The answer. One that did not come leaves a connection on which it may come still: nobody asks there again."""
        if self._silent:
            raise Unavailable(_SILENT)
        try:
            answer = await self._database._waiting.bounded(self._seconds, act, *args)
        except TimeoutError:
            self._silent = True
            self._database._give_up(self._pool)
            raise Unavailable(_SILENT) from None
        except DriverError as error:
            if _STALE.search(str(error).split("\n", 1)[0]):
                self._database._renew(self._pool)
            raise translated(error)  # noqa: B904 - that error tells too much
        self._database._heard = time.perf_counter()
        return answer

    async def row(self, sql: str, *params: Any) -> Row | None:
        rows = await self.fetch(sql, *params)
        return rows[0] if rows else None

    async def value(self, sql: str, *params: Any) -> Any:
        row = await self.row(sql, *params)
        return next(iter(row.values())) if row else None

    async def execute(self, sql: str, *params: Any) -> None:
        """For its effect: what it returns, which may be of no type that Python has, is not looked at."""
        await self._ask(self._raw.execute, sql, list(params))

    async def script(self, sql: str) -> None:
        """Several statements without parameters, as migrations have them."""
        await self._ask(self._raw.execute_batch, sql)


class Database:
    """A pool onto one database. Connections are taken by ``async with``, so a cancelled task gives its own back.

    Nobody waits for an answer longer than :mod:`~marketplace_core.adapters._waits` says: then it is :class:`Unavailable`.
    """

    def __init__(self, dsn: str, *, size: int = 8, name: str = "marketplace") -> None:
        self.dsn = dsn
        self.name = name
        self._size = size
        self._pool = self._open()
        self._heard = 0.0
        self._waiting = Waiting()
        self._waited = metrics.DATABASE_WAIT.labels(name)
        self._running: set[asyncio.Task[Any]] = set()
        self.notices = Notices()
        self._listening: dict[str, Listening] = {}
        metrics.POOLS.add(self)

    @property
    def pool(self) -> ConnectionPool:
        return self._pool

    def _open(self) -> ConnectionPool:
        dsn = bounded_dsn(self.dsn)
        return ConnectionPool(dsn=dsn, max_db_pool_size=self._size, conn_recycling_method=ConnRecyclingMethod.Fast)

    def _give_up(self, pool: ConnectionPool) -> None:
        if pool is self._pool:
            log.warning("database.silent", database=self.name)
            self._renew(pool)

    def _renew(self, pool: ConnectionPool) -> None:
        """Begin a new pool. The driver closes no connection by itself; those of a closed pool end when they are given back."""
        if pool is self._pool:
            self._pool = self._open()
            pool.close()

    def pools(self) -> list[metrics.PoolState]:
        status = self._pool.status()
        free = max(status.available, 0)
        return [metrics.PoolState("postgres", self.name, self._size, status.size, status.size - free)]

    def connection(self) -> contextlib.AbstractAsyncContextManager[Connection]:
        return _Taken(self)

    async def fetch(self, sql: str, *params: Any) -> list[Row]:
        async with self.connection() as connection:
            return await connection.fetch(sql, *params)

    async def row(self, sql: str, *params: Any) -> Row | None:
        async with self.connection() as connection:
            return await connection.row(sql, *params)

    async def value(self, sql: str, *params: Any) -> Any:
        async with self.connection() as connection:
            return await connection.value(sql, *params)

    async def execute(self, sql: str, *params: Any) -> None:
        async with self.connection() as connection:
            await connection.execute(sql, *params)

    async def transact(self, work: Callable[[Connection], Coroutine[Any, Any, T]]) -> T:
        """Run ``work`` in a transaction, to its end even when the caller goes away.

        A task cancelled between two statements would give its connection back in the middle of a transaction.
        """
        task = asyncio.ensure_future(self._transact(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _transact(self, work: Callable[[Connection], Coroutine[Any, Any, T]]) -> T:
        async with _Taken(self, transaction=True) as taken:
            transaction, seconds = taken._raw.transaction(), patience()
            connection = Connection(transaction, self, taken._pool, taken._seconds)
            await connection._ask(transaction.begin)
            try:
                if seconds != STATEMENT_SECONDS:
                    await connection.execute(f"SET LOCAL statement_timeout = {_milliseconds(seconds)}")
                answer = await work(connection)
                before_commit()
            except BaseException:
                with contextlib.suppress(DriverError, Unavailable):
                    await connection._ask(transaction.rollback)
                raise
            await connection._ask(transaction.commit)
            failpoints.hit("unit.after_commit")
            return answer

    def on(self, uow: UnitOfWork) -> Connection:
        """The connection of a unit of work that runs on this database: where a store's writes go."""
        connection = getattr(uow, "connection", None)
        if not isinstance(connection, Connection):
            raise TypeError(f"{type(uow).__name__} does not run on PostgreSQL")
        return connection

    def listening(self, channel: str) -> Listening:
        """To be told by ``pg_notify(channel, key)`` what has changed."""
        if channel not in self._listening:
            self._listening[channel] = Listening(self, channel)
        return self._listening[channel]

    async def close(self) -> None:
        if self._running:
            await asyncio.wait(self._running, timeout=10)
        for each in self._listening.values():
            await each.close()
        self._pool.close()


class _Taken(contextlib.AbstractAsyncContextManager[Connection]):
    """A connection out of the pool. Not a generator: every statement comes through here."""

    def __init__(self, database: Database, *, transaction: bool = False) -> None:
        self._database, self._transaction = database, transaction
        self._set = False

    async def __aenter__(self) -> Connection:
        database, pool, began, seconds = self._database, self._database._pool, time.perf_counter(), patience()
        try:
            self._holder = pool.acquire()
            raw = await database._waiting.bounded(ANSWER_SECONDS, self._holder.__aenter__)
        except TimeoutError:
            # Nobody got an answer meanwhile, or a place stays empty, whose connection is being made still: no mere crowd.
            if database._heard < began or pool.status().size < database._size:
                database._give_up(pool)
            raise Unavailable(_SILENT) from None
        except DriverError as error:
            raise translated(error)  # noqa: B904 - it has its cause
        database._waited.observe(time.perf_counter() - began)
        self._connection = Connection(raw, database, pool, _longest(seconds))
        if seconds != STATEMENT_SECONDS and not self._transaction:
            self._set = True
            try:
                await self._connection.execute(f"SET statement_timeout = {_milliseconds(seconds)}")
            except BaseException:
                await self.__aexit__()
                raise
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        try:
            if self._set:
                with contextlib.suppress(Unavailable):
                    await self._connection.execute("RESET statement_timeout")
        finally:
            await self._holder.__aexit__(None, None, None)


def _longest(statement: float | None) -> float | None:
    return None if statement is None else statement + ANSWER_SECONDS - STATEMENT_SECONDS


def _milliseconds(seconds: float | None) -> int:
    return 0 if seconds is None else round(seconds * 1000)


def with_database(dsn: str, database: str) -> str:
    """The same server, another database."""
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(path=f"/{database}"))
