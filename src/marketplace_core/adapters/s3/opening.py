"""A bucket as one process uses it, and the role that it plays there. Nothing here loads the driver."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace_core.adapters.s3.blobs import S3Blobs
from marketplace_core.adapters.s3.client import Address, Bucket
from marketplace_core.adapters.s3.kind import S3Settings
from marketplace_core.metrics import PoolState
from marketplace_core.ports.servers import Opening, Server

__all__ = ["S3Server", "blobs", "open_server"]


class S3Server(Server):
    def __init__(self, name: str, url: str, settings: S3Settings | None = None) -> None:
        """:raises ValueError: it is no address of a bucket."""
        self._name = name
        self._bucket = Bucket(Address.of(url), settings or S3Settings())

    @property
    def connection(self) -> Bucket:
        return self._bucket

    async def ready(self) -> None:
        await self._bucket.probe()

    async def close(self) -> None:
        await self._bucket.close()

    def pools(self) -> Sequence[PoolState]:
        size = self._bucket.settings.threads
        return (PoolState("s3", self._name, size, size, self._bucket.in_use),)


def open_server(opening: Opening) -> S3Server:
    return S3Server(opening.name, opening.url, opening.settings if isinstance(opening.settings, S3Settings) else None)


def blobs(server: Server) -> S3Blobs:
    return S3Blobs(server.connection)
