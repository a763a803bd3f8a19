"""Small stores that core keeps for plugins."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, BinaryIO

from msgspec import Struct

if TYPE_CHECKING:
    from marketplace_core.ports.servers import Step

__all__ = ["BlobEntry", "BlobLink", "Blobs", "Cache", "FeedEntry", "FeedLost", "FeedPage", "FeedStore", "content_type_of"]


class BlobEntry(Struct, frozen=True, gc=False):
    """``put_at``: by the store's own clock. What was put a moment ago may be referred to a moment from now."""

    key: str
    size: int
    put_at: datetime


class BlobLink(Struct, frozen=True, gc=False):
    """Where a blob can be read by GET without us. ``seconds``: for so long whoever is told may remember it."""

    url: str
    seconds: int


#: For whoever keeps a blob by its key, which never has another.
FOREVER = "public, max-age=31536000, immutable"

#: Of this table, and not of the machine's: what a picture is does not depend on where it is shown. Nothing here is a page that
#: could run in somebody's browser.
_TYPES = {
    "avif": "image/avif",
    "csv": "text/csv",
    "gif": "image/gif",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "json": "application/json",
    "pdf": "application/pdf",
    "png": "image/png",
    "txt": "text/plain",
    "webp": "image/webp",
    "zip": "application/zip",
}


def content_type_of(key: str) -> str:
    """The media type of a blob, by the ending of its key."""
    name, dot, ending = key.rpartition("/")[2].rpartition(".")
    return _TYPES.get(ending if name and dot else "", "application/octet-stream")


class Blobs(ABC):
    """Bytes by key. A key is written once and never changed, so it may be cached for ever."""

    @abstractmethod
    async def put(self, items: Mapping[str, bytes | BinaryIO], content_type: str | None = None) -> None:
        """All of them at once: to put many is one call. A file is read from its beginning, by parts, and left open.

        ``content_type`` of all of them is what :func:`content_type_of` says of each key, by which it is shown to everybody,
        out of a folder as out of a bucket: say it where somebody else has sent them. None: whatever the keys say.

        :raises Invalid: ``blobs.bad_type``, and nothing was put.
        """

    @abstractmethod
    async def get(self, key: str) -> bytes | None: ...

    @abstractmethod
    async def delete(self, keys: Sequence[str]) -> None: ...

    @abstractmethod
    async def list(self, prefix: str = "", after: str = "", limit: int = 1000) -> list[BlobEntry]:
        """At most ``limit`` of those whose keys begin with ``prefix`` and come after ``after``, in the order of their keys.

        For sweeping what nobody refers to: a page that is shorter is the last one. Those that are put or deleted meanwhile
        may be in it or not; all others are there once.
        """

    @abstractmethod
    def url(self, key: str) -> str:
        """Where a browser finds it, for ever."""

    async def link(self, key: str) -> BlobLink | None:
        """Where to send those who ask for :meth:`url`, whether the blob is there or not. None: they are given its bytes."""
        return None

    async def missing(self) -> Sequence[Step]:
        """What :meth:`prepare` would do. :raises MigrationError: see there."""
        return ()

    async def prepare(self) -> Sequence[Step]:
        """Make where they are kept, where that is not made by itself, and set it up. ``marketplace migrate`` does it.

        :raises MigrationError: it cannot be done. :raises Unavailable: not now.
        """
        return ()


class Cache(ABC):
    """Encoded public reads of one plugin, kept under tags. Losing all of it loses nothing."""

    @abstractmethod
    async def drop(self, tags: Sequence[str]) -> None:
        """Forget what is kept under these tags; what a slow reader is about to put back for them is refused.

        :raises Unavailable: it could not be done, so it must not be answered that it was.
        """

    @abstractmethod
    async def drop_all(self) -> None:
        """Forget every read of the plugin. :raises Unavailable: likewise."""


class FeedEntry(Struct, frozen=True, array_like=True, gc=False):
    """A place in a feed. ``data`` is what a reader shows of it, as the writer encoded it; the store does not look inside."""

    id: str
    data: bytes = b""


class FeedPage(Struct, frozen=True, gc=False):
    """``next``: where the page after it begins, or None. ``built_at``: how old all of it is."""

    entries: tuple[FeedEntry, ...]
    built_at: datetime
    next: tuple[int, int] | None = None


class FeedLost(Exception):
    """The store has forgotten the generation that is being written, after a restart or for its age: begin again."""


class FeedStore(ABC):
    """Lists of entries by name that one plugin writes and another reads. Losing all of it loses nothing: it is built again.

    All feeds are built together as one *generation*: :meth:`begin`, :meth:`write` each, :meth:`publish`. Until then
    nobody sees it, and from then on everybody; who is in the middle of an earlier one reads on there for a while.
    """

    @abstractmethod
    async def begin(self) -> int:
        """The number of a new generation, greater than any before. Unfinished ones are forgotten by themselves."""

    @abstractmethod
    async def write(self, generation: int, feed: str, entries: Sequence[FeedEntry]) -> None:
        """The whole of one feed, in order; a repeat replaces it. :raises FeedLost: see there."""

    @abstractmethod
    async def publish(self, generation: int, built_at: datetime) -> bool:
        """Let it be read. False: one that was begun later is being read already, or this one is.

        :raises FeedLost: see there.
        """

    @abstractmethod
    async def read(self, feed: str, size: int, after: tuple[int, int] | None = None) -> FeedPage | None:
        """At most ``size`` entries, by one round trip. ``after``: the page's ``next``, whose generation is gone on with.

        None: there is no such feed, or none of any name yet.

        :raises BadCursor: the generation of ``after`` cannot be read any more.
        """

    @abstractmethod
    async def remove(self, ids: Sequence[str]) -> None:
        """Leave these out of every feed of every generation that has begun, at once: they cannot be bought.

        Pages are as long as before, and a place in a feed stays the same place. A generation that begins later has them again.
        """
