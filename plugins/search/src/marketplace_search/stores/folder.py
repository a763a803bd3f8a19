"""The folder of an index: generations, one of which is read, and the lock of who writes.

``live`` is a link to the generation that is read; to publish another is to replace the link. A reader that has the former one
open reads on, whether its files are deleted or not. Who writes holds a lock of the kernel's, which ends with its process: many
processes may write in turn.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from marketplace_core.errors import Unavailable

__all__ = ["Folder", "Made"]

#: Counts changes of the schema: an index of another number is built anew.
FORMAT = 2
_PAUSE = 0.02


class Made(Struct, frozen=True):
    """How a generation was made: what is read depends on it, and not on the settings of who reads.

    ``built``: of all that there was; not one that began with an event, before anybody had asked for the rest.
    """

    languages: tuple[str, ...]
    synonyms: dict[str, list[list[str]]]
    format: int = FORMAT
    built: bool = True


class Folder:
    def __init__(self, root: Path) -> None:
        self.root = root
        self._link = root / "live"

    def live(self) -> Path | None:
        """The generation that is read, if there is one."""
        try:
            return self.root / os.readlink(self._link)
        except OSError:
            return None

    def state(self) -> tuple[int, int, str] | None:
        """Differs when anything has been committed or published; costs a look at one file."""
        try:
            name = os.readlink(self._link)
            seen = os.stat(self.root / name / "index" / "meta.json")
        except OSError:
            return None
        return seen.st_ino, seen.st_mtime_ns, name

    def made(self, generation: Path) -> Made:
        """:raises OSError, msgspec.DecodeError: it is none."""
        return msgspec.json.decode((generation / "made.json").read_bytes(), type=Made)

    def new(self, made: Made) -> Path:
        """An empty generation that nobody reads yet."""
        self.root.mkdir(parents=True, exist_ok=True)
        number = 1 + max((int(path.name[4:]) for path in self.root.glob("gen-*")), default=0)
        generation = self.root / f"gen-{number}"
        for part in ("index", "words"):
            (generation / part).mkdir(parents=True)
        with open(generation / "made.json", "wb") as file:
            file.write(msgspec.json.encode(made))
            file.flush()
            os.fsync(file.fileno())
        return generation

    def publish(self, generation: Path) -> None:
        """Let it be read. Under the lock of who writes."""
        link = self.root / "live.new"
        link.unlink(missing_ok=True)
        link.symlink_to(generation.name)
        os.replace(link, self._link)
        handle = os.open(self.root, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def sweep(self) -> None:
        """Delete what a killed building has left, and what was read before. Under the lock of who builds."""
        live = self.live()
        for path in self.root.glob("gen-*"):
            if path != live:
                shutil.rmtree(path, ignore_errors=True)

    @contextlib.contextmanager
    def lock(self, name: str, patience: float) -> Iterator[None]:
        """:raises Unavailable: somebody else has it for longer."""
        self.root.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.root / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            until = time.monotonic() + patience
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= until:
                        raise Unavailable("Another process works on the index of the search.") from None
                    time.sleep(_PAUSE)
            yield
        finally:
            os.close(handle)
