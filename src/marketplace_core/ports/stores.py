"""Small stores that core keeps for plugins."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

__all__ = ["Blobs", "Cache"]


class Blobs(ABC):
    """Bytes by key. A key is written once and never changed, so it may be cached for ever."""

    @abstractmethod
    async def put(self, items: Mapping[str, bytes]) -> None: ...

    @abstractmethod
    async def get(self, key: str) -> bytes | None: ...

    @abstractmethod
    async def delete(self, keys: Sequence[str]) -> None: ...

    @abstractmethod
    def url(self, key: str) -> str:
        """Where a browser finds it."""


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
