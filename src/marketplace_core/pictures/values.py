"""What is known of a picture: as it is sent, as it is kept, and as whoever sent it is told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from msgspec import Meta, Struct

__all__ = [
    "PictureItem",
    "PictureItems",
    "PictureOrder",
    "PictureRecord",
    "PictureSize",
    "PictureSizes",
    "PictureStatus",
    "SentPicture",
    "keys_in",
]

PictureStatus = Literal["pending", "ready", "rejected"]
_Edge = Annotated[int, Meta(ge=16, le=4096, description="give 16 to 4096 pixels")]


class PictureSizes(Struct, frozen=True, forbid_unknown_fields=True):
    """``[pictures]`` of a deployment: the longest edge of each size in pixels, and the quality at which all are encoded.

    ``page`` is shown on pages, ``card`` in lists, ``thumb`` in carts and orders. None is larger than what was sent.
    """

    page: _Edge = 1600
    card: _Edge = 480
    thumb: _Edge = 160
    quality: Annotated[int, Meta(ge=1, le=100, description="give 1 to 100")] = 80


class PictureSize(Struct, frozen=True):
    """``url`` is public and cached for ever; in rows and events it is the key of a blob. Width and height in pixels."""

    url: str
    width: int
    height: int


class SentPicture(Struct, frozen=True):
    """A file of a request on its way through a port: ``key`` of the blob in which it is as it came, or ``code``: what is
    wrong with it."""

    name: str
    key: str | None = None
    code: str | None = None


class PictureRecord(Struct):
    """A picture in a row. ``key``, ``width`` and ``height`` are of the size ``page``; other ``sizes`` are by name.

    ``source``: the blob in which it came, or the URL from which it is, or was, fetched. One that is pending and has a key waits
    for a decision of moderation. ``code``: why it is rejected.
    """

    id: str
    key: str
    status: PictureStatus
    width: int | None = None
    height: int | None = None
    source: str | None = None
    sizes: dict[str, PictureSize] = {}
    code: str | None = None

    @property
    def is_to_be_made(self) -> bool:
        return self.status == "pending" and not self.key

    def key_of(self, size: str) -> str:
        """What was stored before there were sizes has one."""
        return self.sizes[size].url if size in self.sizes else self.key

    def decide(self, *, approved: bool, code: str | None) -> bool:
        """What moderation says of it. Whether that changes anything."""
        before = (self.status, self.code)
        if self.key:
            self.status, self.code = ("ready", None) if approved else ("rejected", code)
        return before != (self.status, self.code)


class PictureItem(Struct, frozen=True):
    """What becomes of one file; ``id`` is null of one that is refused at once. ``code``: ``format`` (no picture), ``range``
    (too large), ``length`` (there are enough)."""

    id: str | None
    name: str
    status: PictureStatus
    code: str | None = None


class PictureItems(Struct, frozen=True):
    items: list[PictureItem]


class PictureOrder(Struct, frozen=True, forbid_unknown_fields=True):
    ids: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=1000)]


def keys_in(records: Iterable[PictureRecord]) -> set[str]:
    """The blobs that these refer to."""
    found = {record.key for record in records} | {size.url for record in records for size in record.sizes.values()}
    return found | {record.source for record in records if record.source}
