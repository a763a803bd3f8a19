"""Core's suites of units, outbox and parked keys, on a file."""

from __future__ import annotations

import pytest

from marketplace_core.testing.contracts.outbox import OutboxContract
from marketplace_core.testing.contracts.parking import ParkingContract
from marketplace_core.testing.contracts.units import UnitsContract


@pytest.mark.behaviour("all-1")
class TestSqliteUnits(UnitsContract):
    one_writer = True


@pytest.mark.behaviour("events-1")
class TestSqliteOutbox(OutboxContract):
    pass


@pytest.mark.behaviour("events-2")
class TestSqliteParking(ParkingContract):
    pass
