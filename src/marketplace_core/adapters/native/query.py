"""One statement to a local PostgreSQL that asks for no password, over its unix socket.

The supervisor forks: it gets by without a driver, whose native threads and memory it would keep for this.
"""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

_PROTOCOL = 3 << 16
_IN_USE = "42P04", "23505"


class QueryError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code

    @property
    def exists_already(self) -> bool:
        """Of CREATE DATABASE: the name was there, or came while we made it."""
        return self.code in _IN_USE


async def run(socket: Path, user: str, database: str, statement: str = "") -> None:
    """Raises OSError if nobody listens, QueryError if the server refuses the connection or the statement."""
    reader, writer = await asyncio.open_unix_connection(str(socket))
    try:
        words = "\0".join(("user", user, "database", database, "", ""))
        writer.write(_framed(struct.pack("!i", _PROTOCOL) + words.encode()))
        await _until_idle(reader)
        if statement:
            writer.write(b"Q" + _framed(statement.encode() + b"\0"))
            await _until_idle(reader)
        writer.write(b"X" + _framed(b""))
    finally:
        writer.close()


def _framed(payload: bytes) -> bytes:
    return struct.pack("!i", len(payload) + 4) + payload


async def _until_idle(reader: asyncio.StreamReader) -> None:
    error: QueryError | None = None
    while True:
        try:
            kind, length = struct.unpack("!ci", await reader.readexactly(5))
            payload = await reader.readexactly(length - 4)
        except asyncio.IncompleteReadError as end:
            raise error or ConnectionResetError("the server closed the connection") from end
        if kind == b"R" and payload != b"\0\0\0\0":
            raise QueryError("28000", "the server wants a password")
        if kind == b"E":
            fields = {part[:1]: part[1:].decode(errors="replace") for part in payload.split(b"\0") if part}
            error = QueryError(fields.get(b"C", ""), fields.get(b"M", ""))
        if kind == b"Z":
            if error is not None:
                raise error
            return
