"""For all tests: those that share a deployment come one after the other, and none costs more CPU than it says."""

from __future__ import annotations

import pytest


def group(item: pytest.Item | None) -> str:
    """Of those that share what one of pytest's processes has started."""
    mark = item.get_closest_marker("xdist_group") if item is not None else None
    return str(mark.args[0]) if mark is not None else ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups come first, each in one piece: they take longest."""
    items.sort(key=lambda item: (group(item) == "", group(item)))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """What stands for a group would cost all others its rest."""
    if group(item) and group(item) != group(nextitem):
        from marketplace_core.testing.standing import stop_standing  # noqa: PLC0415

        stop_standing()
