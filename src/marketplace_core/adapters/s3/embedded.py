"""The embedded S3 of a deployment: one MinIO, a bucket for each resource, which ``migrate`` makes."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace_core.adapters.native.server import EmbeddedServer
from marketplace_core.adapters.s3.native import EmbeddedMinio
from marketplace_core.ports.servers import Native

__all__ = ["NativeS3"]


class NativeS3(Native):
    def url(self, resource: str) -> str:
        # Three characters at least, and none of them a _.
        return EmbeddedMinio(self.data).url(f"marketplace-{resource.replace('_', '-')}")

    def servers(self) -> Sequence[tuple[str, EmbeddedServer]]:
        return [("minio", EmbeddedMinio(self.data))]
