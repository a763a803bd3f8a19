"""A purchase as guests make it, and the statements of one."""

from __future__ import annotations

import asyncio
import re
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

from cart import guest
from market import ADDRESS, Market, variants
from msgspec import Struct
from watch import SqlLog, Statement, Transaction, transactions

from marketplace_core.testing.client import Client
from marketplace_core.values import new_id

__all__ = ["Basket", "Checkout", "checkouts", "fill", "place", "until_confirmed"]

ORDERS = 9
QUIET_SECONDS = 1.5
POLL_SECONDS = 0.05
PATIENCE = 60.0
_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_GATEWAY_ID = re.compile(r"\b[a-z]{2,4}_[0-9a-f]{24}\b")
_ORDER_NUMBER = re.compile(r'(?<="number":)"\d+"')
_ENGINE = re.compile(r"\bdbos\.").search
_OUTBOX_READ = "FROM marketplace.outbox WHERE relayed_at IS NULL"
_OUTBOX_FILL = "INSERT INTO marketplace.outbox"


class Basket(Struct, frozen=True):
    """A guest's cart that is ready to be ordered: what to send, by which token."""

    token: str
    variant: str
    body: dict[str, Any]


async def fill(client: Client, count: int) -> list[Basket]:
    """Carts of one line each, over all the products that are for sale, with what they cost."""
    ids = await variants(client, 1000)
    return [await _basket(client, ids[n % len(ids)]) for n in range(count)]


async def _basket(client: Client, variant_id: str) -> Basket:
    cart = await guest(client, [variant_id])
    quote = await client.post("/checkout/quote", {"address": ADDRESS})
    body = {
        "address": ADDRESS,
        "email": "guest@example.org",
        "shipping": {package["seller_id"]: package["selected"] for package in quote["packages"]},
        "payment": {"method": "card", "token": "tok_ok", "return_url": "https://shop.example/return"},
        "expected_total": quote["total"],
    }
    return Basket(cart.token, variant_id, body)


async def place(client: Client, basket: Basket) -> Any:
    headers = {"X-Cart-Token": basket.token, "Idempotency-Key": new_id()}
    answer = await client.send("POST", "/orders", basket.body, headers=headers)
    if answer.status != 202:
        raise RuntimeError(f"an order was not taken: {answer.status} {answer.body}")
    return answer.body


async def until_confirmed(client: Client, order: Any) -> None:
    headers = {"X-Order-Token": order["token"]}
    async with asyncio.timeout(PATIENCE):
        while True:
            status = (await client.send("GET", f"/orders/{order['id']}", headers=headers)).body["status"]
            if status != "pending":
                break
            await asyncio.sleep(POLL_SECONDS)
    if status != "confirmed":
        raise RuntimeError(f"an order is {status}")


# ── its statements ───────────────────────────────────────────────────────────────────────────────────────────


class Checkout(Struct, frozen=True):
    """What one checkout sent to PostgreSQL, from POST until nothing more came. ``fresh``: ids that it has made."""

    variant: str
    fresh: list[str]
    ours: list[Transaction]
    engine: list[Transaction]

    @property
    def everything(self) -> list[Transaction]:
        return self.ours + self.engine


def count(found: Sequence[Transaction]) -> int:
    return sum(transaction.count for transaction in found)


async def checkouts(market: Market) -> Checkout:
    """The one with the median number of statements, of several; without what the marketplace asks when nothing happens."""
    async with market.client() as client:
        for basket in await fill(client, 5):
            await until_confirmed(client, await place(client, basket))
        baskets = await fill(client, ORDERS)
        async with SqlLog(market) as log:
            idle = {_shape(statement.sql) for statement in await log.during(lambda: asyncio.sleep(5))}
            seen = []
            for basket in baskets:
                since = new_id()
                found = await log.during(lambda basket=basket: place(client, basket), QUIET_SECONDS)  # type: ignore[misc]
                seen.append((basket, since, found))
    # A schedule that falls into a few of them is not theirs.
    common = Counter(shape for _, _, found in seen for shape in {_shape(statement.sql) for statement in found})
    noise = idle | {shape for shape, times in common.items() if times <= ORDERS // 2}
    taken = [_checkout(basket, since, found, noise) for basket, since, found in seen]
    middle = statistics.median_low(count(each.everything) for each in taken)
    return next(each for each in taken if count(each.everything) == middle)


def _checkout(basket: Basket, since: str, found: Sequence[Statement], noise: set[str]) -> Checkout:
    kept = [each for each in transactions(_without_polls(found)) if _genuine(each, noise)]
    texts = " ".join(param or "" for each in kept for statement in each.statements for param in statement.params)
    ids = {id_ for id_ in _UUID.findall(texts) if id_ > since} | set(_GATEWAY_ID.findall(texts))
    ids |= set(_ORDER_NUMBER.findall(texts))
    return Checkout(
        basket.variant,
        sorted(ids),
        [each for each in kept if not _engines(each)],
        [each for each in kept if _engines(each)],
    )


def _engines(transaction: Transaction) -> bool:
    return any(_ENGINE(statement.sql) for statement in transaction.statements)


def _genuine(transaction: Transaction, noise: set[str]) -> bool:
    shapes = {_shape(statement.sql) for statement in transaction.statements}
    return not shapes <= noise or any(_OUTBOX_READ in shape for shape in shapes)


def _without_polls(found: Sequence[Statement]) -> list[Statement]:
    """Without reads of the outbox before which nothing was put into it."""
    kept: list[Statement] = []
    filled = False
    for statement in found:
        if _OUTBOX_READ in statement.sql:
            if not filled:
                continue
            filled = False
        filled = filled or _OUTBOX_FILL in statement.sql
        kept.append(statement)
    return kept


def _shape(sql: str) -> str:
    return " ".join(sql.split())
