"""What must be true of a marketplace that has come to rest, whatever was done to its processes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from marketplace_core._runtime.assembly import Assembly, Process
from marketplace_core._runtime.serve import open_process
from marketplace_core.adapters.postgres import Database
from marketplace_core.deployment import load
from marketplace_core.deployment._kinds import address_of
from marketplace_core.events import Event, decode_envelope
from marketplace_core.ports import event_types, is_for, role_of
from tests.faults.fire.deployment import Standing
from tests.faults.fire.errands import Purchase
from tests.faults.fire.people import Offer, People
from tests.faults.fire.stores import Place, Seen, kept_in

__all__ = ["Truth", "check_applied", "check_charges", "check_numbers", "check_orders", "look"]


#: Of each (topic, key, writer): sequence and event, in order.
Events = dict[tuple[str, str, str], list[tuple[int, Any]]]


@dataclass
class Truth:
    """What was looked at: ``checked`` counts per invariant, ``broken`` says what does not hold.

    ``lost``, ``repeated`` and ``charged_twice`` are ids of what was.
    """

    standing: Standing
    checked: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    broken: list[str] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    repeated: set[str] = field(default_factory=set)
    charged_twice: set[str] = field(default_factory=set)
    _before: dict[Place, int] = field(default_factory=dict)

    @asynccontextmanager
    async def process(self) -> AsyncIterator[Process]:
        """The deployment from outside: its databases, and who subscribes to what."""
        deployment = load(self.standing.file)
        data = self.standing.data
        opened = open_process(
            Assembly.of(deployment),
            lambda name: address_of(deployment, data, name),
            b"no secret is needed to look",
            own=frozenset(),
        )
        async with opened as process:
            yield process

    async def begin(self) -> None:
        """From now on each database writes down what its handlers apply."""
        async with self.process() as process:
            for name in process.assembly.databases():
                kept = kept_in(process.resources.connection(name))
                await kept.watch()
                self._before.update(await kept.inbox())

    def check(self, invariant: str, good: bool, told: str) -> bool:
        self.checked[invariant] += 1
        if not good:
            self.broken.append(f"{invariant}: {told}")
        return good

    def before(self, place: Place) -> int:
        """The last event that a handler had applied when it all began."""
        return self._before.get(place, 0)


async def look(truth: Truth, people: People, offer: Offer, purchases: Sequence[Purchase]) -> None:
    """Everything, on a marketplace that is quiet."""
    accepted = {purchase.order: purchase for purchase in purchases if purchase.order is not None}
    orders = {order["id"]: order for order in await people.admin.items("/orders")}
    check_orders(truth, accepted, orders)
    check_numbers(truth, orders.values())
    operations = (await people.simulator("payments", "GET", "/ledger?limit=1000"))["items"]
    check_charges(truth, accepted, orders, operations)
    dead = await people.admin.items("/events/dead")
    truth.check("no event is parked", not dead, str(dead))
    sagas = await people.admin.items("/sagas")
    checkouts = [saga for saga in sagas if saga["name"] == "orders.checkout"]
    truth.check("one saga for each order", len(checkouts) == len(accepted), f"{len(checkouts)} for {len(accepted)} orders")
    for saga in sagas:
        truth.check("every saga has ended", saga["status"] in {"done", "refused"}, f"{saga['key']}: {saga['status']}")
    async with truth.process() as process:
        truths, database = process.assembly.truths, process.resources.database
        await _stock(truth, people, database(truths["catalog", "catalog"]), offer, accepted, orders)
        await _ledger(truth, database(truths["payments", "ledger"]), operations)
        await _events(truth, process)


LEFT = ("failed", "payments.action_expired")


def check_orders(truth: Truth, accepted: dict[str, Purchase], orders: dict[str, Any]) -> None:
    for id_ in orders.keys() - accepted.keys():
        truth.check("each request made one order", False, f"{id_} is nobody's")
        truth.repeated.add(id_)
    for id_, purchase in accepted.items():
        if not truth.check("every accepted order is there", id_ in orders, id_):
            truth.lost.add(id_)
            continue
        order = orders[id_]
        ended = (order["status"], order["failure"]["code"] if order["failure"] else None)
        good = ended == purchase.expected or (purchase.errand.scarce and ended == ("failed", "orders.out_of_stock"))
        # Who bought again before the time for the first was over has left that one to the second.
        good = good or (purchase.expected, ended) == (LEFT, ("failed", "orders.superseded"))
        if not truth.check("every order ends as it should", good, f"{id_}: {ended} and not {purchase.expected}"):
            truth.lost.add(id_)
        left = purchase.carts_left
        truth.check("what was bought has left the cart", left == 0, f"{id_}: {left} lines were there at confirmed")


def check_numbers(truth: Truth, orders: Iterable[Any]) -> None:
    numbers = sorted(int(order["number"]) for order in orders if order["number"] is not None)
    good = numbers == list(range(1, len(numbers) + 1))
    truth.check("numbers are consecutive from 1", good, str(numbers))


def check_charges(truth: Truth, accepted: dict[str, Purchase], orders: dict[str, Any], operations: Sequence[Any]) -> None:
    """The gateway's own book against what was ordered, cancelled and shipped."""
    found: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row in operations:
        found[row["reference"]][row["kind"]].append(row["amount"]["amount"])
    for reference in found.keys() - accepted.keys():
        truth.check("nothing is charged for what nobody ordered", False, f"{reference}: {dict(found[reference])}")
        truth.charged_twice.add(reference)
    for id_, purchase in accepted.items():
        kinds = found[id_]
        status = orders[id_]["status"] if id_ in orders else "absent"
        failure = orders[id_]["failure"] if id_ in orders else None
        never = failure is not None and (failure["code"].startswith("payments.") or not kinds["void"])
        good = kinds["authorize"] == ([] if never else [purchase.total])
        truth.check("one authorization for each", good, f"{id_} ({status}): {dict(kinds)}")
        captures = sorted((purchase.packages or {})[package] for package in purchase.shipped)
        good_captures = sorted(kinds["capture"]) == captures
        truth.check("captured is what was shipped", good_captures, f"{id_}: {dict(kinds)} and not {captures}")
        voids = [purchase.total] if status in {"failed", "cancelled"} and kinds["authorize"] else []
        truth.check("what is cancelled is given back", kinds["void"] == voids, f"{id_} ({status}): {dict(kinds)}")
        if len(kinds["authorize"]) > 1 or sum(kinds["capture"]) > purchase.total:
            truth.charged_twice.add(id_)


