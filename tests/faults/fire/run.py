"""One run: a deployment, its people, the load, the faults, and what is true afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.fire.client import Patient, Tally
from tests.faults.fire.deployment import OPTIONS, Standing, copied
from tests.faults.fire.errands import Errand, Purchase, deal, plain
from tests.faults.fire.injector import Fault, Injector
from tests.faults.fire.invariants import Truth, look
from tests.faults.fire.market import look_at_market
from tests.faults.fire.people import Offer, People, Shopping, open_shops

__all__ = ["Report", "under_fire"]

PRODUCTS = 6
SHOPPERS = 6
#: What an unanswered 3-D Secure is given, and some more, in seconds.
CHALLENGE_SECONDS = 16 * 60


@dataclass
class Report:
    """``recovered``: per fault, seconds from it to the end of the first checkout that was asked for after it and confirmed."""

    deployment: str
    seed: int
    purchases: list[Purchase]
    faults: list[Fault]
    tally: Tally
    seconds: float
    truth: Truth
    left_running: list[str] = field(default_factory=list)

    def recovered(self, fault: Fault) -> float:
        end = _recovered(fault, self.purchases)
        return end - fault.at if end is not None else float("inf")

    def alone(self, fault: Fault) -> bool:
        """Whether it had been got over before another struck, and struck itself when nothing else was wrong."""
        ends = fault.at + self.recovered(fault)
        return all(other is fault or other.at > ends or other.at + self.recovered(other) < fault.at for other in self.faults)

    def failed(self, fault: Fault) -> int:
        """Requests that failed after this fault and before the next."""
        following = [each.at for each in self.faults if each.at > fault.at]
        return sum(fault.at <= at < min(following, default=float("inf")) for at, _ in self.tally.failed)


def _recovered(fault: Fault, purchases: Sequence[Purchase]) -> float | None:
    ends = [p.confirmed_at for p in purchases if p.confirmed_at is not None and p.asked_at > fault.at]
    return min(ends, default=None)


async def under_fire(
    deployment: str,
    where: Path,
    *,
    seed: int,
    checkouts: int,
    kinds: Sequence[str] | Callable[[Standing], Sequence[str]],
    stopped_seconds: float,
    env: Mapping[str, str] | None = None,
    more: Callable[[str, float], Awaitable[str]] | None = None,
    in_turn: bool = False,
    shopping: Shopping | None = None,
) -> Report:
    """Run it in ``where`` and look what came of it. ``kinds`` may be of what runs; ``in_turn``: see :class:`Injector`.

    :raises NotAnswered: a client waited in vain.
    """
    chance = random.Random(seed)
    errands = deal(checkouts, PRODUCTS, chance)
    standing = Standing(copied(deployment, where), where / "data", env, OPTIONS.get(deployment, ()))
    async with _people(standing) as people:
        offer = await open_shops(people, PRODUCTS)
        await people.quiet()
        people.shopping = shopping or people.shopping
        strikes = kinds(standing) if callable(kinds) else kinds
        truth = Truth(standing)
        await truth.begin()
        people.tally.begin()
        injector = Injector(standing, strikes, checkouts, chance, stopped_seconds, more, in_turn=in_turn)
        began = time.monotonic()
        purchases = await _load(people, offer, errands, injector)
        seconds = time.monotonic() - began
        await people.quiet()
        await people.admin.expect("POST", "/clock", {"advance": CHALLENGE_SECONDS})
        await people.quiet()
        await look(truth, people, offer, purchases)
        await look_at_market(truth, people, offer, purchases)
        wrong = [cause for _, cause in people.tally.failed if cause.startswith("500")]
        truth.check("who is answered is told to come again, not of a mistake of ours", not wrong, str(wrong))
    left = await standing.stop()
    return Report(
        deployment, seed, purchases, injector.faults, people.tally, seconds, truth, [repr(process) for process in left]
    )


@contextlib.asynccontextmanager
async def _people(standing: Standing) -> AsyncIterator[People]:
    try:
        await standing.start()
        async with standing.session() as session:
            tally = Tally()
            email = await standing.account("admin")
            admin = Patient(session, standing.audiences["admin"], tally, email)
            await admin.log_in()
            yield People(session, standing, admin, tally)
    except BaseException:
        await standing.stop()
        raise


async def _load(people: People, offer: Offer, errands: Sequence[Errand], injector: Injector) -> list[Purchase]:
    """Everybody shops while the faults strike; what they ordered is cancelled or shipped beside.

    They go on until the last fault has struck and a whole checkout has been seen after it.
    """
    waiting, further = list(reversed(errands)), itertools.count(len(errands))
    purchases: list[Purchase] = []
    injector.recovered = lambda fault: _recovered(fault, purchases) is not None

    def settled() -> bool:
        return injector.over and all(injector.recovered(fault) for fault in injector.faults)

    async def shopper(number: int, afterwards: asyncio.TaskGroup) -> None:
        buyer = people.person("buyer", f"buyer{number}@example.org")
        await buyer.register(f"Buyer {number}")
        while waiting or not settled():
            errand = waiting.pop() if waiting else plain(next(further))
            injector.begun()
            purchase = await people.checkout(buyer, errand, offer)
            purchases.append(purchase)
            if purchase.confirmed_at is not None:
                afterwards.create_task(people.afterwards(buyer, purchase))

    async with asyncio.TaskGroup() as group:
        group.create_task(injector.run())
        for number in range(SHOPPERS):
            group.create_task(shopper(number, group))
    return purchases
