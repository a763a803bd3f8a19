"""A folder as one process uses it, and one in the data folder; of whatever kind what is in it may be."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

from marketplace_core.adapters.folder.blobs import FolderBlobs
from marketplace_core.ports.servers import Native, Opening, Server

__all__ = ["FolderServer", "NativeFolder", "blobs", "open_server"]


#: A kind has its own, and what is none is a path already.
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*:(//)?")


class FolderServer(Server):
    def __init__(self, url: str) -> None:
        self._folder = Path(_SCHEME.sub("", url))

    @property
    def connection(self) -> Path:
        return self._folder

    async def ready(self) -> None:
        """It is made when something is first kept in it."""

    async def close(self) -> None:
        """Nothing is open."""


def open_server(opening: Opening) -> FolderServer:
    return FolderServer(opening.url)


def blobs(server: Server) -> FolderBlobs:
    return FolderBlobs(server.connection)


class NativeFolder(Native):
    """``within``: where those of a kind are in the data folder."""

    within = "folders"

    def _folder(self, resource: str) -> Path:
        return self.data.resolve() / self.within / resource

    def url(self, resource: str) -> str:
        return f"file://{os.fspath(self._folder(resource))}"

    async def prepare(self, when: Literal["before", "after"]) -> None:
        if when == "before":
            for resource in self.resources:
                self._folder(resource).mkdir(parents=True, exist_ok=True)
