"""What the saga engine takes for a lost connection. What it takes for anything else ends the saga that meets it."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy
from sqlalchemy.exc import DBAPIError

from marketplace_core.adapters.dbos.connections import engine_url, library
from marketplace_core.adapters.postgres import Database


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mp-") as name:
        yield Path(name)


def nobody(_: Path) -> None:
    """There was never a server."""


def killed(folder: Path) -> None:
    """The socket of a server that was killed, which the next one has not made anew yet."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(folder / ".s.PGSQL.5432"))


@pytest.mark.parametrize("server", [nobody, killed])
def test_a_server_that_is_not_there_is_asked_again(server: Callable[[Path], None], folder: Path) -> None:
    library()
    server(folder)
    engine = sqlalchemy.create_engine(engine_url(f"postgres://postgres@/main?host={folder}"))
    with pytest.raises(DBAPIError) as told:
        engine.connect()
    assert told.value.connection_invalidated
    engine.dispose()


@pytest.mark.parametrize(
    ("before", "statement"),
    [
        ("SET default_transaction_read_only = on", "CREATE TABLE public.t ()"),
        ("SET statement_timeout = 20", "SELECT pg_sleep(5)"),
        ("SELECT 1", "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '58030'; END $$"),
    ],
)
def test_a_server_that_cannot_now_is_asked_again(before: str, statement: str, database: Database) -> None:
    library()
    engine = sqlalchemy.create_engine(engine_url(database.dsn), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection, pytest.raises(DBAPIError) as told:
        connection.execute(sqlalchemy.text(before))
        connection.execute(sqlalchemy.text(statement))
    assert told.value.connection_invalidated
    engine.dispose()


def test_what_the_server_refuses_is_not(database: Database) -> None:
    library()
    engine = sqlalchemy.create_engine(engine_url(database.dsn))
    with engine.connect() as connection, pytest.raises(DBAPIError) as told:
        connection.execute(sqlalchemy.text("SELECT 1/0"))
    assert not told.value.connection_invalidated
    engine.dispose()


def test_who_listens_sees_that_the_connection_is_closed(database: Database) -> None:
    """Even where the number of its socket is another one's at once, of which nothing is heard."""
    library()
    engine = sqlalchemy.create_engine(engine_url(database.dsn))
    listening = engine.raw_connection()
    connection: Any = listening.driver_connection
    connection.set_autocommit(True)
    connection.execute("LISTEN anything")
    ended = threading.Event()

    def listen() -> None:
        with contextlib.suppress(psycopg.OperationalError):
            list(connection.notifies())
        ended.set()

    threading.Thread(target=listen, daemon=True).start()
    time.sleep(0.3)
    number = connection.fileno()
    mine, yours = socket.socketpair()
    with mine, yours:
        connection.close()
        os.dup2(mine.fileno(), number)
        try:
            assert ended.wait(5)
        finally:
            os.close(number)
    listening.invalidate()
    engine.dispose()
