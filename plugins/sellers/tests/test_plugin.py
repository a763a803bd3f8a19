"""What the plugin declares."""

from __future__ import annotations

from marketplace_sellers import plugin
from marketplace_sellers.config import SellersConfig


def test_declarations() -> None:
    info = plugin.info()
    assert (info.name, info.provides, info.requires, info.stores) == ("sellers", "sellers", ("catalog",), ("postgres",))
    assert plugin.settings() is SellersConfig
    steps = [(step.store, step.number, step.name) for step in plugin.migrations()]
    names = ("sellers", "names_alike", "ratings", "logos")
    assert steps == [("postgres", number, name) for number, name in enumerate(names, 1)]
