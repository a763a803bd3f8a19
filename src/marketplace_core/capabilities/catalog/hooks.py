"""What plugins may add to catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketplace_core.capabilities.catalog.port import Catalog
from marketplace_core.hookspecs import hookspec

if TYPE_CHECKING:
    from marketplace_core.context import PluginContext


class CatalogHooks:
    @hookspec
    def provide_catalog(self, context: PluginContext) -> Catalog:  # type: ignore[empty-body]
        """The capability's provider."""
