"""As a program: a process that takes up a saga on DBOS, perhaps with a mistake of ``wrong_sagas``."""

from __future__ import annotations

import asyncio
import importlib
import sys

import pytest

from marketplace_core.adapters.dbos.engine import DbosSagas
from marketplace_core.testing.contracts.sagas_runner import take_up


async def main(dsn: str, redis: str, saga_id: str, mistake: str = "") -> None:
    if mistake:
        importlib.import_module("wrong_sagas").named(mistake)(pytest.MonkeyPatch())  # it lies beside this program
    await take_up(DbosSagas, dsn, redis, saga_id)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
