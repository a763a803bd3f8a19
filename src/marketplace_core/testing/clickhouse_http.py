"""ClickHouse's HTTP interface, answered from chdb by a process of its own: its client is tried on it where there is no server.

It is the engine, and what clickhouse-connect says over the wire: a statement in the body or in ``query``, parameters, settings,
a database, credentials; formats, exception codes. It is not ClickHouse's own HTTP: sessions, compression, quotas, progress and
clusters are not here.

``python -m marketplace_core.testing.clickhouse_http FOLDER PORT``
"""

from __future__ import annotations

import email
import email.policy
import re
import sys
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from marketplace_core._supervisor.ports import answers
from marketplace_core.adapters.native.installed import HOST, InstalledServer
from marketplace_core.adapters.native.programs import Program

__all__ = ["PASSWORD", "USER", "ChdbOverHttp"]

USER, PASSWORD = "marketplace", "a/b c"
#: What an HTTP server takes for itself; all other parameters are settings.
_OWN = frozenset(("query", "database", "query_id", "session_id", "wait_end_of_query", "client_protocol_version"))
_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
_CODE = re.compile(r"Code: (\d+)\.")
_STATUS = {"60": 404, "81": 404, "62": 400, "516": 403}


@dataclass(frozen=True)
class _Here(Program):
    """What a wheel has brought is installed."""

    client = "pip"
    remedy = 'pip install "marketplace-core[analytics]"'

    def commands(self, folder: Path) -> Sequence[Sequence[str | Path]]:
        return ()

    def install(self, say: Any = None) -> Path:
        return Path(sys.prefix)


class ChdbOverHttp(InstalledServer):
    """It keeps its folder and its port when it is killed and started again."""

    _title, _process = "chdb over HTTP", "python"
    program, name = _Here("clickhouse", "chdb"), "clickhouse"

    def url(self, database: str = "default") -> str:
        return f"clickhouse://{USER}:{quote(PASSWORD, safe='')}@{self.address}/{database}"

    def _command(self) -> Sequence[str | Path]:
        return [sys.executable, "-m", __name__, self._files / "data", str(self.port)]

    async def _ready(self) -> bool:
        return await answers(self.address, "/ping")()


# ── the process ──────────────────────────────────────────────────────────────────────────────────────────────


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body are one packet: the second would wait for the first to be acknowledged
    folder: str
    engine: Any

    def do_GET(self) -> None:
        if self.path == "/ping":
            self._answer(200, b"Ok.\n")
        else:
            self.do_POST()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        given = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        if self.headers.get_content_type() == "multipart/form-data":
            given, body = given | self._form(body), b""
        if not self._is_known():
            self._answer(403, b"Code: 516. DB::Exception: Authentication failed", code="516")
            return
        statement = b"\n".join(part for part in (given.get("query", "").encode(), body) if part)
        try:
            result, shown = self._run(statement, given)
        except Exception as error:  # a failure of chdb's has several classes, and its code in its text
            told = str(error)
            found = _CODE.search(told)
            code = found[1] if found else "1002"
            self._answer(_STATUS.get(code, 500), told.encode(), code=code)
        else:
            self._answer(200, result, shown)

    def _run(self, statement: bytes, given: dict[str, str]) -> tuple[bytes, str | None]:
        """What it gives, and in which format; None: it is a statement that gives nothing."""
        handle = self.engine.connect(self.folder)  # with settings of its own, of the one engine of this process
        try:
            if database := given.get("database"):
                handle.query(f"USE `{database}`", "TabSeparated")
            for name, value in given.items():
                if name not in _OWN and not name.startswith("param_"):
                    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
                    handle.query(f"SET {name} = '{escaped}'", "TabSeparated")
            parameters = {name[6:]: value for name, value in given.items() if name.startswith("param_")}
            asked = _FORMAT.search(statement[-200:].decode(errors="replace"))
            # A statement that gives rows has a line of their names even where there are none.
            result: bytes = handle.query(statement, "TabSeparatedWithNames", params=parameters).bytes() or b""
        finally:
            handle.close()
        if asked is not None:
            return result, asked[1]
        return result.partition(b"\n")[2], "TabSeparated" if result else None

    def _is_known(self) -> bool:
        kind, _, value = self.headers.get("authorization", "").partition(" ")
        return kind == "Basic" and b64decode(value).decode() == f"{USER}:{PASSWORD}"

    def _form(self, body: bytes) -> dict[str, str]:
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        found = {}
        for part in email.message_from_bytes(head + body, policy=email.policy.HTTP).iter_parts():
            value = part.get_payload(decode=True)
            assert isinstance(value, bytes)  # noqa: S101 - no part of a form has parts
            found[str(part.get_param("name", header="content-disposition"))] = value.decode()
        return found

    def _answer(self, status: int, body: bytes, shown: str | None = None, *, code: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-ClickHouse-Summary", "{}")
        if shown is not None:
            self.send_header("X-ClickHouse-Format", shown)
        if code is not None:
            self.send_header("X-ClickHouse-Exception-Code", code)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Not a line for each request."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True


def main(folder: str, port: int) -> None:
    import chdb  # noqa: PLC0415 - 350 MB, of this process only

    _Handler.folder, _Handler.engine = folder, chdb
    kept: Any = chdb.connect(folder)  # type: ignore[no-untyped-call] # the engine ends with the last of its handles
    try:
        _Server((HOST, port), _Handler).serve_forever()
    finally:
        kept.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
