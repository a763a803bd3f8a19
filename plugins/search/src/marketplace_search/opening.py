"""A folder with an index as one process uses it, and one in the data folder. Nothing here loads tantivy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from marketplace_core.ports.servers import Native, Opening, Server

__all__ = ["NativeTantivy", "TantivyServer", "open_server"]


class TantivyServer(Server):
    def __init__(self, url: str) -> None:
        self._folder = Path(url.partition(":")[2].removeprefix("//"))

    @property
    def connection(self) -> Path:
        return self._folder

    async def ready(self) -> None:
        """It is made when something is first written to it."""

    async def close(self) -> None:
        """Nothing is open."""


def open_server(opening: Opening) -> TantivyServer:
    return TantivyServer(opening.url)


class NativeTantivy(Native):
    def _folder(self, resource: str) -> Path:
        return self.data.resolve() / "indexes" / resource

    def url(self, resource: str) -> str:
        return f"file://{os.fspath(self._folder(resource))}"

    async def prepare(self, when: Literal["before", "after"]) -> None:
        if when == "before":
            for resource in self.resources:
                self._folder(resource).mkdir(parents=True, exist_ok=True)
