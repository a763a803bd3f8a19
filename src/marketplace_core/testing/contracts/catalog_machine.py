"""The part of the catalogue's suite that takes any sequence of acts on units, against a plain model of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any, ClassVar, Literal, TypeVar

import pytest
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, invariant, rule

from marketplace_core.capabilities.catalog import Catalog, LineRequest, Reservation, StockRow
from marketplace_core.errors import Conflict
from marketplace_core.testing.contracts.catalog_shelves import Deliver, Later, cancelled, lines, shelve, shipped, stock
from marketplace_core.testing.machines import Machine, run_machine
from marketplace_core.values import new_id

__all__ = ["MachineRules"]

T = TypeVar("T")
Units = tuple[int, int]
Status = Literal["nothing", "held", "expired", "committed", "released"]

TTL = 1000
ON_HAND = (6, 3)

units = st.tuples(st.integers(0, 4), st.integers(0, 2)).filter(any)


@dataclasses.dataclass
class Held:
    """``first``: what the key once got; ``open``: units of it that are held, or sold and not yet shipped."""

    status: Status = "nothing"
    first: Reservation | None = None
    open: Units = (0, 0)
    began: float = 0
    until: float = 0
    moved: bool = False


@dataclasses.dataclass
class Model:
    now: float = 0
    on_hand: list[int] = dataclasses.field(default_factory=lambda: list(ON_HAND))
    keys: list[Held] = dataclasses.field(default_factory=list)

    def promised(self, variant: int) -> int:
        return sum(held.open[variant] for held in self.keys if held.status in {"held", "committed"})

    def fits(self, wanted: Units) -> bool:
        return all(count <= self.on_hand[n] - self.promised(n) for n, count in enumerate(wanted))

    def expire(self) -> None:
        for held in self.keys:
            if held.status == "held" and held.until <= self.now:
                held.status = "expired"


class StockMachine(Machine):
    catalog: ClassVar[Catalog]
    later: ClassVar[Any]
    deliver: ClassVar[Any]
    keys = Bundle("keys")

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.prefix = new_id()
        self.shelf = self.run(shelve(self.catalog, *ON_HAND))

    def _refused(self, act: Awaitable[object]) -> bool:
        try:
            self.run(act)
        except Conflict as error:
            assert error.code == "orders.out_of_stock"
            return True
        return False

    def _key(self, number: int) -> tuple[str, Held]:
        return f"{self.prefix}/{number}", self.model.keys[number]

    def _begin(self) -> int:
        self.model.keys.append(Held())
        return len(self.model.keys) - 1

    @rule(target=keys, wanted=units, twice=st.booleans())
    def reserve(self, wanted: Units, twice: bool) -> int:
        number = self._begin()
        self._reserve(number, wanted, twice)
        return number

    @rule(target=keys, wanted=units, late=st.booleans())
    def buy(self, wanted: Units, late: bool) -> int:
        number = self._begin()
        self._reserve(number, wanted, False)
        if late:
            self.wait(False)
        self.commit(number)
        return number

    @rule(target=keys, undo=st.booleans())
    def give_back_before(self, undo: bool) -> int:
        number = self._begin()
        (self.restock if undo else self.release)(number)
        return number

    @rule(number=keys, wanted=units)
    def reserve_again(self, number: int, wanted: Units) -> None:
        self._reserve(number, wanted, False)

    def _reserve(self, number: int, wanted: Units, twice: bool) -> None:
        key, held = self._key(number)
        asked = lines(self.shelf, *wanted)
        if twice:  # the same units in lines of one each
            asked = [LineRequest(line.variant_id, 1) for line in asked for _ in range(line.quantity)]
        can = held.status == "nothing" and self.model.fits(wanted)
        try:
            found = self.run(self.catalog.reserve(key, asked, TTL))
        except Conflict:
            assert not can
            assert held.first is None
            return
        if held.first is not None:  # it may have been extended since
            assert (found.key, found.lines) == (held.first.key, held.first.lines)
            assert found.expires_at >= held.first.expires_at
        assert can or held.first is not None
        if can:
            self.model.keys[number] = Held("held", found, wanted, self.model.now, self.model.now + TTL)

    @rule(number=keys, further=st.integers(0, 2))
    def extend(self, number: int, further: int) -> None:
        key, held = self._key(number)
        assume(held.first is not None)
        if held.first is not None:
            self.run(self.catalog.extend(key, held.first.expires_at + timedelta(seconds=TTL * further)))
        if held.status == "held":
            held.until = max(held.until, held.began + TTL * (further + 1))

    @rule(number=keys)
    def release(self, number: int) -> None:
        key, held = self._key(number)
        self.run(self.catalog.release(key))
        if held.status != "committed":
            held.status, held.open = "released", (0, 0)

    @rule(number=keys)
    def restock(self, number: int) -> None:
        key, held = self._key(number)
        assume(not held.moved)  # nobody undoes the sale of what is on its way
        self.run(self.catalog.restock(key))
        held.status, held.open = "released", (0, 0)

    @rule(number=keys)
    def commit(self, number: int) -> None:
        key, held = self._key(number)
        can = held.status in {"held", "committed"} or (held.status == "expired" and self.model.fits(held.open))
        assert self._refused(self.catalog.commit(key)) == (not can)
        if can:
            held.status = "committed"

    @rule(number=keys, wanted=units, leaves=st.booleans())
    def ship_or_cancel(self, number: int, wanted: Units, leaves: bool) -> None:
        _, held = self._key(number)
        some = (min(wanted[0], held.open[0]), min(wanted[1], held.open[1]))
        assume(held.status == "committed" and any(some))
        self.run(self.deliver((shipped if leaves else cancelled)(self.shelf, *some)))
        held.open, held.moved = (held.open[0] - some[0], held.open[1] - some[1]), True
        if leaves:
            self.model.on_hand = [count - gone for count, gone in zip(self.model.on_hand, some, strict=True)]

    @rule(variant=st.integers(0, 1), count=st.integers(0, 8), moves=st.booleans())
    def set_stock(self, variant: int, count: int, moves: bool) -> None:
        sku, before = self.shelf.skus[variant], self.model.on_hand[variant]
        row = StockRow(sku, delta=count - 4) if moves else StockRow(sku, quantity=count)
        after = before + count - 4 if moves else count
        can = after >= self.model.promised(variant)
        [found] = self.run(self.catalog.set_stock(self.shelf.seller.id, [row])).items
        assert found.status == ("rejected" if not can else "unchanged" if after == before else "updated")
        if can:
            self.model.on_hand[variant] = after

    @rule(half=st.booleans())
    def wait(self, half: bool) -> None:
        seconds = TTL / 2 + 1 if half else TTL + 1
        self.model.now += seconds
        self.run(self.later(seconds))
        self.model.expire()

    @invariant()
    def units_are_what_the_model_says(self) -> None:
        expected = [
            (count, self.model.promised(n), count - self.model.promised(n)) for n, count in enumerate(self.model.on_hand)
        ]
        assert self.run(stock(self.catalog, self.shelf)) == expected
        assert all(available >= 0 for _, _, available in expected)


class MachineRules:
    @pytest.mark.behaviour("catalog-3")
    async def test_units_are_what_the_model_says(self, catalog: Catalog, later: Later, deliver: Deliver) -> None:
        acts = {"later": staticmethod(later), "deliver": staticmethod(deliver)}
        await run_machine(StockMachine, 20, 30, catalog=catalog, **acts)
