"""Forms with files (RFC 7578), read as they arrive and refused as soon as something is too large.

A file is in memory up to 1 MiB, and from then on in a file without a name, which is gone with the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData

from marketplace_core.errors import Invalid, MarketplaceError, Problem
from marketplace_core.http.routing import JSON_LIMIT, Upload
from marketplace_core.validation import segment

__all__ = ["read_form"]

Fields = list[tuple[str, str]]

#: Larger files are on disk.
IN_MEMORY = 1 << 20


async def read_form(content_type: str, chunks: AsyncIterable[bytes], limit: int, count: int) -> tuple[Fields, list[Upload]]:
    """The fields and the files of a form: at most ``count`` files of ``limit`` bytes each, which the caller closes.

    :raises MarketplaceError: ``http.malformed``, ``http.too_large``. :raises Invalid: a field is given twice.
    """
    boundary = parse_options_header(content_type)[1].get("boundary", "")
    if not boundary:
        raise _malformed()
    form = _Form(limit, count)
    try:
        await _read(form, boundary, chunks, count)
    except BaseException:
        form.close()
        raise
    return form.fields, form.files


async def _read(form: _Form, boundary: str, chunks: AsyncIterable[bytes], count: int) -> None:
    try:
        decoder = MultipartDecoder(boundary.encode("latin-1"), max_form_memory_size=None, max_parts=count + 100)
        async for chunk in chunks:
            decoder.receive_data(chunk)
            await form.take(decoder)
        decoder.receive_data(None)
        await form.take(decoder)
    except ValueError:
        raise _malformed() from None
    if not form.complete:
        raise _malformed()


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
        self._data: BinaryIO | None = None
        self._size = 0

    def close(self) -> None:
        for file in (self._data, *(upload.file for upload in self.files)):
            if file is not None:
                file.close()

    async def take(self, decoder: MultipartDecoder) -> None:
        """Everything that can be decoded by now."""
        while not isinstance(event := decoder.next_event(), NeedData):
            if isinstance(event, Epilogue):
                self.complete = True
                return
            await self._event(event)

    async def _event(self, event: Event) -> None:
        if isinstance(event, (Field, File)):
            # It does what a file does, and says so to nobody.
            self._data = cast(BinaryIO, SpooledTemporaryFile(IN_MEMORY))  # noqa: SIM115 - it outlives this
            self._part, self._size = event, 0
        elif isinstance(event, Data) and self._part is not None and self._data is not None:
            self._size += len(event.data)
            limit = self._limit if isinstance(self._part, File) else JSON_LIMIT
            if self._size > limit:
                raise MarketplaceError("http.too_large", f"{segment(self._part.name)}: at most {limit} bytes are taken.")
            if self._size > IN_MEMORY:  # a disk may take its time
                await asyncio.to_thread(self._data.write, event.data)
            else:
                self._data.write(event.data)
            if not event.more_data:
                self._data.seek(0)
                self._end(self._part, self._data)

    def _end(self, part: Field | File, data: BinaryIO) -> None:
        if isinstance(part, Field):
            if any(name == part.name for name, _ in self.fields):
                raise Invalid([Problem(f"/{segment(part.name)}", "duplicate", "Give this field once.")])
            with data:
                self.fields.append((part.name, data.read().decode()))
        elif part.filename or self._size:  # a browser sends an empty part where no file was chosen
            if len(self.files) == self._count:
                raise MarketplaceError("http.too_large", f"At most {self._count} files are taken in one request.")
            name = part.filename.replace("\\", "/").rsplit("/", 1)[-1][:255]
            media_type = part.headers.get("content-type", "application/octet-stream")
            self.files.append(Upload(part.name, name, media_type, data, self._size))
        else:
            data.close()
