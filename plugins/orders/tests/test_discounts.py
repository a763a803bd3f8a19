"""What price rules take off: merged in the deployment's order, never below 0, adding up; and what a rule that fails means."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marketplace_orders.checkout import PricedLine
from marketplace_orders.discounts import NoDiscount, PriceRules, take_off
from msgspec.structs import replace

from marketplace_core.capabilities.cart import AddItem, Cart, CartOwner
from marketplace_core.capabilities.catalog import SellerRef
from marketplace_core.capabilities.orders import CancelItem, Discount, Order, Pricing, QuoteRequest, ShipRequest
from marketplace_core.errors import Conflict, Unavailable
from marketplace_core.extensions import Extensions
from marketplace_core.testing.contracts.orders import PRICE, draft
from marketplace_core.values import Money, SystemClock, new_id, split_money

Rule = Callable[[Pricing], Awaitable[Mapping[str, Discount]]]


def eur(amount: int) -> Money:
    return Money(amount, "EUR")


def line(place: int, quantity: int, price: int) -> PricedLine:
    return PricedLine(place, f"v{place}", "s", "Kettle", quantity, eur(price), "p", None)


def off(*amounts: int, funded_by: Any = "platform") -> Discount:
    return Discount(label="Less", amounts=tuple(map(eur, amounts)), funded_by=funded_by)


# ── merging ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_rule_takes_what_the_ones_before_it_have_left() -> None:
    first, second = take_off([line(0, 2, 500), line(1, 1, 300)], {"a": off(700, 0), "b": off(700, 100), "c": off(5, 0)})
    assert [(one.code, one.amount.amount) for one in first.discounts] == [("a", 700), ("b", 300)]
    assert [(one.code, one.amount.amount) for one in second.discounts] == [("b", 100)]
    assert (first.total, second.total) == (eur(0), eur(200))


@given(
    st.lists(st.tuples(st.integers(1, 20), st.integers(1, 5000)), min_size=1, max_size=12),
    st.lists(st.integers(0, 30_000), max_size=5),
    st.data(),
)
def test_sums_add_up_and_nothing_is_negative(goods: list[tuple[int, int]], sums: list[int], data: st.DataObject) -> None:
    """Each rule splits its sum over the lines; whatever they take, each line, and so each sum of lines, is accounted for."""
    lines = [line(place, quantity, price) for place, (quantity, price) in enumerate(goods)]
    rules = {
        f"rule {n}": off(*(part.amount for part in split_money(eur(total), [one.subtotal.amount for one in lines])))
        for n, total in enumerate(sums)
    }
    rules = dict(data.draw(st.permutations(list(rules.items()))))
    priced = take_off(lines, rules)
    order = list(rules)
    for index, one in enumerate(priced):
        assert one.total == one.subtotal - one.discount
        assert 0 <= one.total.amount <= one.subtotal.amount
        left = one.subtotal.amount
        taken = {each.code: each.amount.amount for each in one.discounts}
        assert list(taken) == [code for code in order if code in taken], "in the deployment's order"
        for code in order:  # a rule gets less than it says only where nothing is left
            wanted = rules[code].amounts[index].amount
            assert taken.get(code, 0) == min(wanted, left)
            left -= taken.get(code, 0)
        assert left == one.total.amount
    whole = sum(one.subtotal.amount for one in priced)
    assert whole == sum(one.total.amount for one in priced) + sum(one.discount.amount for one in priced)
    if sum(sums) <= whole and len(sums) == 1:
        assert sum(one.discount.amount for one in priced) == sum(sums), "one rule's sum is split without a rest"


@pytest.mark.parametrize(
    ("rule", "cause"),
    [
        (off(1), "1 amounts for 2 lines"),
        (off(1, -1), "would raise a price"),
        (Discount(label="Less", amounts=(Money(1, "USD"), Money(1, "USD"))), "is in USD"),
        ([1, 2], "is a list"),
    ],
)
def test_what_is_no_discount_is_refused(rule: Any, cause: str) -> None:
    with pytest.raises(NoDiscount, match=f"'bad' .*{cause}"):
        take_off([line(0, 1, 100), line(1, 1, 100)], {"bad": rule})


# ── quotes and orders ────────────────────────────────────────────────────────────────────────────────────────


def ruled(bench: Any, *rules: Rule, seconds: float = 1.0) -> None:
    """Have these be the price rules of plugins ``a``, ``b``, … ."""
    named = [(name, rule) for name, rule in zip("abc", rules, strict=False)]
    bench.service._checkout._rules = PriceRules(Extensions({"price_rules": named}, seconds), bench.market.clock)


async def tenth(pricing: Pricing) -> Mapping[str, Discount]:
    amounts = split_money(Money(pricing.subtotal.amount // 10, pricing.currency), [x.subtotal.amount for x in pricing.lines])
    return {"tenth": Discount(label="A tenth off", amounts=tuple(amounts), funded_by="seller")}


async def broken(pricing: Pricing) -> Mapping[str, Discount]:
    raise ConnectionError("its database is away")


async def slow(pricing: Pricing) -> Mapping[str, Discount]:
    await asyncio.sleep(60)
    return {}


async def two_sellers(bench: Any) -> list[str]:
    other = SellerRef(new_id(), "Lamp")
    mine = await bench.stock(2)
    bench.seller = other
    return [*mine, *await bench.stock(1)]


@pytest.mark.behaviour("orders-1")
async def test_what_is_taken_off_is_frozen_and_adds_up(bench: Any) -> None:
    variants = await two_sellers(bench)
    ruled(bench, tenth)
    with pytest.raises(Conflict) as error:
        await bench.place(variants, units=3, key="list price")
    assert error.value.code == "cart.changed"
    whole = PRICE * 9
    placed = await bench.place(variants, units=3, total=whole - whole // 10)
    assert (placed.subtotal, placed.discount, placed.total) == (eur(whole), eur(904), eur(whole - 904))
    for name in ("subtotal", "discount", "total"):
        assert sum(getattr(package, name).amount for package in placed.packages) == getattr(placed, name).amount
        for package in placed.packages:
            assert sum(getattr(one, name).amount for one in package.items) == getattr(package, name).amount
    ruled(bench)
    order = await bench.now(placed)
    assert order.packages == placed.packages
    [shown] = order.packages[1].items[0].discounts
    assert (shown.code, shown.label, shown.funded_by, shown.amount) == ("tenth", "A tenth off", "seller", eur(301))


async def test_a_rule_sees_who_buys_what(bench: Any) -> None:
    seen: list[Pricing] = []

    async def look(pricing: Pricing) -> Mapping[str, Discount]:
        seen.append(pricing)
        return {}

    variants = await bench.stock(2)
    ruled(bench, look)
    await bench.place(variants, units=2)
    pricing = seen[0]
    assert (pricing.account_id, pricing.currency, pricing.subtotal) == (None, "EUR", eur(PRICE * 4))
    assert [(x.variant_id, x.seller_id, x.quantity, x.unit_price) for x in pricing.lines] == [
        (id_, bench.seller.id, 2, eur(PRICE)) for id_ in variants
    ]
    assert pricing.lines[0].product_id == pricing.lines[1].product_id


async def test_captures_and_cancellations_are_of_what_is_paid(bench: Any) -> None:
    variants = await bench.stock(1)
    ruled(bench, tenth)
    order: Order = await bench.confirmed(variants, units=3, total=PRICE * 3 - 301)
    [package] = order.packages
    await bench.orders.cancel(order.id, None, bench.service._token(order.id), [CancelItem(package.items[0].id, 1)], "")
    await bench.orders.ship(bench.seller.id, package.id, ShipRequest())
    [cancelled], [shipped] = await bench.events("orders.items_cancelled"), await bench.events("orders.package_shipped")
    assert cancelled["amount"]["amount"] + shipped["amount"]["amount"] == order.total.amount
    assert sum(part["total"]["amount"] for part in shipped["lines"]) == shipped["amount"]["amount"]
    assert shipped["subsidy"]["amount"] == shipped["remaining"]["amount"] == 0


async def test_what_is_free_is_not_paid(bench: Any) -> None:
    async def gift(pricing: Pricing) -> Mapping[str, Discount]:
        return {"gift": Discount(label="A gift", amounts=tuple(line.subtotal for line in pricing.lines))}

    ruled(bench, gift)
    placed = await bench.place(await bench.stock(1), total=0)
    assert (placed.total, placed.discount) == (eur(0), eur(PRICE))
    [told] = await bench.events("orders.placed")
    assert told["payment"] is None


@pytest.mark.parametrize("rules", [(broken,), (tenth, tenth), (tenth, slow)], ids=["broken", "collision", "slow"])
async def test_a_rule_that_fails_lets_nobody_pay_too_much(bench: Any, rules: tuple[Rule, ...]) -> None:
    variants = await bench.stock(1)
    ruled(bench, *rules, seconds=0.05)
    for _ in range(2):  # it is no refusal: nothing is stored under the key
        with pytest.raises(Unavailable):
            await bench.place(variants, key="once")
    ruled(bench, tenth)
    placed = await bench.place(variants, total=PRICE - 100)
    assert placed.total == eur(PRICE - 100)


async def test_two_plugins_with_one_code_are_both_named() -> None:
    rules = PriceRules(Extensions({"price_rules": [("a", tenth), ("b", tenth)]}, 1.0), SystemClock())
    with pytest.raises(Unavailable) as error:
        await rules.apply([line(0, 1, 100)], None)
    assert "'b'" in str(error.value.__cause__) and "the plugin 'a' too" in str(error.value.__cause__)


async def test_a_quote_shows_discounts_or_says_that_it_cannot(runner: str, marketplace: Any, bench_of: Any) -> None:
    bench = bench_of(await marketplace(["catalog", "cart", "orders", "orchestrator"], runner=runner, worker=False))
    [pot] = await bench.stock(1)
    owner = CartOwner(new_id())
    await bench.market.port(Cart).add_item(owner, AddItem(pot, 2))
    asked = QuoteRequest(owner=owner, country="DE")
    ruled(bench, tenth)
    quote = await bench.orders.quote(asked)
    assert (quote.subtotal, quote.discount, quote.total, quote.problems) == (eur(2 * PRICE), eur(201), eur(1809), [])
    [item] = quote.packages[0].items
    assert (item.discount, item.total, [one.label for one in item.discounts]) == (eur(201), eur(1809), ["A tenth off"])
    ruled(bench, tenth, broken)
    quote = await bench.orders.quote(asked)
    assert (quote.discount, quote.total) == (eur(0), eur(2 * PRICE))
    assert [(problem.code, problem.variant_id) for problem in quote.problems] == [("discounts_unknown", None)]
    request = replace(draft([], account_id=owner.account_id), lines=None, expected_total=quote.total)
    with pytest.raises(Unavailable):
        await bench.orders.place(request)
