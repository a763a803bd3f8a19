"""What S3 is to a deployment: its addresses, its settings, and the role that it plays. Embedded it is MinIO."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from marketplace_core.ports.servers import ServerKind, ServerSettings

__all__ = ["S3", "S3Settings"]

_ADDRESS = Annotated[str, Meta(pattern=r"^https?://[^/?#]+/?\Z", description="give https://HOST, without a path")]


class S3Settings(ServerSettings, forbid_unknown_fields=True):
    """``media``: who asks for a picture is sent to the bucket by an address that is signed (``redirect``) and lasts for
    ``media_seconds``; or is given it by us, once for whatever cache stands before us (``edge``). ``public``: the server as
    browsers reach it, where that is not as we do. ``threads``: how many requests a process has under way. ``lifecycle``:
    whether ``migrate`` sets the bucket's rules of lifecycle, beside those that others have set.
    """

    region: str | None = None
    media: Literal["redirect", "edge"] = "redirect"
    media_seconds: Annotated[int, Meta(ge=60, le=604_800, description="give 60 seconds to 7 days")] = 600
    public: _ADDRESS | None = None
    threads: Annotated[int, Meta(ge=1, le=64, description="give 1 to 64 threads")] = 8
    lifecycle: bool = True


S3 = ServerKind(
    name="s3",
    schemes=("s3", "s3+http", "s3+https"),
    open="marketplace_core.adapters.s3.opening:open_server",
    roles={"blobs": "marketplace_core.adapters.s3.opening:blobs"},
    settings=S3Settings,
    needs=("boto3",),
    native="marketplace_core.adapters.s3.embedded:NativeS3",
)
