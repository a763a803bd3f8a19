"""What the plugin declares."""

from __future__ import annotations

from marketplace_cart import plugin
from marketplace_cart.config import CartConfig


def test_declarations() -> None:
    info = plugin.info()
    assert (info.name, info.provides, info.requires, info.stores) == ("cart", "cart", ("catalog",), ("redis",))
    assert plugin.settings() is CartConfig
    assert CartConfig() == CartConfig(line_limit=100, quantity_limit=9999, guest_days=30, account_days=180)
