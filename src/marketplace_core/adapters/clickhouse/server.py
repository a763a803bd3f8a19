"""The client of ClickHouse, of a server or of chdb: what clickhouse-connect has for both, in threads of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from marketplace_core.errors import Unavailable

__all__ = ["ClickHouse"]

T = TypeVar("T")

THREADS = 4
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

    def __init__(self, dsn: str) -> None:
        """``dsn`` as clickhouse-connect has it: ``chdb:///path``, ``clickhouse://user:password@host:8123/database``."""
        self._dsn = dsn
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="clickhouse")
        self._opening = asyncio.Lock()
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
        if self._client is None:
            async with self._opening:
                if self._client is None:
                    self._client = await self._run(self._open)
        return self._client

    def _open(self) -> Any:
        import clickhouse_connect  # noqa: PLC0415 - half a second and a library of 500 MB: only where it is opened

        if self._dsn.startswith("chdb:"):
            return clickhouse_connect.get_client(dsn=self._dsn)
        # In a session statements would wait for each other.
        return clickhouse_connect.get_client(dsn=self._dsn, autogenerate_session_id=False)

    async def _run(self, act: Callable[[], T]) -> T:
        """:raises Unavailable: the server is away."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, act)
        except Exception as error:
            if _is_away(error):
                raise Unavailable("The store of the reports does not answer.") from error
            raise


def _is_away(error: Exception) -> bool:
    from clickhouse_connect.driver.exceptions import OperationalError  # noqa: PLC0415

    return isinstance(error, OSError | OperationalError) or "Unable to open the chdb engine" in str(error)
