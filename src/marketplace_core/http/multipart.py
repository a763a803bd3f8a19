"""Forms with files (RFC 7578), read as they arrive and refused as soon as something is too large."""

from __future__ import annotations

from collections.abc import AsyncIterable

from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData

from marketplace_core.errors import Invalid, MarketplaceError, Problem
from marketplace_core.http.routing import JSON_LIMIT, Upload

__all__ = ["read_form"]

Fields = list[tuple[str, str]]


async def read_form(content_type: str, chunks: AsyncIterable[bytes], limit: int, count: int) -> tuple[Fields, list[Upload]]:
    """The fields and the files of a form: at most ``count`` files of ``limit`` bytes each.

    :raises MarketplaceError: ``http.malformed``, ``http.too_large``. :raises Invalid: a field is given twice.
    """
    boundary = parse_options_header(content_type)[1].get("boundary", "")
    if not boundary:
        raise _malformed()
    form = _Form(limit, count)
    try:
        decoder = MultipartDecoder(boundary.encode("latin-1"), max_form_memory_size=None, max_parts=count + 100)
        async for chunk in chunks:
            decoder.receive_data(chunk)
            form.take(decoder)
        decoder.receive_data(None)
        form.take(decoder)
    except ValueError:
        raise _malformed() from None
    if not form.complete:
        raise _malformed()
    return form.fields, form.files


def _malformed() -> MarketplaceError:
    return MarketplaceError("http.malformed", "The body is not a complete form.")


class _Form:
    def __init__(self, limit: int, count: int) -> None:
        self.fields: Fields = []
        self.files: list[Upload] = []
        self.complete = False
        self._limit = limit
        self._count = count
        self._part: Field | File | None = None
        self._data: list[bytes] = []
        self._size = 0

    def take(self, decoder: MultipartDecoder) -> None:
        """Everything that can be decoded by now."""
        while not isinstance(event := decoder.next_event(), NeedData):
            if isinstance(event, Epilogue):
                self.complete = True
                return
            self._event(event)

    def _event(self, event: Event) -> None:
        if isinstance(event, (Field, File)):
            self._part, self._data, self._size = event, [], 0
        elif isinstance(event, Data) and self._part is not None:
            self._data.append(event.data)
            self._size += len(event.data)
            limit = self._limit if isinstance(self._part, File) else JSON_LIMIT
            if self._size > limit:
                raise MarketplaceError("http.too_large", f"{self._part.name}: at most {limit} bytes are taken.")
            if not event.more_data:
                self._end(self._part, b"".join(self._data))

    def _end(self, part: Field | File, data: bytes) -> None:
        if isinstance(part, Field):
            if any(name == part.name for name, _ in self.fields):
                raise Invalid([Problem(f"/{part.name}", "duplicate", "Give this field once.")])
            self.fields.append((part.name, data.decode()))
        elif part.filename or data:  # a browser sends an empty part where no file was chosen
            if len(self.files) == self._count:
                raise MarketplaceError("http.too_large", f"At most {self._count} files are taken in one request.")
            name = part.filename.replace("\\", "/").rsplit("/", 1)[-1][:255]
            media_type = part.headers.get("content-type", "application/octet-stream")
            self.files.append(Upload(part.name, name, media_type, data))
