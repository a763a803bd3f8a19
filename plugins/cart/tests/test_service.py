"""What this provider does beyond the suite of the capability, in one process and over the wire."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from marketplace_core import calls
from marketplace_core.calls import Call
from marketplace_core.capabilities.cart import CartOwner, CartView
from marketplace_core.errors import Invalid, NotFound
from marketplace_core.values import Caller, Money, new_id

pytestmark = pytest.mark.parametrize("runner", ["local", "wire"])

ADA = CartOwner(account_id="01890000-0000-7000-8000-00000000ada0")


def _problems(view: CartView) -> list[tuple[str, str]]:
    return [(problem.code, problem.variant_id) for problem in view.problems]


async def test_a_field_of_ours_is_no_variant(shop: Any, runner: str) -> None:
    bench = await shop(runner=runner)
    (pot,) = await bench.stock()
    await bench.add(ADA, pot)
    with pytest.raises(Invalid):
        await bench.add(ADA, "@currency")
    with pytest.raises(NotFound):
        await bench.cart.set_quantity(ADA, "@currency", 0)


@pytest.mark.behaviour("cart-1")
async def test_trouble_is_told_and_does_not_fail(shop: Any, runner: str) -> None:
    bench = await shop(runner=runner)
    (pot,), (cup,), (jug,) = await bench.stock(stock=3), await bench.stock(), await bench.stock(stock=0)
    assert _problems(await bench.add(ADA, pot, 5)) == [("out_of_stock", pot)]
    await bench.add(ADA, cup, 1)
    view = await bench.add(ADA, jug, 1)
    assert [problem.detail for problem in view.problems] == ["3 can be bought now.", "0 can be bought now."]
    assert view.subtotal == Money(6000, "EUR")

    await bench.set_price(cup, 1500)
    view = await bench.cart.get_cart(ADA)
    assert _problems(view) == [("out_of_stock", pot), ("price_changed", cup), ("out_of_stock", jug)]
    assert view.subtotal == Money(6500, "EUR")
    assert ("price_changed", cup) not in _problems(await bench.cart.get_cart(ADA))

    await bench.set_price(cup, 900)
    assert ("price_changed", cup) in _problems(await bench.add(ADA, pot, 1))
    view = await bench.cart.set_quantity(ADA, pot, 1)
    assert (_problems(view), view.subtotal) == ([("out_of_stock", jug)], Money(1900, "EUR"))


def _with_key(key: str) -> Any:
    return calls.scope(Call(caller=Caller(audience="buyer"), key=f"cart.add_item:{key}"))


@pytest.mark.behaviour("all-1")
@pytest.mark.parametrize("owner", [ADA, CartOwner()], ids=["account", "guest"])
async def test_one_key_adds_once(shop: Any, runner: str, owner: CartOwner) -> None:
    bench = await shop(runner=runner)
    (pot,) = await bench.stock()
    replays = 0

    async def add() -> CartView:
        nonlocal replays
        with _with_key("0123456789abcdef") as outcome:
            view: CartView = await bench.add(owner, pot, 2)
        replays += outcome.replayed
        return view

    views = await asyncio.gather(*(add() for _ in range(20)))
    assert all(view == views[0] for view in views) and views[0].quantity == 2
    assert replays == 19
    later = CartOwner(owner.account_id, views[0].token)
    await bench.add(later, pot, 1)
    await bench.set_price(pot, 5000)
    assert await add() == views[0]
    assert (await bench.cart.get_cart(later)).quantity == 3


@pytest.mark.behaviour("all-1")
async def test_a_refusal_is_kept_too(shop: Any, runner: str) -> None:
    bench = await shop(runner=runner)
    (pot,) = await bench.stock()
    missing = new_id()
    for number in range(2):
        with _with_key("set") as outcome, pytest.raises(NotFound):
            await bench.cart.set_quantity(ADA, pot, 1)
        assert outcome.replayed == bool(number) or runner == "wire"
        with _with_key("add"), pytest.raises(Invalid):
            await bench.add(ADA, missing)
        await bench.add(ADA, pot)
