"""What a plugin does with the pictures of its people: keep what came, draw it, and sweep what nobody refers to."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from marketplace_core import calls
from marketplace_core.errors import Unavailable
from marketplace_core.http.egress import Egress, Unreached
from marketplace_core.http.routing import Upload
from marketplace_core.pictures.reading import MAX_BYTES, BadPicture, Picture, looks_like_picture, read_picture
from marketplace_core.pictures.values import PictureItem, PictureRecord, PictureSize, PictureSizes, SentPicture
from marketplace_core.ports import Blobs, Pool, ProcessDied
from marketplace_core.values import new_id

__all__ = ["Pictures", "address", "kept_sizes"]

#: What another moment may mend.
_LATER = frozenset(("timeout", "no_connection", "unresolved"))
#: Blobs below this are as they came: never shown to anybody.
CAME = "uploads"
TYPE = "image/webp"
#: What is put a moment ago may be referred to a moment from now; and a job may be long on its way.
MARGIN = timedelta(days=2)
SWEPT_AT_ONCE = 500
READ_AT_ONCE = 256 * 1024

Referred = Callable[[Sequence[str]], Awaitable[set[str]]]
"""From keys to those of them that rows refer to."""


def address(blobs: Blobs, kept: str) -> str:
    """Where a browser finds a picture by what is kept of it: its key. Before there were only keys it was its address."""
    return kept if kept.startswith("/") or "://" in kept else blobs.url(kept)


def kept_sizes(picture: Picture, folder: str, of: str) -> tuple[dict[str, PictureSize], dict[str, bytes]]:
    """The sizes of a picture by name, and their contents by key.

    ``of`` is whose picture it is. Its keys are no other's, even where the same was sent: what is swept of one is not what
    another is about to refer to.
    """
    whose = hashlib.blake2b(f"{of}\n{picture.digest}".encode(), digest_size=16).hexdigest()
    sizes, contents = {}, {}
    for name, one in picture.renditions.items():
        key = f"{folder}/{whose[:2]}/{whose}-{one.edge}.webp"
        sizes[name] = PictureSize(key, one.width, one.height)
        contents[key] = one.content
    return sizes, contents


class Pictures:
    """Of one plugin, by :attr:`marketplace_core.context.PluginContext.pictures`."""

    def __init__(self, plugin: str, blobs: Blobs, pool: Pool, egress: Callable[[], Egress], sizes: PictureSizes) -> None:
        self.blobs = blobs
        self.sizes = sizes
        self._folder = plugin
        self._pool = pool
        self._egress = egress

    def url(self, kept: str) -> str:
        """See :func:`address`."""
        return address(self.blobs, kept)

    # ── as they come ─────────────────────────────────────────────────────────────────────────────────────────

    async def keep(self, files: Sequence[Upload]) -> list[SentPicture]:
        """What a route does with its ``files``: all that may be pictures go into the blobs at once, and only their keys
        further. A repeat of the request has the same keys, and no other request has.
        """
        call = calls.current()
        whose = f"{call.scope}\n{call.key or new_id()}"
        keys = await asyncio.to_thread(lambda: [self._came(upload, whose) for upload in files])
        if found := {key: upload.file for key, upload in zip(keys, files, strict=True) if key is not None}:
            await self.blobs.put(found)
        return [
            SentPicture(upload.name, key, None if key is not None else "format")
            for upload, key in zip(files, keys, strict=True)
        ]

    def _came(self, upload: Upload, whose: str) -> str | None:
        """The key of a file as it came; None: it is no picture."""
        upload.file.seek(0)
        if not looks_like_picture(upload.file.read(12)):
            return None
        digest = hashlib.blake2b(whose.encode(), digest_size=16)
        upload.file.seek(0)
        while chunk := upload.file.read(READ_AT_ONCE):
            digest.update(chunk)
        name = digest.hexdigest()
        return f"{CAME}/{self._folder}/{name[:2]}/{name}"

    @staticmethod
    def accept(sent: Sequence[SentPicture], room: int) -> tuple[list[PictureRecord], list[PictureItem]]:
        """Records of those that are to be made, of which there is ``room`` for so many, and what becomes of each."""
        records: list[PictureRecord] = []
        items: list[PictureItem] = []
        for picture in sent:
            code = picture.code or ("length" if len(records) >= room else None)
            record = PictureRecord(new_id(), "", "pending", source=picture.key) if code is None else None
            if record is not None:
                records.append(record)
            id_ = None if record is None else record.id
            items.append(PictureItem(id_, picture.name, "rejected" if record is None else "pending", code))
        return records, items

    # ── as they are shown ────────────────────────────────────────────────────────────────────────────────────

    async def make(self, records: Sequence[PictureRecord]) -> list[PictureRecord]:
        """Those that are ready, or rejected for good, in their order; all sizes of all of them are put at once. A job does it,
        and may do it again.

        :raises Unavailable: a host, or the blobs, does not answer; ask again.
        """
        made: list[PictureRecord] = []
        contents: dict[str, bytes] = {}
        for record in records:  # one after another: each may be large
            try:
                picture = await self._draw(await self._sent(record.source or ""))
            except BadPicture as error:
                made.append(replace(record, status="rejected", code=error.code))
                continue
            sizes, drawn = kept_sizes(picture, self._folder, record.id)
            contents |= drawn
            made.append(ready(record, sizes))
        if contents:
            await self.blobs.put(contents, TYPE)
        return made

    async def _draw(self, content: bytes) -> Picture:
        try:
            return await self._pool.run(read_picture, content, "It", self.sizes)
        except ProcessDied as error:
            raise BadPicture("format", "It ends whoever reads it.") from error

    async def _sent(self, source: str) -> bytes:
        """:raises BadPicture: it is not there. :raises Unavailable: see above."""
        if "://" in source:
            return await self._fetch(source)
        content = await self.blobs.get(source) if source else None
        if content is None:
            raise BadPicture("not_found", "It is not there.")
        return content

    async def _fetch(self, url: str) -> bytes:
        try:
            answer = await self._egress().request("GET", url, headers={"accept": "image/*"}, most=MAX_BYTES)
        except Unreached as error:
            if error.reason in _LATER:
                raise Unavailable(f"A picture cannot be fetched: {error}") from error
            raise BadPicture("not_found", "It cannot be fetched.") from error
        if answer.status >= 500 or answer.status == 429:
            raise Unavailable(f"A picture cannot be fetched: its host answers {answer.status}.")
        if answer.status != 200:
            raise BadPicture("not_found", "It is not there.")
        if not answer.whole:
            raise BadPicture("range", f"It is larger than {MAX_BYTES >> 20} MiB.")
        return answer.body

    # ── once nobody refers to them ───────────────────────────────────────────────────────────────────────────

    async def sweep(self, referred: Referred, margin: timedelta = MARGIN) -> int:
        """A schedule: delete what was put longer ago than ``margin`` and nothing refers to; gives how many.

        By the store's own clock. What is about to be referred to is younger: keys are those of one record, or one import.
        """
        swept = 0
        for prefix in (f"{CAME}/{self._folder}/", f"{self._folder}/"):
            after = ""
            while page := await self.blobs.list(prefix, after, SWEPT_AT_ONCE):
                old = [entry.key for entry in page if entry.put_at < datetime.now(UTC) - margin]
                if old and (gone := set(old) - await referred(old)):
                    await self.blobs.delete(sorted(gone))
                    swept += len(gone)
                after = page[-1].key
        return swept


def ready(record: PictureRecord, sizes: Mapping[str, PictureSize]) -> PictureRecord:
    """What came of it is not referred to any more, unless it was fetched: so it is not fetched again."""
    page = sizes["page"]
    source = record.source if record.source and "://" in record.source else None
    rest = {name: size for name, size in sizes.items() if name != "page"}
    return replace(
        record, key=page.url, width=page.width, height=page.height, status="ready", source=source, sizes=rest, code=None
    )
