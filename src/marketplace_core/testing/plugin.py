"""The pytest plugin (entry point ``marketplace``). It is imported by every run of pytest, so it imports nothing itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Declare our mark, and bring in the fixtures where the ``testing`` extra (pytest-asyncio) is installed."""
    config.addinivalue_line("markers", "behaviour(*ids): the lines of BEHAVIOURS.md that this test shows")
    if config.pluginmanager.hasplugin("asyncio"):
        from marketplace_core.testing import fixtures  # noqa: PLC0415

        config.pluginmanager.register(fixtures, "marketplace-fixtures")
