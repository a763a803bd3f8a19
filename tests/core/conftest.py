from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from marketplace_core.http.logging import configure_logging


@pytest.fixture
def json_logs(capfd: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    """As in production; to be had before the marketplace is opened."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logging("info", json=True)
    structlog.configure(cache_logger_on_first_use=False)  # they would write here for ever
    yield capfd
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
