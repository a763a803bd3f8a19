"""The same figures on ``examples/split.toml`` as on one process for all: what it costs to run the services apart."""

from __future__ import annotations

import re
from pathlib import Path

from cart import ITEMS, guests
from checkout import confirmed
from figures import Bench, Line, figure, pairs
from load import post_script, wrk
from market import Market
from reads import paths

from marketplace_core._supervisor.ports import free_port

SPLIT = Path(__file__).parents[2] / "examples" / "split.toml"


@figure("split")
async def split(bench: Bench) -> list[Line]:
    """Reads, adding to a cart and checkouts on the split deployment; the floor is the same on the embedded one."""
    file = bench.folder / "split.toml"
    file.write_text(re.sub(r"127\.0\.0\.1:\d+", lambda _: f"127.0.0.1:{free_port()}", SPLIT.read_text()))
    orders = 40 if bench.quick else 200
    apart = Market(file)
    lines = []
    try:
        async with bench.started() as together:
            bench.say("starting the split deployment")
            await apart.start()
            for name, path in await paths(together):
                elsewhere = dict(await paths(apart))[name]
                bench.say(f"{name}, apart and together")

                async def read(market: Market, path: str) -> float:
                    return await wrk(market.address(path), bench.seconds, bench.folder)

                ours, floor = await pairs(
                    lambda elsewhere=elsewhere: read(apart, elsewhere),  # type: ignore[misc]
                    lambda path=path: read(together, path),  # type: ignore[misc]
                    bench.runs,
                )
                lines.append(Line(name=f"{name}, warm, split", unit="/s", ours=ours, floor=floor, at_least=0.5))
            bench.say("adding to carts, apart and together")
            ours, floor = await pairs(lambda: _add(bench, apart), lambda: _add(bench, together), bench.runs)
            lines.append(Line(name="add to cart, split", unit="/s", ours=ours, floor=floor, at_least=0.5))
            bench.say("checkouts, apart and together")
            ours, floor = await pairs(lambda: _orders(apart, orders), lambda: _orders(together, orders), bench.runs)
            lines.append(Line(name="confirmed orders, split", unit="/s", ours=ours, floor=floor, at_least=0.5))
    finally:
        await apart.close()
    return lines


async def _add(bench: Bench, market: Market) -> float:
    carts = await guests(market, 1)
    script = post_script([cart.request for cart in carts])
    return await wrk(market.address(ITEMS), bench.seconds, bench.folder, script=script)


async def _orders(market: Market, orders: int) -> float:
    return (await confirmed(market.audiences, orders))[0]
