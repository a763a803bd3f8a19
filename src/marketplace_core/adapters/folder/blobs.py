"""Blobs in a folder: for one machine, and for whoever serves ``/media/`` from it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TypeVar

from marketplace_core.errors import Invalid, Problem
from marketplace_core.ports import BlobEntry, Blobs, content_type_of

__all__ = ["FolderBlobs", "check_key", "check_types"]

T = TypeVar("T")

_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_MAX_KEY = 200
COPIED_AT_ONCE = 256 * 1024


@functools.lru_cache(4096)
def check_key(key: str) -> str:
    """``catalog/ab/cdef.webp``: relative, no part begins with a dot, nothing that a URL would have to quote.

    :raises Invalid: it is not such a key.
    """
    if len(key) > _MAX_KEY or _KEY.fullmatch(key) is None:
        raise Invalid([Problem("/key", "blobs.bad_key", "A blob's key is made of letters, digits and ._- between slashes.")])
    return key


def check_types(keys: Iterable[str], content_type: str | None) -> None:
    """:raises Invalid: one of the keys says that it is of another type."""
    for key in keys if content_type is not None else ():
        if content_type_of(key) != content_type:
            detail = f"A blob of the type {content_type} has a key that ends accordingly, and {key!r} does not."
            raise Invalid([Problem("/content_type", "blobs.bad_type", detail)])


class FolderBlobs(Blobs):
    """A file per key. It is whole or not there: written beside, synced, and renamed."""

    def __init__(self, folder: Path, *, concurrency: int = 4, durable: bool = True) -> None:
        """``concurrency`` bounds the threads that this uses. Without ``durable`` a crash of the machine loses some."""
        self._folder = folder
        self._bound = asyncio.Semaphore(concurrency)
        self._durable = durable

    @property
    def folder(self) -> Path:
        return self._folder

    def url(self, key: str) -> str:
        return f"/media/{check_key(key)}"

    async def put(self, items: Mapping[str, bytes | BinaryIO], content_type: str | None = None) -> None:
        check_types(items, content_type)
        files = {self._path(key): data for key, data in items.items()}
        await asyncio.gather(*(self._thread(self._write, path, data) for path, data in files.items()))

    async def get(self, key: str) -> bytes | None:
        return await self._thread(_read, self._path(key))

    async def delete(self, keys: Sequence[str]) -> None:
        paths = [self._path(key) for key in keys]
        await self._thread(_unlink, paths)

    async def list(self, prefix: str = "", after: str = "", limit: int = 1000) -> list[BlobEntry]:
        return await self._thread(lambda: list(islice(_walk(self._folder, "", prefix, after), limit)))

    def _path(self, key: str) -> Path:
        return self._folder / check_key(key)

    async def _thread(self, act: Callable[..., T], *args: object) -> T:
        async with self._bound:
            return await asyncio.to_thread(act, *args)

    def _write(self, path: Path, data: bytes | BinaryIO) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        file, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
        try:
            with os.fdopen(file, "wb") as stream:
                if isinstance(data, bytes):
                    stream.write(data)
                else:
                    data.seek(0)
                    shutil.copyfileobj(data, stream, COPIED_AT_ONCE)
                stream.flush()
                os.fchmod(stream.fileno(), 0o644)  # a web server may run as another user
                if self._durable:
                    os.fsync(stream.fileno())
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            raise
        if self._durable:
            _sync_folders(path.parent, self._folder)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def _walk(folder: Path, at: str, prefix: str, after: str) -> Iterator[BlobEntry]:
    """What is below ``folder``, whose keys begin with ``at``, in their order: a folder stands where its name with a slash does.

    Folders in which nothing can be meant are not opened.
    """
    try:
        found = [(entry.name + "/" * entry.is_dir(follow_symlinks=False), entry) for entry in os.scandir(folder)]
    except (FileNotFoundError, NotADirectoryError):  # it was the last in it that was deleted
        return
    for name, entry in sorted(found, key=lambda each: each[0]):
        key = at + name
        if name.startswith("."):  # it is being written
            continue
        if not name.endswith("/"):
            if key.startswith(prefix) and key > after:
                with contextlib.suppress(FileNotFoundError):
                    state = entry.stat(follow_symlinks=False)
                    yield BlobEntry(key, state.st_size, datetime.fromtimestamp(state.st_mtime, UTC))
        elif (key.startswith(prefix) or prefix.startswith(key)) and (key > after or after.startswith(key)):
            yield from _walk(folder / entry.name, key, prefix, after)


def _unlink(paths: Sequence[Path]) -> None:
    for path in paths:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            path.unlink()


def _sync_folders(folder: Path, root: Path) -> None:
    """The new name, and those of folders that were made for it."""
    while True:
        file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(file)
        finally:
            os.close(file)
        if folder in (root, folder.parent):
            return
        folder = folder.parent
