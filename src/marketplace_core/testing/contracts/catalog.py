"""What every provider of :class:`~marketplace_core.capabilities.catalog.Catalog` must do, on its port alone."""

from __future__ import annotations

from marketplace_core.testing.contracts.catalog_bulk import BulkRules
from marketplace_core.testing.contracts.catalog_imports import ImportRules
from marketplace_core.testing.contracts.catalog_machine import MachineRules
from marketplace_core.testing.contracts.catalog_pictures import PictureRules
from marketplace_core.testing.contracts.catalog_products import ProductRules
from marketplace_core.testing.contracts.catalog_stock import StockRules

__all__ = ["CatalogContract"]


class CatalogContract(ProductRules, PictureRules, StockRules, BulkRules, ImportRules, MachineRules):
    """Fixtures: ``catalog``, the port of an empty provider, and what its surroundings do:

    ``await later(seconds)`` lets so much time pass by the provider's clock, and what is then due has run;
    ``await deliver(event)`` has the provider's worker apply an event of another capability.
    """
