"""What a cart does, in one process and over the wire."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from marketplace_core import calls
from marketplace_core.calls import Call
from marketplace_core.capabilities.cart import CartOwner, CartView
from marketplace_core.capabilities.catalog import LineRequest
from marketplace_core.errors import Invalid, MarketplaceError, NotFound, PreconditionFailed, Refused
from marketplace_core.values import Caller, Money, etag, new_id

pytestmark = pytest.mark.parametrize("runner", ["local", "wire"])

ADA = CartOwner(account_id="01890000-0000-7000-8000-00000000ada0")


def _quantities(view: CartView) -> dict[str, int]:
    return {item.variant_id: item.quantity for item in view.items}


def _problems(view: CartView) -> list[tuple[str, str]]:
    return [(problem.code, problem.variant_id) for problem in view.problems]


@pytest.mark.behaviour("cart-1")
async def test_equal_variants_merge_and_sums_are_of_current_prices(shop: Any, runner: str) -> None:
    bench = await shop(runner=runner)
    pot, cup = await bench.stock(2)
    await bench.add(ADA, cup, 1)
    await bench.add(ADA, pot, 2)
    view = await bench.add(ADA, cup, 2)
    assert view.token is None
    assert list(_quantities(view).items()) == [(cup, 3), (pot, 2)]
    assert (view.quantity, view.subtotal, view.problems) == (5, Money(5000, "EUR"), [])
    item = view.items[0]
    assert (item.seller_id, item.title, item.options) == (bench.seller.id, "Tea pot", {"size": "1"})
    assert (item.unit_price, item.line_total, item.available) == (Money(1000, "EUR"), Money(3000, "EUR"), 100_000)
    assert await bench.cart.get_cart(ADA) == view


@pytest.mark.behaviour("cart-1")
async def test_a_quantity_is_set_and_none_removes(shop: Any, runner: str) -> None:
    bench = await shop(runner=runner)
    pot, cup = await bench.stock(2)
    await bench.add(ADA, pot, 2)
    await bench.add(ADA, cup, 2)
    assert _quantities(await bench.cart.set_quantity(ADA, pot, 7)) == {pot: 7, cup: 2}
    assert _quantities(await bench.cart.set_quantity(ADA, pot, 0)) == {cup: 2}
    with pytest.raises(NotFound):
        await bench.cart.set_quantity(ADA, pot, 1)
    with pytest.raises(NotFound):
        await bench.cart.set_quantity(ADA, "@currency", 0)
    with pytest.raises(NotFound):
        await bench.cart.set_quantity(CartOwner(token="unknown"), pot, 1)
    empty = await bench.cart.set_quantity(ADA, cup, 0)
    assert (empty.items, empty.quantity, empty.subtotal) == ([], 0, Money(0, "EUR"))


@pytest.mark.behaviour("cart-1")
async def test_limits(shop: Any, runner: str) -> None:
    bench = await shop(runner=runner, settings={"cart": "line_limit = 2\nquantity_limit = 5"})
    pot, cup, jug = await bench.stock(3)
    await bench.add(ADA, pot, 5)
    await bench.add(ADA, cup, 1)
    for act, code in (
        (bench.add(ADA, jug), "cart.line_limit"),
        (bench.add(ADA, pot), "cart.quantity_limit"),
        (bench.cart.set_quantity(ADA, cup, 6), "cart.quantity_limit"),
    ):
        with pytest.raises(Refused) as refused:
            await act
        assert (refused.value.code, refused.value.status) == (code, 422)
    assert _quantities(await bench.cart.get_cart(ADA)) == {pot: 5, cup: 1}


async def test_a_cart_has_one_currency_until_it_is_empty(shop: Any, runner: str) -> None:
    bench = await shop(runner=runner)
    (pot,), (cup,) = await bench.stock(), await bench.stock(currency="USD")
    await bench.add(ADA, pot)
    with pytest.raises(Refused) as refused:
        await bench.add(ADA, cup)
    assert refused.value.code == "cart.currency_mismatch"
    await bench.cart.set_quantity(ADA, pot, 0)
    assert (await bench.add(ADA, cup)).subtotal == Money(1000, "USD")


async def test_what_is_not_for_sale_cannot_be_added(shop: Any, runner: str) -> None:
    bench = await shop(runner=runner)
    (pot,) = await bench.stock()
    await bench.catalog.archive_product(bench.seller.id, bench.products[pot])
    for variant_id in (pot, new_id(), "@currency"):
        with pytest.raises(Invalid) as invalid:
            await bench.add(ADA, variant_id)
        assert [(error.pointer, error.code) for error in invalid.value.errors] == [("/variant_id", "not_found")]


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


@pytest.mark.behaviour("cart-1")
async def test_a_line_outlives_its_variant(shop: Any, runner: str) -> None:
    bench = await shop(runner=runner)
    (pot,), (cup,) = await bench.stock(), await bench.stock()
    await bench.add(ADA, pot, 2)
    await bench.add(ADA, cup, 1)
    await bench.catalog.archive_product(bench.seller.id, bench.products[pot])
    archived = await bench.cart.get_cart(ADA)
    await bench.catalog.delete_product(bench.seller.id, bench.products[pot], None)
    deleted = await bench.cart.get_cart(ADA)
    assert archived == deleted
    assert (deleted.items[0].title, deleted.items[0].unit_price) == ("Tea pot", Money(1000, "EUR"))
    assert (deleted.items[0].available, deleted.quantity, deleted.subtotal) == (0, 3, Money(1000, "EUR"))
    assert _problems(deleted) == [("unavailable", pot)]
    assert _quantities(await bench.cart.set_quantity(ADA, pot, 0)) == {cup: 1}


async def test_a_line_whose_variant_changed_currency_cannot_be_bought(shop: Any, runner: str) -> None:
    bench = await shop(runner=runner)
    (pot,) = await bench.stock()
    await bench.add(ADA, pot, 2)
    await bench.set_price(pot, 1200, "USD")
    view = await bench.cart.get_cart(ADA)
    assert (_problems(view), view.subtotal) == ([("unavailable", pot)], Money(0, "EUR"))


# ── guests ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.behaviour("cart-2")
async def test_a_guest_is_known_by_a_token_of_ours(shop: Any, runner: str) -> None:
    bench = await shop(runner=runner)
    (pot,) = await bench.stock()
    first = await bench.cart.get_cart(CartOwner())
    guest = CartOwner(token=first.token)
    added = await bench.add(guest, pot)
    assert (added.id, added.token, added.quantity) == (first.id, first.token, 1)
    stranger = await bench.add(CartOwner(), pot, 2)
    assert stranger.id != first.id and stranger.quantity == 2
    forged = str(first.token)[:-1] + ("A" if str(first.token)[-1] != "A" else "B")
    for token in ("made-up", first.id, forged, ""):
        view = await bench.cart.get_cart(CartOwner(token=token))
        assert view.items == [] and view.id != first.id and view.token not in {token, first.token}
    assert (await bench.cart.get_cart(guest)).items == added.items


@pytest.mark.behaviour("cart-2")
async def test_merging_adds_up_and_the_token_is_dead(shop: Any, runner: str) -> None:
    bench = await shop(runner=runner, settings={"cart": "line_limit = 3\nquantity_limit = 5"})
    pot, cup, jug, pan = await bench.stock(4)
    await bench.add(ADA, pot, 4)
    view = await bench.add(CartOwner(), jug)
    guest = CartOwner(token=view.token)
    await bench.add(guest, pan, 3)
    await bench.add(guest, pot, 3)
    await bench.cart.merge(str(guest.token), str(ADA.account_id))
    merged = await bench.cart.get_cart(ADA)
    assert list(_quantities(merged).items()) == [(pot, 5), (jug, 1), (pan, 3)]
    with pytest.raises(Refused):
        await bench.add(ADA, cup)
    await bench.cart.merge(str(guest.token), str(ADA.account_id))
    assert await bench.cart.get_cart(ADA) == merged

    dead = await bench.cart.get_cart(guest)
    assert dead.items == [] and dead.token != guest.token and dead.id not in {view.id, ADA.account_id}
    again = await bench.add(guest, cup, 2)
    assert (_quantities(again), again.token == guest.token) == ({cup: 2}, False)
    assert _quantities(await bench.cart.get_cart(ADA)) == _quantities(merged)
    await bench.cart.merge(str(guest.token), "01890000-0000-7000-8000-0000000e7e00")
    assert (await bench.cart.get_cart(CartOwner("01890000-0000-7000-8000-0000000e7e00"))).items == []


@pytest.mark.behaviour("cart-2")
async def test_merging_leaves_the_currency_of_the_account(shop: Any, runner: str) -> None:
    bench = await shop(runner=runner)
    (pot,), (cup,) = await bench.stock(), await bench.stock(currency="USD")
    guest = await bench.add(CartOwner(), cup)
    await bench.add(ADA, pot)
    await bench.cart.merge(guest.token, ADA.account_id)
    assert _quantities(await bench.cart.get_cart(ADA)) == {pot: 1}
    other = await bench.add(CartOwner(), cup, 2)
    await bench.cart.merge(other.token, "01890000-0000-7000-8000-0000000e7e00")
    taken = await bench.cart.get_cart(CartOwner("01890000-0000-7000-8000-0000000e7e00"))
    assert (_quantities(taken), taken.subtotal) == ({cup: 2}, Money(2000, "USD"))
    await bench.cart.merge("nonsense", ADA.account_id)


@pytest.mark.behaviour("cart-2")
async def test_nothing_is_lost_between_merging_and_adding(shop: Any, runner: str) -> None:
    bench = await shop(runner=runner)
    (pot,) = await bench.stock()
    for _ in range(10):
        account = CartOwner(new_id())
        guest = await bench.add(CartOwner(), pot, 3)
        added = [bench.add(CartOwner(token=guest.token), pot) for _ in range(3)]
        own = [bench.add(account, pot) for _ in range(3)]
        views = await asyncio.gather(*added, bench.cart.merge(guest.token, account.account_id), *own)
        elsewhere = sum(view.quantity for view in views[:3] if view.id != guest.id)
        assert (await bench.cart.get_cart(account)).quantity + elsewhere == 9


# ── for orders ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_bought_leaves_once(shop: Any, runner: str) -> None:
    bench = await shop(runner=runner)
    pot, cup = await bench.stock(2)
    assert await bench.cart.get_lines(ADA) is None
    await bench.add(ADA, cup, 2)
    await bench.add(ADA, pot, 1)
    lines = await bench.cart.get_lines(ADA)
    assert lines.lines == [LineRequest(cup, 2), LineRequest(pot, 1)]
    await bench.add(ADA, cup, 5)
    for _ in range(2):
        await bench.cart.remove_bought(lines.cart_id, "order-1", [*lines.lines, LineRequest(new_id(), 1)])
        assert _quantities(await bench.cart.get_cart(ADA)) == {cup: 5}
    await bench.cart.remove_bought(lines.cart_id, "order-2", [LineRequest(cup, 9)])
    assert (await bench.cart.get_cart(ADA)).items == []
    await bench.cart.remove_bought(lines.cart_id, "order-3", [LineRequest(cup, 1)])


async def test_what_a_guest_bought_leaves_the_account_that_took_the_cart(shop: Any, runner: str) -> None:
    bench = await shop(runner=runner)
    pot, cup = await bench.stock(2)
    guest = await bench.add(CartOwner(), pot, 2)
    lines = await bench.cart.get_lines(CartOwner(token=guest.token))
    await bench.add(ADA, cup)
    await bench.cart.merge(guest.token, ADA.account_id)
    await bench.cart.remove_bought(lines.cart_id, "order-1", lines.lines)
    assert _quantities(await bench.cart.get_cart(ADA)) == {cup: 1}
    assert await bench.cart.get_lines(CartOwner(token=guest.token)) is None


# ── once ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _with_key(key: str) -> Any:
    return calls.scope(Call(caller=Caller(audience="buyer"), key=f"cart.add_item:{key}"))


@pytest.mark.behaviour("cart-1")
async def test_parallel_adds_add_up(shop: Any, runner: str) -> None:
    bench = await shop(runner=runner)
    (pot,) = await bench.stock()
    await asyncio.gather(*(bench.add(ADA, pot, 2) for _ in range(50)))
    assert _quantities(await bench.cart.get_cart(ADA)) == {pot: 100}


async def test_parallel_adds_of_different_variants_keep_the_line_limit(shop: Any, runner: str) -> None:
    bench = await shop(runner=runner, settings={"cart": "line_limit = 10"})
    variants = await bench.stock(20)
    answers = await asyncio.gather(*(bench.add(ADA, variant_id) for variant_id in variants), return_exceptions=True)
    assert sum(isinstance(answer, Refused) for answer in answers) == 10
    assert all(len(answer.items) <= 10 for answer in answers if isinstance(answer, CartView))
    assert (await bench.cart.get_cart(ADA)).quantity == 10


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
async def test_a_key_is_for_one_request(shop: Any, runner: str) -> None:
    bench = await shop(runner=runner)
    pot, cup = await bench.stock(2)
    with _with_key("one"):
        await bench.add(ADA, pot)
    for act in (bench.add(ADA, pot, 2), bench.add(ADA, cup)):
        with _with_key("one"), pytest.raises(MarketplaceError) as reused:
            await act
        assert reused.value.code == "idempotency_key_reused"
    with _with_key("one"):
        assert (await bench.add(CartOwner(new_id()), cup)).quantity == 1
    assert (await bench.cart.get_cart(ADA)).quantity == 1


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


@pytest.mark.behaviour("cart-2")
async def test_guests_who_choose_the_same_simple_key_do_not_meet(shop: Any, runner: str) -> None:
    bench = await shop(runner="local")
    (pot,) = await bench.stock()
    for owner in (CartOwner(), CartOwner(token="undefined")):
        with _with_key("1"):
            ours = await bench.add(owner, pot)
        with _with_key("1"):
            theirs = await bench.add(owner, pot)
        assert ours.id != theirs.id and ours.token != theirs.token
    owner = CartOwner(token=ours.token)
    for _ in range(2):
        with _with_key("1"):
            assert (await bench.add(owner, pot)).quantity == 2


async def test_if_match_is_the_carts_tag(shop: Any, runner: str) -> None:
    bench = await shop(runner=runner)
    (pot,) = await bench.stock()
    await bench.add(ADA, pot)
    tag = etag(await bench.cart.get_cart(ADA))
    assert (await bench.cart.set_quantity(ADA, pot, 2, tag)).quantity == 2
    with pytest.raises(PreconditionFailed):
        await bench.cart.set_quantity(ADA, pot, 3, tag)
    assert (await bench.cart.set_quantity(ADA, pot, 4, "*")).quantity == 4
    tag = etag(await bench.cart.get_cart(ADA))
    answers = await asyncio.gather(*(bench.cart.set_quantity(ADA, pot, 10 + n, tag) for n in range(5)), return_exceptions=True)
    assert sum(isinstance(answer, CartView) for answer in answers) == 1
    assert sum(isinstance(answer, PreconditionFailed) for answer in answers) == 4
