"""What those of a process share that have one file open, and the locks that outlive no process."""

from __future__ import annotations

import asyncio
import fcntl
import os
import weakref
from pathlib import Path

__all__ = ["FileLock", "Shared", "shared"]


class Shared:
    """``claims`` are the idempotency keys that are in use."""

    def __init__(self) -> None:
        self.claims: set[tuple[str, str, str]] = set()
        self._waiting: weakref.WeakSet[asyncio.Event] = weakref.WeakSet()

    def event(self) -> asyncio.Event:
        """Set whenever somebody of this process is told, for as long as the event is held."""
        made = asyncio.Event()
        self._waiting.add(made)
        return made

    def tell(self) -> None:
        for event in list(self._waiting):
            event.set()


_known: weakref.WeakValueDictionary[str, Shared] = weakref.WeakValueDictionary()


def shared(path: str) -> Shared:
    """That of one file, by its real path."""
    found = _known.get(path)
    if found is None:
        found = _known[path] = Shared()
    return found


class FileLock:
    """A lock beside the database. It is the kernel's: whoever dies gives it back at once, and nobody loses it before.

    Not on the database itself: who closes any descriptor of that one lets go of SQLite's own locks.
    """

    def __init__(self, database: Path, name: str) -> None:
        self._path = database.with_name(f"{database.name}-{name}.lock")
        self._file: int | None = None

    @property
    def held(self) -> bool:
        return self._file is not None

    @property
    def lost(self) -> bool:
        """Whether its file was taken away, so that another process may hold one of that name. :raises OSError:"""
        if self._file is None:
            return False
        try:
            return not os.path.samestat(os.stat(self._path), os.fstat(self._file))
        except FileNotFoundError:
            return True

    def take(self) -> bool:
        """Whether it is ours now."""
        if self._file is None:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                return False
            self._file = file
        return True

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
