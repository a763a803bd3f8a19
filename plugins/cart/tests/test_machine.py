"""Any sequence of acts on carts, against a plain model of what a cart is."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, rule
from marketplace_cart.config import CartConfig
from marketplace_cart.service import CartService
from marketplace_cart.stores.redis import RedisCartStore

from marketplace_core.adapters.redis.server import connect
from marketplace_core.adapters.redis.units import RedisUnits
from marketplace_core.capabilities.cart import AddItem, CartOwner, CartView
from marketplace_core.capabilities.catalog import Catalog, LineRequest
from marketplace_core.errors import Invalid, NotFound, Refused
from marketplace_core.testing.machines import Machine, run_machine
from marketplace_core.values import SystemClock

LINES, UNITS = 3, 10
EUR, USD = 4, 2

Cart = dict[int, int]
"""Quantities by variant, in the order in which they were added."""


def _currency(variant: int) -> str:
    return "EUR" if variant < EUR else "USD"


def _mixed(cart: Cart, variant: int) -> bool:
    return bool(cart) and _currency(next(iter(cart))) != _currency(variant)


class Model:
    """``guests`` by number; None: merged."""

    def __init__(self) -> None:
        self.accounts: dict[str, Cart] = {"a": {}, "b": {}}
        self.guests: list[Cart | None] = []
        self.moved: dict[int, str] = {}
        self.orders: set[int] = set()

    def add(self, cart: Cart, variant: int, quantity: int) -> str | None:
        if variant >= EUR + USD:
            return "validation"
        if _mixed(cart, variant):
            return "cart.currency_mismatch"
        if variant not in cart and len(cart) == LINES:
            return "cart.line_limit"
        if cart.get(variant, 0) + quantity > UNITS:
            return "cart.quantity_limit"
        cart[variant] = cart.get(variant, 0) + quantity
        return None

    def set(self, cart: Cart, variant: int, quantity: int) -> str | None:
        if variant not in cart:
            return "http.not_found"
        if quantity > UNITS:
            return "cart.quantity_limit"
        cart[variant] = quantity
        if quantity == 0:
            del cart[variant]
        return None

    def merge(self, guest: int, account: str) -> None:
        source, target = self.guests[guest], self.accounts[account]
        if source is None:
            return
        self.guests[guest], self.moved[guest] = None, account
        if not source or _mixed(target, next(iter(source))):
            return
        for variant, quantity in source.items():
            if variant in target or len(target) < LINES:
                target[variant] = min(target.get(variant, 0) + quantity, UNITS)

    def remove_bought(self, cart: Cart, order: int, lines: list[tuple[int, int]]) -> None:
        if order in self.orders:
            return
        self.orders.add(order)
        for variant, quantity in lines:
            if variant in cart:
                cart[variant] -= quantity
                if cart[variant] <= 0:
                    del cart[variant]


class CartMachine(Machine):
    """Each run on a service of its own and an empty store."""

    redis: ClassVar[Any]
    catalog: ClassVar[Catalog]
    variants: ClassVar[list[str]]

    guests = Bundle("guests")
    variant = st.integers(0, EUR + USD)
    account = st.sampled_from(["a", "b"])
    units = st.integers(1, UNITS + 1)

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.run(self.redis.flushdb())
        config = CartConfig(line_limit=LINES, quantity_limit=UNITS)
        store = RedisCartStore(RedisUnits(self.redis, SystemClock(), "cart"), config)
        self.service = CartService(store, self.catalog, config, str, currency="EUR", token_keys=[b"k" * 32])
        self.ids: list[str] = []
        self.tokens: list[str] = []

    def _do(self, act: Awaitable[CartView]) -> str | None:
        try:
            self.last: CartView = self.run(act)
        except (Refused, NotFound, Invalid) as error:
            return error.code
        return None

    def _check(self, view: CartView, cart: Cart) -> None:
        assert [(item.variant_id, item.quantity) for item in view.items] == [
            (self.variants[variant], quantity) for variant, quantity in cart.items()
        ]
        assert view.quantity == sum(cart.values()) and view.problems == []
        assert view.subtotal.amount == 1000 * view.quantity
        assert view.subtotal.currency == (_currency(next(iter(cart))) if cart else "EUR")

    def _guest(self, number: int) -> tuple[CartOwner, Cart]:
        """A merged guest's token is worth a new cart."""
        cart = self.model.guests[number]
        return CartOwner(token=self.tokens[number]), {} if cart is None else cart

    @rule(target=guests)
    def arrive(self) -> int:
        view = self.run(self.service.get_cart(CartOwner()))
        self._check(view, {})
        assert view.id not in self.ids and view.token not in self.tokens
        self.ids.append(view.id)
        self.tokens.append(view.token)
        self.model.guests.append({})
        return len(self.tokens) - 1

    @rule(account=account, variant=variant, quantity=units)
    def add(self, account: str, variant: int, quantity: int) -> None:
        cart = self.model.accounts[account]
        expected = self.model.add(cart, variant, quantity)
        assert self._do(self.service.add_item(CartOwner(account), AddItem(self.variants[variant], quantity))) == expected
        if expected is None:
            self._check(self.last, cart)

    @rule(guest=guests, variant=variant, quantity=units)
    def add_as_guest(self, guest: int, variant: int, quantity: int) -> None:
        owner, cart = self._guest(guest)
        expected = self.model.add(cart, variant, quantity)
        assert self._do(self.service.add_item(owner, AddItem(self.variants[variant], quantity))) == expected
        if expected is None:
            self._check(self.last, cart)
            assert (self.last.token == owner.token) == (self.model.guests[guest] is not None)

    @rule(account=account, variant=variant, quantity=st.integers(0, UNITS + 1))
    def set(self, account: str, variant: int, quantity: int) -> None:
        cart = self.model.accounts[account]
        expected = self.model.set(cart, variant, quantity)
        assert self._do(self.service.set_quantity(CartOwner(account), self.variants[variant], quantity)) == expected
        if expected is None:
            self._check(self.last, cart)

    @rule(guest=guests, variant=variant, quantity=st.integers(0, UNITS + 1))
    def set_as_guest(self, guest: int, variant: int, quantity: int) -> None:
        owner, cart = self._guest(guest)
        expected = self.model.set(cart, variant, quantity)
        assert self._do(self.service.set_quantity(owner, self.variants[variant], quantity)) == expected

    @rule(guest=guests, account=account)
    def merge(self, guest: int, account: str) -> None:
        self.model.merge(guest, account)
        self.run(self.service.merge(self.tokens[guest], account))

    @rule(account=account, order=st.integers(0, 5), lines=st.lists(st.tuples(variant, units), max_size=3))
    def buy(self, account: str, order: int, lines: list[tuple[int, int]]) -> None:
        self.model.remove_bought(self.model.accounts[account], order, lines)
        self._bought(account, order, lines)

    @rule(guest=guests, order=st.integers(0, 5), lines=st.lists(st.tuples(variant, units), max_size=3))
    def buy_as_guest(self, guest: int, order: int, lines: list[tuple[int, int]]) -> None:
        """Also when somebody logs in between the order and its confirmation."""
        cart = self.model.guests[guest]
        if cart is None:
            cart = self.model.accounts[self.model.moved[guest]]
        self.model.remove_bought(cart, order, lines)
        self._bought(self.ids[guest], order, lines)

    def _bought(self, cart_id: str, order: int, lines: list[tuple[int, int]]) -> None:
        requests = [LineRequest(self.variants[variant], quantity) for variant, quantity in lines]
        self.run(self.service.remove_bought(cart_id, f"order-{order}", requests))

    def teardown(self) -> None:
        for account, cart in self.model.accounts.items():
            self._check(self.run(self.service.get_cart(CartOwner(account))), cart)
        for number in range(len(self.tokens)):
            owner, cart = self._guest(number)
            view = self.run(self.service.get_cart(owner))
            self._check(view, cart)
            lines = self.run(self.service.get_lines(owner))
            expected = [LineRequest(self.variants[variant], quantity) for variant, quantity in cart.items()]
            assert (lines.lines if lines else []) == expected


@pytest.mark.behaviour("cart-1", "cart-2")
async def test_carts_are_what_the_model_says(shop: Any, redis_lasting_url: str) -> None:
    bench = await shop()
    variants = await bench.stock(EUR) + await bench.stock(USD, currency="USD") + ["unknown"]
    async with connect(redis_lasting_url) as redis:
        await run_machine(CartMachine, 40, 25, redis=redis, catalog=bench.market.port(Catalog), variants=variants)
