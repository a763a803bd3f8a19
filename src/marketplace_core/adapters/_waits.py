"""How long a database may keep us waiting, and what its sessions are told so that none outlives the one that used it.

The server ends a statement that takes too long, and says so. So whoever waits longer still waits for an answer that does not
come: the connection is half open, or what is in between takes everything and gives nothing, which no time-out of TCP sees.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

__all__ = ["ANSWER_SECONDS", "JOB_SECONDS", "STATEMENT_SECONDS", "bounded_dsn", "bounded_libpq_dsn", "patience", "patient"]

#: What the server gives a statement. Nothing that somebody waits for takes that long, but for a lock that is not given back.
STATEMENT_SECONDS = 10
#: What we give an answer, or a connection; the difference is for the way.
ANSWER_SECONDS = 12.0
#: What a statement of a job or a schedule is given.
JOB_SECONDS = 600.0
#: How long a transaction may do nothing: a process that was stopped for a while goes on, and the locks of one that is
#: behind a connection that died are given back.
_IDLE_SECONDS = 30
#: Seconds until a connection is tried that says nothing, between tries, and how many fail before it is taken for lost.
_KEEPALIVE = 10, 5, 3
_UNACKNOWLEDGED_SECONDS = 20

_patience: ContextVar[float | None] = ContextVar("marketplace_patience", default=STATEMENT_SECONDS)


def patience() -> float | None:
    """Seconds that a statement may take here; None: as long as it takes."""
    return _patience.get()


@contextlib.contextmanager
def patient(seconds: float | None) -> Iterator[None]:
    """Statements that begin inside may take so long; None: as long as they take, as a migration's do."""
    token = _patience.set(seconds)
    try:
        yield
    finally:
        _patience.reset(token)


def _told_to_the_server() -> str:
    idle, interval, count = _KEEPALIVE
    settings = {
        "statement_timeout": f"{STATEMENT_SECONDS}s",
        "idle_in_transaction_session_timeout": f"{_IDLE_SECONDS}s",
        "tcp_keepalives_idle": idle,
        "tcp_keepalives_interval": interval,
        "tcp_keepalives_count": count,
        "tcp_user_timeout": f"{_UNACKNOWLEDGED_SECONDS}s",
    }
    return " ".join(f"-c {name}={value}" for name, value in settings.items())


def bounded_dsn(dsn: str) -> str:
    """``dsn`` for psqlpy, with what is above; what it says by itself counts."""
    idle, interval, count = _KEEPALIVE
    more = {
        "keepalives": 1,
        "keepalives_idle": idle,
        "keepalives_interval": interval,
        "keepalives_retries": count,
        "tcp_user_timeout": _UNACKNOWLEDGED_SECONDS,
    }
    return _with(dsn, more, _told_to_the_server())


def bounded_libpq_dsn(dsn: str) -> str:
    """``dsn`` for libpq, whose names and units differ."""
    idle, interval, count = _KEEPALIVE
    more = {
        "connect_timeout": round(ANSWER_SECONDS),
        "keepalives": 1,
        "keepalives_idle": idle,
        "keepalives_interval": interval,
        "keepalives_count": count,
        "tcp_user_timeout": _UNACKNOWLEDGED_SECONDS * 1000,
    }
    return _with(dsn, more, "")


def _with(dsn: str, more: dict[str, int], options: str) -> str:
    parts = urlsplit(dsn)
    said = dict(parse_qsl(parts.query))
    if options:  # of two settings of one name the last counts
        said["options"] = f"{options} {said.get('options', '')}".rstrip()
    query = urlencode({name: str(value) for name, value in {**more, **said}.items()}, quote_via=quote)
    return urlunsplit(parts._replace(query=query))