async def _stock(
    truth: Truth, people: People, database: Database, offer: Offer, accepted: dict[str, Purchase], orders: dict[str, Any]
) -> None:
    held: dict[str, int] = defaultdict(int)
    gone: dict[str, int] = defaultdict(int)
    for id_, purchase in accepted.items():
        status = orders[id_]["status"] if id_ in orders else "absent"
        if status not in {"failed", "cancelled"}:
            for variant, quantity in (purchase.bought or {}).items():
                (gone if purchase.shipped else held)[variant] += quantity
    told = {variant["id"]: variant["available"] for product in await _products(people) for variant in product["variants"]}
    for row in await database.fetch("SELECT id, on_hand, reserved, allocated FROM catalog.variants"):
        variant = row["id"]
        wanted = (offer.stock[variant] - gone[variant], 0, held[variant])
        stands = (row["on_hand"], row["reserved"], row["allocated"])
        truth.check("stock adds up", stands == wanted, f"{variant}: {stands} and not {wanted}")
        free = offer.stock[variant] - gone[variant] - held[variant]
        truth.check("shoppers are told the stock", told[variant] == free, f"{variant}: {told[variant]} and not {free}")


async def _products(people: People) -> list[Any]:
    buyer = people.person("buyer", "nobody@example.org")
    cards = await buyer.items("/products")
    return [await buyer.get(f"/products/{card['id']}") for card in cards]


