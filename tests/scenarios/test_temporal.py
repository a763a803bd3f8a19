"""Checkouts on Temporal: as they go on DBOS, and what one reads of them in Temporal itself."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from temporalio.client import Client, WorkflowHistory

from marketplace_core.adapters.temporal.native import EmbeddedTemporal
from marketplace_core.testing.client import clients
from marketplace_core.testing.contracts import eventually
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.testing.shop import ADDRESS, PLUGINS
from marketplace_core.testing.simulators import Simulator

pytestmark = [pytest.mark.xdist_group("temporal"), pytest.mark.behaviour("orchestrator-2")]

#: Where the histories of this test are kept, for ``tests/compat/test_temporal.py``.
RECORD = os.environ.get("MARKETPLACE_RECORD_HISTORIES")
