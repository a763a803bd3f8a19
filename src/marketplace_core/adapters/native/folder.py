"""The data folder: who may use it, which format it has, and where in it a server's files and socket are."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from marketplace_core._supervisor.children import SystemUser
from marketplace_core.adapters.native.errors import EmbeddedError

FORMAT = 1
"""Of the layout below the folder. A folder of another one is refused, never touched."""

_SOCKET_LIMIT = 100
"""The kernel allows 107 bytes; some clients less."""


@dataclass
class _Lock:
    file: int
    parts: set[str] = field(default_factory=set)


_held: dict[Path, _Lock] = {}
"""Folders locked by this process. All users of a folder in one process share one lock."""


class DataFolder:
    """A folder with what must last, used by one marketplace at a time.

    `acquire` makes the folder if need be and locks it until `release`, or the end of the process. Within
    one process each `part` may be held once: a server takes the part that bears its name, and a supervisor
    that wants the folder for longer than its servers run takes one of its own. A process forked without
    exec would share the lock.
    """

    def __init__(self, path: Path, part: str = "marketplace") -> None:
        self.path = path.resolve()
        self.part = part

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def acquire(self) -> None:
        """Raises EmbeddedError if another process, or object of this one, uses it, or its format differs."""
        lock = _held.get(self.path)
        if lock is None:
            try:
                lock = self._lock()
            except OSError as error:
                raise EmbeddedError(
                    f"the data folder {self.path} cannot be used ({error.strerror})",
                    "choose another --data, or give it to the user that you start as",
                ) from error
            _held[self.path] = lock
        elif self.part in lock.parts:
            raise EmbeddedError(
                f"{self.part} of the data folder {self.path} is in use by this process",
                "stop the first user before starting a second",
            )
        lock.parts.add(self.part)

    def release(self) -> None:
        """Does nothing if it is not held."""
        lock = _held.get(self.path)
        if lock is None:
            return
        lock.parts.discard(self.part)
        if not lock.parts:
            del _held[self.path]
            os.close(lock.file)

    @property
    def holder(self) -> int | None:
        """The process that uses the folder now, 0 if it has not said its id yet, None if no process does."""
        try:
            file = os.open(self.path / "lock", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read_pid(file)
        finally:
            os.close(file)
        return None

    def _lock(self) -> _Lock:
        if not self.path.exists():
            self.path.mkdir(parents=True)
            # The user that PostgreSQL gets from root must be able to pass.
            self.path.chmod(0o711 if os.geteuid() == 0 else 0o700)
        file = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not _locked(file):
                pid = _read_pid(file)
                raise EmbeddedError(
                    f"the data folder {self.path} is in use by pid {pid or 'unknown'}",
                    "stop that marketplace, or choose another --data",
                )
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
            self._check_format()
        except BaseException:
            os.close(file)
            raise
        return _Lock(file)

    def _check_format(self) -> None:
        version = self.path / "VERSION"
        try:
            found = version.read_text().strip()
        except FileNotFoundError:
            fresh = self.path / "VERSION.new"
            fresh.write_text(f"{FORMAT}\n")
            fresh.replace(version)
            return
        if found != str(FORMAT):
            raise EmbeddedError(
                f"the data folder {self.path} has format {found[:20]!r}, this release reads {FORMAT}",
                "start it with the release that wrote it, or choose another --data",
            )


def _locked(file: int) -> bool:
    """A few attempts, since whoever asks for the holder locks for a moment too."""
    for pause in (0.0, 0.01, 0.05):
        time.sleep(pause)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False


def _read_pid(file: int) -> int:
    text = os.pread(file, 20, 0).strip()
    return int(text) if text.isdigit() else 0


def own_folder(path: Path, user: SystemUser | None) -> None:
    """Make a folder that nobody but `user` (or, if None, we) may look into."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if user is not None and path.stat().st_uid != user.uid:
        _give(path, user)
    path.chmod(0o700)


def _give(path: Path, user: SystemUser) -> None:
    for folder, _, files in os.walk(path, followlinks=False):
        for name in ("", *files):
            os.chown(os.path.join(folder, name), user.uid, user.gid, follow_symlinks=False)


def check_reachable(path: Path, user: SystemUser, remedy: str) -> None:
    """Raises EmbeddedError naming the first folder on the way to `path` that `user` cannot pass."""
    folder = _closed(path, user)
    if folder is not None:
        raise EmbeddedError(
            f"the user {user.name}, as which PostgreSQL runs when root starts it, cannot pass {folder}",
            f"{remedy}, or `chmod o+x {folder}`",
        )


class HandedFolders:
    """Folders of a child's user on the way to which may be one that only root passes, such as its home: the child gets those
    open, and names them by their descriptors. Closed with the block; the child keeps its own."""

    def __init__(self, user: SystemUser | None) -> None:
        self._user = user
        self.descriptors: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)

    def name(self, folder: Path) -> Path:
        """By which the child finds it."""
        if self._user is None or _closed(folder, self._user) is None:
            return folder
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.descriptors.append(descriptor)
        return Path(f"/proc/self/fd/{descriptor}")


def _closed(path: Path, user: SystemUser) -> Path | None:
    """The first folder on the way to `path` that `user` cannot pass."""
    for folder in (*reversed(path.parents), path):
        state = folder.stat()
        if state.st_uid == user.uid:
            bit = stat.S_IXUSR
        elif state.st_gid in user.groups:
            bit = stat.S_IXGRP
        else:
            bit = stat.S_IXOTH
        if not state.st_mode & bit:
            return folder
    return None


def socket_folder(data: Path, server: str, socket: str) -> Path:
    """Where the socket of a server is, or will be.

    `run/<server>`, unless that makes a path too long for the kernel: then a folder below the system's
    temporary folder, named after the data folder, and `run/<server>` is a link to it once the server has
    run.
    """
    inside = data / "run" / server
    if inside.is_symlink():
        return inside.readlink()
    if len(os.fsencode(inside / socket)) <= _SOCKET_LIMIT:
        return inside
    digest = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"marketplace-{digest}-{server}"


def prepare_socket_folder(data: Path, server: str, socket: str, user: SystemUser | None) -> Path:
    """Make the folder of `socket_folder`, for `user` alone, without what a killed server left in it."""
    inside = data / "run" / server
    if inside.is_symlink():
        inside.unlink()
    inside.parent.mkdir(exist_ok=True)
    inside.parent.chmod(0o711 if os.geteuid() == 0 else 0o700)
    folder = socket_folder(data, server, socket)
    if len(os.fsencode(folder / socket)) > _SOCKET_LIMIT:
        raise EmbeddedError(f"the path of the socket folder {folder} is too long", "set TMPDIR to a folder with a short name")
    if folder != inside:
        _check_unclaimed(folder, user)
        shutil.rmtree(inside, ignore_errors=True)
        inside.symlink_to(folder)
    own_folder(folder, user)
    for left in folder.iterdir():
        left.unlink()
    return folder


def _check_unclaimed(folder: Path, user: SystemUser | None) -> None:
    """Below the temporary folder anybody may have made it before us."""
    try:
        state = folder.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(state.st_mode) or state.st_uid not in (os.geteuid(), user.uid if user else -1):
        raise EmbeddedError(f"{folder} belongs to somebody else", "remove it, or set TMPDIR to a folder of yours")
