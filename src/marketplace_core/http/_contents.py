"""What comes to a route beside JSON, and what it may answer beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, BinaryIO, Generic, TypeVar

from msgspec import Struct

__all__ = ["Answer", "Content", "Redirect", "ServerSentEvents", "Upload"]

T = TypeVar("T")


class Upload(Struct, frozen=True):
    """A file of a multipart body; a handler's ``files`` is a list of them.

    ``media_type`` is what the client says of it: never believe it. ``file`` is at its beginning, and above 1 MiB on disk; it is
    closed when the request is answered.
    """

    field: str
    name: str
    media_type: str
    file: BinaryIO
    size: int

    @property
    def content(self) -> bytes:
        """All of it, in memory."""
        self.file.seek(0)
        return self.file.read()


class Answer(Struct, Generic[T], frozen=True):
    """A value with more than a body: another status, a ``Location`` (below the audience's prefix), headers."""

    value: T
    status: int | None = None
    location: str | None = None
    headers: Mapping[str, str] = {}


class Content(Struct, frozen=True):
    """Bytes that are not JSON: a PDF, a CSV."""

    body: bytes
    media_type: str
    filename: str | None = None


class Redirect(Struct, frozen=True):
    """301 to a path below the audience's prefix."""

    location: str


class ServerSentEvents(Struct, frozen=True):
    """A ``text/event-stream``: ``(event, id, data)`` each; None sends a ping. Ends when the iterator does."""

    events: AsyncIterator[tuple[str, str | None, Any] | None]
