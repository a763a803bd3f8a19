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
    hooks = sum("webhook" in " ".join(s.sql for s in each.statements) for each in bought.ours if each.writes)
    note = f"Vendure {OTHERS_COMMITS[0]}, Medusa {OTHERS_COMMITS[1]}; {hooks} of ours are the gateway's webhook"
    writes = [each for each in bought.ours if each.writes]
    lines.append(Line(name="writing commits of checkout", unit="", ours=[float(len(writes))], at_most=MOST_COMMITS, note=note))
    engine = [each for each in bought.engine if each.writes]
    note = f"{len(engine)} writing commits"
    lines.append(Line(name="statements of checkout, the engine's", unit="", ours=[float(count(bought.engine))], note=note))
    return lines


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
