"""What the plugin declares."""

from __future__ import annotations

from marketplace_sellers import plugin
from marketplace_sellers.config import SellersConfig


def test_declarations() -> None:
    info = plugin.info()
    assert (info.name, info.provides, info.requires, info.stores) == ("sellers", "sellers", ("catalog",), ("postgres",))
    assert plugin.settings() is SellersConfig
    steps = [(step.store, step.number, step.name) for step in plugin.migrations()]
    assert steps == [("postgres", 1, "sellers"), ("postgres", 2, "names_alike"), ("postgres", 3, "ratings")]
