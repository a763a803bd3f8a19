"""How many statements, and commits that write, an act costs once everything is warm."""

from __future__ import annotations

from collections.abc import Sequence

from cart import guests, watch_add
from figures import Bench, Line, figure
from floor import program
from market import Market
from purchase import checkouts, count
from reads import fetch, paths
from watch import SqlLog, Transaction, transactions

#: Vendure and Medusa, measured in the same way.
OTHERS = {"list of 20": (66, 14), "product page": (23, 24), "add to cart": (66, 130), "checkout": (271, 614)}
OTHERS_COMMITS = (9, 25)
MOST = {"list of 20": 2, "product page": 3, "add to cart": 2, "checkout": 45}
MOST_COMMITS = 8
MOST_ENGINE, MOST_ENGINE_COMMITS = 8, 3
#: An order is confirmed by the commit that takes the next number.
_CONFIRMS = "orders.series"


@figure("statements")
async def statements(bench: Bench) -> list[Line]:
    """Statements and writing commits: list, page, add, checkout until confirmed, outbox and inbox included."""
    lines = []
    async with bench.started() as market:
        bench.say("counting statements")
        async with program(bench.folder, "uncached", str(market.data)) as address:
            for name, path in await paths(market):
                uncached = await _read(market, address + path)
                cached = await _read(market, market.url + path)
                lines.append(_line(name, uncached, note=f"uncached; {count(cached)} out of the encoded reads"))
        added = await watch_add(market, (await guests(market, 1, 1))[0])
        lines.append(_line("add to cart", transactions(added.sql)))
        bought = await checkouts(market)
    lines.append(_line("checkout", bought.ours))
    writes = [each for each in bought.ours if each.writes]
    confirmed = 1 + next(n for n, each in enumerate(writes) if _speaks_of(each, _CONFIRMS))
    hooks = sum(_speaks_of(each, "payments.webhooks") for each in writes)
    note = (
        f"Vendure {OTHERS_COMMITS[0]}, Medusa {OTHERS_COMMITS[1]}; {len(writes)} until nothing more comes: what was relayed is"
        f" marked once for all that came meanwhile; {hooks} of ours is the gateway's webhook"
    )
    lines.append(Line(name="writing commits of checkout", unit="", ours=[float(confirmed)], at_most=MOST_COMMITS, note=note))
    engine = [each for each in bought.engine if each.writes]
    name = "statements of checkout, the engine's"
    lines.append(Line(name=name, unit="", ours=[float(count(bought.engine))], at_most=MOST_ENGINE))
    lines.append(Line(name="writing commits, the engine's", unit="", ours=[float(len(engine))], at_most=MOST_ENGINE_COMMITS))
    return lines


def _speaks_of(transaction: Transaction, table: str) -> bool:
    return any(table in statement.sql for statement in transaction.statements)


async def _read(market: Market, url: str) -> list[Transaction]:
    await fetch(url)
    with market.worker_stopped():
        async with SqlLog(market) as log:
            return transactions(await log.during(lambda: fetch(url)))


def _line(name: str, found: Sequence[Transaction], note: str = "") -> Line:
    vendure, medusa = OTHERS[name]
    beside = f"Vendure {vendure}, Medusa {medusa}"
    value = [float(count(found))]
    return Line(
        name=f"statements of {name}", unit="", ours=value, at_most=MOST[name], note="; ".join(filter(None, [beside, note]))
    )
