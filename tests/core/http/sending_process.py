"""A worker that sends webhooks, for who kills it: ``python sending_process.py DSN``."""

from __future__ import annotations

import asyncio
import sys

from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres.units import PostgresUnits
from marketplace_core.adapters.postgres.webhooks_out import PostgresWebhookOutbox
from marketplace_core.http.egress import Egress
from marketplace_core.http.sending import WebhookSender
from marketplace_core.values import SystemClock


async def main(dsn: str) -> None:
    database, clock = Database(dsn), SystemClock()
    units = PostgresUnits(database, clock, "contract")
    outbox = PostgresWebhookOutbox(database, clock, "contract")
    await WebhookSender(units, outbox, Egress("test", private=True), [bytes(range(32))], clock).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
