"""The client of ClickHouse, of a server or of chdb: what clickhouse-connect has for both, in threads of its own."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from marketplace_core.errors import Unavailable

__all__ = ["ClickHouse"]

T = TypeVar("T")

THREADS = 4
#: Seconds for a connection.
CONNECTING = 2
#: What a server says of itself, not of what it was asked: it is slow, full, or not whole.
_LATER = frozenset((159, 202, 209, 210, 241, 242, 243, 252, 319, 999))
#: What is inserted is written as it stands in events: unknown fields are skipped, and null is a column's default.
INSERTING = {
    "date_time_input_format": "best_effort",
    "input_format_skip_unknown_fields": 1,
    "input_format_null_as_default": 1,
    "input_format_json_read_objects_as_strings": 1,
    "max_partitions_per_insert_block": 0,
}


class ClickHouse:
    """Making it opens nothing. chdb takes 0.6 s and 220 MB to be there: the first who asks waits for it."""

    def __init__(self, dsn: str, seconds: int = 30) -> None:
        """``dsn``: ``chdb:///path``, ``clickhouse://user:password@host:8123/database``, ``clickhouses://`` over TLS.

        ``seconds``: for so long a server may be silent.
        """
        self._dsn = dsn
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="clickhouse")
        self._opening: asyncio.Future[Any] | None = None
        self._client: Any = None

    async def ready(self) -> None:
        """:raises Unavailable: it does not answer, or another process has opened it."""
        await self.query("SELECT 1")

    async def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The rows, by the names of their columns. Parameters stand in the statement as ``{name:Type}``."""
        client = await self._opened()
        found = await self._run(lambda: client.query(sql, parameters=dict(parameters or {})))
        return [dict(zip(found.column_names, row, strict=True)) for row in found.result_rows]

    async def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        """A statement that gives nothing; it has its effect once this returns."""
        client = await self._opened()
        settings = {"mutations_sync": 2, "alter_sync": 2}
        await self._run(lambda: client.command(sql, parameters=dict(parameters or {}), settings=settings))

    async def insert(self, table: str, rows: bytes) -> None:
        """Rows as JSON, one a line: all of them are there once this returns, or none, or those of some of its partitions."""
        client = await self._opened()
        await self._run(lambda: client.raw_insert(table, None, rows, settings=INSERTING, fmt="JSONEachRow"))

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await self._run(client.close)
        self._threads.shutdown(wait=False)

    async def _opened(self) -> Any:
        """Who comes while another opens it has what that one has, also where it is away."""
        if self._client is None:
            if self._opening is None or self._opening.done():
                self._opening = asyncio.ensure_future(self._run(self._open))
            self._client = await asyncio.shield(self._opening)
        return self._client

    def _open(self) -> Any:
        clickhouse_connect = _driver()
        if self._dsn.startswith("chdb:"):
            return clickhouse_connect.get_client(dsn=self._dsn)
        parts = urlsplit(self._dsn)
        secure = parts.scheme == "clickhouses"
        return clickhouse_connect.get_client(
            host=parts.hostname,
            port=parts.port or (8443 if secure else 8123),
            username=unquote(parts.username or "default"),
            password=unquote(parts.password or ""),
            database=unquote(parts.path.strip("/")) or "default",
            interface="https" if secure else "http",
            autogenerate_session_id=False,  # in a session statements would wait for each other
            connect_timeout=CONNECTING,
            send_receive_timeout=self._seconds,
            dedicated_pool=True,
        )

    async def _run(self, act: Callable[[], T]) -> T:
        """:raises Unavailable: the server is away."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, act)
        except Exception as error:
            if _is_away(error):
                raise Unavailable("The store of the reports does not answer.") from error
            raise


def _driver() -> ModuleType:
    """Half a second and a library of 500 MB: only where it is opened. It sets the buffer of *every* file to 256 KB."""
    buffer = io.DEFAULT_BUFFER_SIZE
    try:
        import clickhouse_connect  # noqa: PLC0415
    finally:
        io.DEFAULT_BUFFER_SIZE = buffer  # type: ignore[misc]
    return clickhouse_connect


def _is_away(error: Exception) -> bool:
    from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError  # noqa: PLC0415

    if isinstance(error, DatabaseError) and error.code in _LATER:
        return True
    return isinstance(error, OSError | OperationalError) or "Unable to open the chdb engine" in str(error)
