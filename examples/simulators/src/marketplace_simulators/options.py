"""The command line, the same for every simulator."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from marketplace_simulators.operations import Delays
from marketplace_simulators.signing import BadSecret, Signer

__all__ = ["Options", "parse"]

_ENVIRONMENT = "MARKETPLACE_SIMULATOR_SECRET"


class Options(Struct, frozen=True):
    """How this process was asked to run."""

    host: str
    port: int
    public_url: str | None
    database: Path
    webhook_url: str | None
    signer: Signer | None
    delays: Delays


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 3600:
        raise ValueError
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise ValueError
    return value


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise ValueError
    return text


_seconds.__name__, _port.__name__, _url.__name__ = "seconds", "port", "URL"


def parse(program: str, description: str, arguments: Sequence[str] | None = None) -> Options:
    """The options, or an exit with 2 and a sentence where they are wrong."""
    parser = argparse.ArgumentParser(program, description=description)
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    add("--port", type=_port, default=0, help="0: the port of the last run, else a free one (%(default)s)")
    add("--public-url", type=_url, help="what links begin with, if not with the address listened on")
    add("--database", type=Path, required=True, metavar="FILE", help="SQLite file, made if absent")
    add("--webhook-url", type=_url, metavar="URL", help="where webhooks go; without it none are made")
    add("--webhook-secret", metavar="whsec_…", help=f"signs them; better given as {_ENVIRONMENT}")
    default = Delays()
    waits = {
        "--return-delay": (default.webhook, "from an answer, or a buyer's return, to its webhook"),
        "--late-delay": (default.late, "of the fault late, and the longest wait of out_of_order"),
        "--slow-delay": (default.slow, "of the fault slow and of tok_slow"),
        "--timeout-delay": (default.timeout, "of the fault timeout_after_success and of tok_timeout"),
    }
    for name, (value, text) in waits.items():
        add(name, type=_seconds, default=value, metavar="SECONDS", help=f"{text} (%(default)s)")
    given = parser.parse_args(arguments)
    secret = given.webhook_secret or os.environ.get(_ENVIRONMENT)
    if given.webhook_url and not secret:
        parser.error(f"--webhook-url needs a secret: --webhook-secret or {_ENVIRONMENT}")
    try:
        signer = Signer(secret) if secret else None
    except BadSecret as error:
        parser.error(str(error))
    return Options(
        host=given.host,
        port=given.port,
        public_url=given.public_url,
        database=given.database,
        webhook_url=given.webhook_url,
        signer=signer,
        delays=Delays(given.slow_delay, given.timeout_delay, given.late_delay, given.return_delay),
    )
