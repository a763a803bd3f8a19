"""What the plugin declares."""

from __future__ import annotations

from marketplace_logistics import plugin
from marketplace_logistics.config import LogisticsConfig
from marketplace_logistics.service import LogisticsService


def test_declarations() -> None:
    info = plugin.info()
    assert (info.name, info.provides, info.stores) == ("logistics", "logistics", ("postgres",))
    assert plugin.settings() is LogisticsConfig
    assert [(step.store, step.number) for step in plugin.migrations()] == [("postgres", number) for number in (1, 2, 3, 4)]
    assert [schedule.name for schedule in plugin.schedules()] == ["logistics.poll", "logistics.purge_webhooks"]
    assert all(hasattr(LogisticsService, method.__name__) for method in plugin.subscriptions())
