"""Labels: fetched from the carrier once, then kept."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable

from marketplace_core.ports import Blobs

__all__ = ["Labels"]


class Labels:
    def __init__(self, blobs: Blobs, key: bytes) -> None:
        """``key`` makes names that nobody can guess: blobs are shown to all who know theirs, and a label bears an address."""
        self._blobs = blobs
        self._key = key

    async def get(self, shipment_id: str, fetch: Callable[[], Awaitable[bytes]]) -> bytes:
        """The label of a shipment. Raises what ``fetch`` raises."""
        name = f"logistics/labels/{hmac.new(self._key, shipment_id.encode(), hashlib.sha256).hexdigest()}.pdf"
        kept = await self._blobs.get(name)
        if kept is None:
            kept = await fetch()
            await self._blobs.put({name: kept}, "application/pdf")
        return kept
