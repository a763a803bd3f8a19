"""Blobs in a bucket of their own: a request for each that is put or got, and one for a thousand that are listed or deleted."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from marketplace_core.adapters.folder.blobs import check_key, check_types
from marketplace_core.adapters.s3 import lifecycle
from marketplace_core.adapters.s3.client import Bucket
from marketplace_core.ports.servers import Step
from marketplace_core.ports.stores import FOREVER, BlobEntry, BlobLink, Blobs, content_type_of

__all__ = ["S3Blobs"]

#: Of one request, by the protocol.
AT_ONCE = 1000
SIGNED_MOST = 10_000


class S3Blobs(Blobs):
    """Each is whole or not there, and is kept with its SHA-256: what is damaged on its way, to there or back, is an error. One
    that is put has at most 5 GB."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._signed: dict[str, tuple[float, str]] = {}

    def url(self, key: str) -> str:
        """Ours, which lasts; see :meth:`link` for where that leads."""
        return f"/media/{check_key(key)}"

    async def put(self, items: Mapping[str, bytes | BinaryIO], content_type: str | None = None) -> None:
        for key in items:
            check_key(key)
        check_types(items, content_type)
        await self._bucket.each(self._put, items.items())

    def _put(self, client: Any, item: tuple[str, bytes | BinaryIO]) -> None:
        key, data = item
        if not isinstance(data, bytes):
            data.seek(0)
        client.put_object(
            Bucket=self._bucket.name,
            Key=key,
            Body=data,
            ContentType=content_type_of(key),
            CacheControl=FOREVER,
            ChecksumAlgorithm="SHA256",
        )

    async def get(self, key: str) -> bytes | None:
        return await self._bucket.call(self._get, check_key(key))

    def _get(self, client: Any, key: str) -> bytes | None:
        try:
            found = client.get_object(Bucket=self._bucket.name, Key=key, ChecksumMode="ENABLED")
        except client.exceptions.NoSuchKey:
            return None
        with found["Body"] as body:
            content: bytes = body.read()
        return content

    async def delete(self, keys: Sequence[str]) -> None:
        named = [{"Key": check_key(key)} for key in keys]
        for start in range(0, len(named), AT_ONCE):
            await self._bucket.call(self._delete, named[start : start + AT_ONCE])

    def _delete(self, client: Any, named: Sequence[Mapping[str, str]]) -> None:
        from botocore.exceptions import ClientError  # noqa: PLC0415

        answer = client.delete_objects(Bucket=self._bucket.name, Delete={"Objects": named, "Quiet": True})
        if failed := answer.get("Errors"):
            raise ClientError({"Error": failed[0]}, "DeleteObjects")

    async def list(self, prefix: str = "", after: str = "", limit: int = 1000) -> list[BlobEntry]:
        if after > prefix and not after.startswith(prefix):  # all of them come before
            return []
        found: list[BlobEntry] = []
        start = after if after.startswith(prefix) else ""
        while len(found) < limit:
            page = await self._bucket.call(self._page, prefix, start, min(AT_ONCE, limit - len(found)))
            found += [BlobEntry(each["Key"], each["Size"], each["LastModified"]) for each in page.get("Contents", ())]
            if not page["IsTruncated"]:
                break
            start = found[-1].key
        return found

    def _page(self, client: Any, prefix: str, after: str, most: int) -> Any:
        return client.list_objects_v2(Bucket=self._bucket.name, Prefix=prefix, StartAfter=after, MaxKeys=most)

    # ── shown to browsers ────────────────────────────────────────────────────────────────────────────────────

    async def link(self, key: str) -> BlobLink | None:
        """Signed here, whether it is there or not: no server is asked. One address is given for half of the time that it lasts,
        and may be kept for a quarter of it, by a proxy and then by a browser."""
        settings = self._bucket.settings
        if settings.media == "edge":
            return None
        seconds = settings.media_seconds
        signed = self._signed.get(check_key(key))
        if signed is None or signed[0] < time.monotonic():
            until = time.monotonic() + seconds / 2
            url = await self._bucket.sign(key)
            if len(self._signed) >= SIGNED_MOST:
                self._signed.clear()
            signed = self._signed[key] = until, url
        return BlobLink(signed[1], seconds // 4)

    # ── set up ───────────────────────────────────────────────────────────────────────────────────────────────

    async def missing(self) -> Sequence[Step]:
        return await self._bucket.call(lifecycle.missing, self._bucket.name, self._bucket.settings)

    async def prepare(self) -> Sequence[Step]:
        return await self._bucket.call(lifecycle.prepare, self._bucket.name, self._bucket.settings)