async def _ledger(truth: Truth, database: Database, operations: Sequence[Any]) -> None:
    sums = await database.fetch(
        "SELECT set_id, currency, sum(amount)::bigint AS left_over FROM payments_ledger.ledger GROUP BY set_id, currency"
    )
    for row in sums:
        truth.check("each ledger set sums to zero", row["left_over"] == 0, str(row))
    captured: dict[str, int] = defaultdict(int)
    for row in operations:
        captured[row["reference"]] += {"capture": 1, "refund": -1}.get(row["kind"], 0) * row["amount"]["amount"]
    booked = await database.fetch(
        "SELECT s.order_id, (-sum(l.amount))::bigint AS amount FROM payments_ledger.ledger l"
        " JOIN payments_ledger.ledger_sets s ON s.id = l.set_id WHERE l.account = 'gateway' GROUP BY s.order_id"
    )
    ours = {row["order_id"]: row["amount"] for row in booked}
    theirs = {reference: amount for reference, amount in captured.items() if amount}
    truth.check("the ledger is equal to the gateway's", ours == theirs, f"{ours} and not {theirs}")


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────


async def _events(truth: Truth, process: Process) -> None:
    """Each aggregate's events are numbered from 1, and each handler applied those that are for it once and in order."""
    written: Events = defaultdict(list)
    servers = {name: kept_in(process.resources.connection(name)) for name in process.assembly.databases()}
    for name, kept in servers.items():
        writer = await kept.writer()
        for topic, key, sequence, payload in await kept.written():
            written[topic, key, writer].append((sequence, decode_envelope(payload, sequence).decode()))
        for topic, key, last in await kept.counted():
            sequences = [sequence for sequence, _ in written[topic, key, writer]]
            good = sequences == list(range(1, last + 1))
            truth.check("events are numbered from 1", good, f"{topic}:{key}: {sequences} of {last}")
        parked = await kept.parked()
        truth.check("no event is parked", not parked, f"{name}: {parked}")
    applied = {name: await kept.applied() for name, kept in servers.items()}
    for plugin, methods in process.routing.subscriptions.items():
        for method in methods:
            home = process.assembly.truths.get((plugin, role_of(method) or plugin))
            if home not in servers:
                continue  # what it keeps is a projection, which has its own suites
            check = check_applied if servers[home].whole else check_last
            check(truth, f"{plugin}.{method.__name__}", partial(_due, method), written, applied[home])


def _due(method: Callable[..., Any], event: Event) -> bool:
    return isinstance(event, event_types(method)) and is_for(method, event)


def check_applied(
    truth: Truth,
    handler: str,
    is_due: Callable[[Any], bool],
    written: Events,
    applied: Seen,
) -> None:
    for (topic, aggregate, writer), events in written.items():
        key = f"{topic}:{aggregate}"
        before = truth.before((handler, key, writer))
        due = [sequence for sequence, event in events if is_due(event) and sequence > before]
        got = applied.get((handler, key, writer), [])
        truth.check("each handler applied each event once, in order", got == due, f"{handler} {key}: {got} and not {due}")
        if set(due) - set(got):
            truth.lost.add(f"{handler} {key}")
        if len(set(got)) < len(got):
            truth.repeated.add(f"{handler} {key}")


def check_last(
    truth: Truth,
    handler: str,
    is_due: Callable[[Any], bool],
    written: Events,
    applied: Seen,
) -> None:
    """Where only the last event of each key is kept, that is the last of those that are for the handler."""
    for (topic, aggregate, writer), events in written.items():
        key = f"{topic}:{aggregate}"
        due = [sequence for sequence, event in events if is_due(event)]
        got = applied.get((handler, key, writer), [])
        if not truth.check("each handler has come to the last event", got == due[-1:], f"{handler} {key}: {got} of {due}"):
            truth.lost.add(f"{handler} {key}")
