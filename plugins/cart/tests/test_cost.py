"""What a request costs beside its answer: the same for a cart of one line and for one of sixty."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio.connection import AbstractConnection

from marketplace_core import calls
from marketplace_core.adapters.postgres import Connection
from marketplace_core.calls import Call
from marketplace_core.capabilities.cart import AddItem, CartOwner
from marketplace_core.values import new_id


class Trips:
    """What has been sent to Redis, and the statements to PostgreSQL, since the last look."""

    def __init__(self) -> None:
        self.redis = 0
        self.sql = 0

    def taken(self) -> tuple[int, int]:
        seen = self.redis, self.sql
        self.redis = self.sql = 0
        return seen


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> Trips:
    counts = Trips()
    send = AbstractConnection.send_packed_command

    async def sent(self: Any, *args: Any, **kwargs: Any) -> Any:
        counts.redis += 1
        return await send(self, *args, **kwargs)

    monkeypatch.setattr(AbstractConnection, "send_packed_command", sent)
    for name in ("fetch", "execute"):
        monkeypatch.setattr(Connection, name, _counted(counts, getattr(Connection, name)))
    return counts


def _counted(counts: Trips, real: Any) -> Any:
    async def run(self: Connection, sql: str, *params: Any) -> Any:
        counts.sql += 1
        return await real(self, sql, *params)

    return run


@pytest.mark.behaviour("cart-3")
@pytest.mark.parametrize("keyed", [False, True])
async def test_the_sixtieth_line_costs_what_the_first_did(shop: Any, trips: Trips, keyed: bool) -> None:
    bench = await shop()
    variants = await bench.stock(60)
    owner = CartOwner(new_id())
    await bench.add(owner, variants[0])  # the server is given its scripts
    await bench.cart.get_cart(owner)
    await bench.cart.set_quantity(owner, variants[0], 0)
    costs = []
    for number, variant_id in enumerate(variants):
        trips.taken()
        with calls.scope(Call(key=f"cart.add_item:{number}" if keyed else None)):
            view = await bench.cart.add_item(owner, AddItem(variant_id, 1))
        assert len(view.items) == number + 1
        costs.append(trips.taken())
    assert set(costs) == {(2, 1)}
    await bench.cart.get_cart(owner)
    assert trips.taken() == (1, 1)
    await bench.cart.set_quantity(owner, variants[0], 3)
    assert trips.taken() == (2, 1)
    await bench.cart.get_lines(owner)
    assert trips.taken() == (1, 0)
    await bench.cart.get_cart(CartOwner())
    assert trips.taken() == (1, 0)


async def test_a_repeat_asks_nobody_but_the_store(shop: Any, trips: Trips) -> None:
    bench = await shop()
    (pot,) = await bench.stock()
    owner = CartOwner(new_id())
    for _ in range(2):
        trips.taken()
        with calls.scope(Call(key="cart.add_item:one")):
            await bench.add(owner, pot)
    assert trips.taken() == (1, 0)
