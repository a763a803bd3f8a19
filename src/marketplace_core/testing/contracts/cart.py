"""What every provider of :class:`~marketplace_core.capabilities.cart.Cart` must do, on its port alone."""

from __future__ import annotations

import pytest

from marketplace_core.capabilities.cart import Cart
from marketplace_core.capabilities.catalog import Catalog
from marketplace_core.testing.contracts.cart_guests import GuestRules
from marketplace_core.testing.contracts.cart_lines import LineRules
from marketplace_core.testing.contracts.cart_once import OnceRules
from marketplace_core.testing.marketplace import Marketplace

__all__ = ["CartContract"]


class CartContract(LineRules, GuestRules, OnceRules):
    """Fixture: ``market``, a marketplace of a catalogue and the provider, in EUR and without a worker:

    .. code-block:: python

        class TestMyCart(CartContract):
            @pytest.fixture(params=["local", "wire"])
            async def market(self, request, marketplace):
                return await marketplace(["catalog", "my_cart"], runner=request.param, worker=False)

    ``line_limit`` and ``quantity_limit`` are those of that provider: how many variants a cart may have, sixty at least, and
    how many units of each.
    """

    @pytest.fixture
    def cart(self, market: Marketplace) -> Cart:
        return market.port(Cart)

    @pytest.fixture
    def catalog(self, market: Marketplace) -> Catalog:
        return market.port(Catalog)
