"""What every provider of :class:`~marketplace_core.capabilities.sellers.Sellers` must do, on its port alone."""

from __future__ import annotations

import pytest

from marketplace_core.capabilities.catalog import Catalog
from marketplace_core.capabilities.sellers import Sellers
from marketplace_core.testing.contracts.sellers_applications import ApplicationRules
from marketplace_core.testing.contracts.sellers_shops import ShopRules
from marketplace_core.testing.marketplace import Marketplace

__all__ = ["SellersContract"]


class SellersContract(ApplicationRules, ShopRules):
    """Fixture: ``market``, an empty marketplace with the provider and one of the catalogue, whose worker does not run.

    It asks applicants for something that an operator decides on (``verified``), and takes ``accepted`` as any value. Of it
    are made ``sellers`` and ``catalog``, the ports.
    """

    @pytest.fixture
    def sellers(self, market: Marketplace) -> Sellers:
        return market.port(Sellers)

    @pytest.fixture
    def catalog(self, market: Marketplace) -> Catalog:
        return market.port(Catalog)
