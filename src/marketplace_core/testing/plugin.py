"""The pytest plugin (entry point ``marketplace``). It is imported by every run of pytest, so it imports nothing itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Bring in the fixtures, where the ``testing`` extra (pytest-asyncio) is installed."""
    if config.pluginmanager.hasplugin("asyncio"):
        from marketplace_core.testing import fixtures  # noqa: PLC0415

        config.pluginmanager.register(fixtures, "marketplace-fixtures")
