"""Labels: fetched from the carrier once, then kept."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Sequence

from marketplace_core.ports import Blobs

__all__ = ["Labels"]


class Labels:
    def __init__(self, blobs: Blobs, keys: Sequence[bytes]) -> None:
        """``keys`` make names that nobody can guess: blobs are shown to all who know theirs, and a label bears an address.

        New ones are named by the first.
        """
        self._blobs = blobs
        self._keys = keys

    async def get(self, shipment_id: str, fetch: Callable[[], Awaitable[bytes]]) -> bytes:
        """The label of a shipment. Raises what ``fetch`` raises."""
        names = [_name(key, shipment_id) for key in self._keys]
        for name in names:
            if (kept := await self._blobs.get(name)) is not None:
                return kept
        fetched = await fetch()
        await self._blobs.put({names[0]: fetched}, "application/pdf")
        return fetched


def _name(key: bytes, shipment_id: str) -> str:
    return f"logistics/labels/{hmac.new(key, shipment_id.encode(), hashlib.sha256).hexdigest()}.pdf"
