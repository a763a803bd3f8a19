"""The library that the saga engine of this package is built on, and the connections that it makes."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import weakref
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from marketplace_core.adapters._waits import bounded_libpq_dsn, patience
from marketplace_core.adapters.dbos.encoding import read_plainly
from marketplace_core.adapters.dbos.threads import keep_quiet
from marketplace_core.adapters.postgres.server import _longest

__all__ = ["SCHEMA", "WORKFLOW", "end_listening", "engine_url", "library"]

WORKFLOW = "marketplace.saga"
SCHEMA = "dbos"
#: How often a connection that listens looks whether it was closed; by us it is told.
_LISTEN_SECONDS = 1.0


@functools.cache
def library() -> Any:
    """The engine, imported by the process in which it runs: it is half a second and 60 MB that no other one needs."""
    import dbos  # noqa: PLC0415
    from sqlalchemy import Engine, event  # noqa: PLC0415

    event.listen(Engine, "handle_error", _know_the_lost)
    event.listen(Engine, "do_connect", _connect_in_time)
    keep_quiet()
    read_plainly()
    return dbos


#: What a server answers where the saga is not to blame: it is a standby now, it was told to end a statement that took too
#: long, its disk fails. (What it has too little of the engine knows.)
_UNABLE = {"25006", "57014", "58030"}


def _know_the_lost(context: Any) -> None:
    """Say of every connection that its driver lost, or could not make, that it was lost: then the engine asks again.

    It goes by the driver's words, and does not know those for a socket whose server was killed a moment ago. Such an error it
    took for the saga's own, which ended for good. So it did with a server that cannot do it now; the next connection may lead
    to one that can.
    """
    error = context.original_exception
    code = getattr(error, "sqlstate", "")
    if code in _UNABLE or (code is None and type(error).__name__ == "OperationalError"):
        context.is_disconnect = True


def _connect_in_time(dialect: Any, _: Any, args: Any, named: Any) -> Any:
    """A connection on which the engine's threads wait no longer for an answer than anybody else. None: of another driver."""
    return _answering().connect(*args, **named) if dialect.driver == "psycopg" else None


@functools.cache
def _answering() -> Any:
    import psycopg  # noqa: PLC0415

    class Answering(psycopg.Connection[Any]):
        def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
            if gen.__name__ == "notifies" and timeout is None:
                return self._listen(gen)
            bound = _longest(patience())
            if timeout is not None or bound is None:
                return super().wait(gen, interval, timeout)
            try:
                return super().wait(gen, interval, bound)
            except psycopg.errors._WaitTimeout as error:
                self.pgconn.finish()  # the answer may come still: nobody asks here again
                raise psycopg.OperationalError("the connection is lost: the database does not answer") from error

        def _listen(self, gen: Any) -> Any:
            """What the server tells by itself may take for ever; that the engine closed the connection is seen meanwhile.

            The driver waits for a number of a socket, which may be another's by then: on that one it would wait for ever, and
            the end of the engine for ten seconds. :func:`end_listening` wakes it before the number is free.
            """
            _listening.add(self)
            while True:
                with contextlib.suppress(psycopg.errors._WaitTimeout):
                    return super().wait(gen, _LISTEN_SECONDS, _LISTEN_SECONDS)

    return Answering


def engine_url(dsn: str) -> str:
    """The address of a database as the engine's driver takes it; a socket's folder may be the ``host`` of the query."""
    parts = urlsplit(bounded_libpq_dsn(dsn))
    return urlunsplit(parts._replace(scheme="postgresql+psycopg"))


#: Connections on which a thread waits for what the server tells.
_listening: weakref.WeakSet[Any] = weakref.WeakSet()


def end_listening() -> None:
    """Have the threads that listen find their connections ended."""
    for connection in list(_listening):
        with contextlib.suppress(Exception), socket.socket(fileno=os.dup(connection.fileno())) as end:
            end.shutdown(socket.SHUT_RDWR)
