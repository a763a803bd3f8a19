"""Where what waits for a plugin of several stores is kept: each beside what its handler writes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import pytest
import pytest_asyncio

from marketplace_core._runtime.inboxes import PartedParking
from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres.parking import PostgresParking
from marketplace_core.testing.contracts.parking import NAME, ParkingContract


@pytest.mark.behaviour("events-2")
class TestPartedParking(ParkingContract):
    """The handler writes to another store than the plugin's own."""

    @pytest_asyncio.fixture
    async def parking(
        self, database: Database, database_factory: Callable[[Sequence[str]], Awaitable[Database]]
    ) -> PartedParking:
        own = await database_factory(())
        return PartedParking(PostgresParking(own), {NAME: PostgresParking(database)})
