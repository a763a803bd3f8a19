"""What the plugin declares."""

from __future__ import annotations

from marketplace_users import plugin
from marketplace_users.config import UsersConfig


def test_declarations() -> None:
    info = plugin.info()
    assert (info.name, info.provides, info.requires, info.stores) == ("users", "users", ("auth",), ("postgres",))
    assert plugin.settings() is UsersConfig
    assert [(step.store, step.number, step.name) for step in plugin.migrations()] == [("postgres", 1, "users")]
