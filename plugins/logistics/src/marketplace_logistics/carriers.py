"""The carriers that extension plugins give, asked for once per process."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from marketplace_core.capabilities.logistics import Carrier
from marketplace_core.errors import NotFound
from marketplace_core.extensions import Extensions

__all__ = ["Carriers"]


class Carriers:
    def __init__(self, extensions: Callable[[], Extensions]) -> None:
        """``extensions`` is called when carriers are first needed: then every plugin of the process is assembled."""
        self._extensions = extensions
        self._found: Mapping[str, Carrier] | None = None

    async def all(self) -> Mapping[str, Carrier]:
        """By name, in the deployment's order. :raises ExtensionError: a plugin fails to give its carriers."""
        if self._found is None:
            self._found = await self._extensions().contribute("carriers")
        return self._found

    async def find(self, name: str) -> Carrier | None:
        return (await self.all()).get(name)

    async def get(self, name: str) -> Carrier:
        """:raises NotFound:"""
        carrier = await self.find(name)
        if carrier is None:
            raise NotFound("There is no such carrier.")
        return carrier
