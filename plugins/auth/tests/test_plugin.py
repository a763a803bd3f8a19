"""What the plugin declares."""

from __future__ import annotations

from marketplace_auth import plugin
from marketplace_auth.config import AuthConfig
from marketplace_auth.service import AuthService


def test_declarations() -> None:
    info = plugin.info()
    assert (info.name, info.provides, info.stores, dict(info.needs)) == ("auth", "auth", ("postgres",), {"sessions": "redis"})
    assert plugin.settings() is AuthConfig
    assert [(step.store, step.number, step.name) for step in plugin.migrations()] == [
        ("postgres", 1, "auth"),
        ("postgres", 2, "api_keys"),
    ]
    assert all(
        schedule.name.startswith("auth.") and hasattr(AuthService, schedule.method.__name__) for schedule in plugin.schedules()
    )
