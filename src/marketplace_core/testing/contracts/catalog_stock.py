"""The part of the catalogue's suite that is about units: none is ever promised twice."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from marketplace_core.capabilities.catalog import (
    Catalog,
    LineRequest,
    MoneyInput,
    PriceRow,
    ProductPatch,
    SellerProductQuery,
    SellerRef,
    StockRow,
)
from marketplace_core.errors import Conflict
from marketplace_core.testing.contracts import refused, together
from marketplace_core.testing.contracts.catalog_shelves import (
    Deliver,
    Later,
    cancelled,
    lines,
    open_seller,
    shelve,
    shipped,
    stock,
)
from marketplace_core.values import Money, new_id

__all__ = ["StockRules"]

TTL = 900
BUYERS, UNITS = 200, 10
CARTS = 60


class StockRules:
    async def test_updated_after_moves_with_every_writer(self, catalog: Catalog, deliver: Deliver, later: Later) -> None:
        """Any sequence of commands: what changed a product as its seller sees it can be asked for."""
        chance = random.Random(13)  # noqa: S311 - the same sequence at each run
        shelf, keys = await shelve(catalog, 50, 50), [new_id() for _ in range(4)]
        seller, product_id = shelf.seller.id, shelf.product_id
        acts: list[Callable[[], Awaitable[object]]] = [
            lambda: catalog.reserve(chance.choice(keys), lines(shelf, chance.randint(1, 3), 1), TTL),
            lambda: catalog.reserve(new_id(), lines(shelf, 1, 2), TTL, chance.choice(keys)),
            lambda: catalog.release(chance.choice(keys)),
            lambda: catalog.commit(chance.choice(keys)),
            lambda: catalog.restock(chance.choice(keys)),
            lambda: deliver(shipped(shelf, 1)),
            lambda: deliver(cancelled(shelf, 0, 1)),
            lambda: later(TTL + 1),
            lambda: catalog.set_stock(seller, [StockRow(chance.choice(shelf.skus), delta=chance.choice([-1, 1]))]),
            lambda: catalog.set_prices(seller, [PriceRow(shelf.skus[0], MoneyInput(chance.randint(1, 9), "EUR"))]),
            lambda: catalog.update_product(seller, product_id, ProductPatch(title=f"Pot {chance.random()}"), None),
            lambda: catalog.archive_product(seller, product_id),
            lambda: catalog.publish_product(seller, product_id),
        ]
        # At first something is sold, so that it can be shipped and cancelled; then each at least once, in any order.
        await catalog.reserve(keys[0], lines(shelf, 20, 20), TTL)
        await catalog.commit(keys[0])
        keys = keys[1:]
        before = await catalog.get_seller_product(seller, product_id)
        for act in chance.sample(acts, len(acts)) + chance.choices(acts, k=20):
            with contextlib.suppress(Conflict):
                await act()
            after = await catalog.get_seller_product(seller, product_id)
            found = await catalog.list_seller_products(seller, SellerProductQuery(updated_after=before.updated_at))
            if replace(after, updated_at=before.updated_at) != before:
                assert after.updated_at > before.updated_at
                assert found.items == [after]
            before = after

    # ── reserving ────────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.behaviour("catalog-3")
    async def test_200_buyers_of_the_last_10_units_get_exactly_10(self, catalog: Catalog) -> None:
        shelf = await shelve(catalog, UNITS)

        async def buy() -> bool:
            try:
                await catalog.reserve(new_id(), lines(shelf, 1), TTL)
            except Conflict as error:
                assert error.code == "orders.out_of_stock"
                return False
            return True

        assert sum(await together(*(buy() for _ in range(BUYERS)))) == UNITS
        assert await stock(catalog, shelf) == [(UNITS, UNITS, 0)]

    @pytest.mark.behaviour("catalog-3")
    async def test_equal_lines_add_up(self, catalog: Catalog) -> None:
        shelf = await shelve(catalog, 5)
        [id_] = shelf.ids
        twice = [LineRequest(id_, 3), LineRequest(id_, 3)]
        error = await refused("orders.out_of_stock", catalog.reserve(new_id(), twice, TTL))
        assert [problem.pointer for problem in error.errors] == ["/lines/1"]
        held = await catalog.reserve(new_id(), [LineRequest(id_, 2), LineRequest(id_, 3)], TTL)
        assert [line.quantity for line in held.lines] == [2, 3]
        assert await stock(catalog, shelf) == [(5, 5, 0)]

    async def test_all_lines_are_held_or_none(self, catalog: Catalog) -> None:
        shelf, key = await shelve(catalog, 5, 1, 5), new_id()
        wanted = [*lines(shelf, 1, 2, 1), LineRequest(new_id(), 1)]
        error = await refused("orders.out_of_stock", catalog.reserve(key, wanted, TTL))
        assert [problem.pointer for problem in error.errors] == ["/lines/1", "/lines/3"]
        assert [promised for _, promised, _ in await stock(catalog, shelf)] == [0, 0, 0]
        await refused("orders.out_of_stock", catalog.commit(key))
        await refused("validation", catalog.reserve(key, [], TTL))
        await catalog.reserve(key, lines(shelf, 1, 1, 1), TTL)

    @pytest.mark.behaviour("catalog-3")
    async def test_a_key_holds_once(self, catalog: Catalog) -> None:
        shelf, key = await shelve(catalog, 5), new_id()
        at_once = await together(*(catalog.reserve(key, lines(shelf, 3), TTL) for _ in range(6)))
        assert await stock(catalog, shelf) == [(5, 3, 2)]
        again = await catalog.reserve(key, lines(shelf, 3), TTL)  # now there would be too few
        assert [each == at_once[0] for each in [*at_once, again]] == [True] * 7
        for late in (catalog.commit, catalog.restock):
            await late(key)
            assert await catalog.reserve(key, lines(shelf, 3), TTL) == again
        assert await stock(catalog, shelf) == [(5, 0, 5)]

    @pytest.mark.behaviour("cart-8")
    async def test_what_is_held_passes_over_in_one_step(self, catalog: Catalog) -> None:
        shelf = await shelve(catalog, 3)
        first, second, third = new_id(), new_id(), new_id()
        await catalog.reserve(first, lines(shelf, 3), TTL)
        await refused("orders.out_of_stock", catalog.reserve(new_id(), lines(shelf, 2), TTL))
        await refused("orders.out_of_stock", catalog.reserve(new_id(), lines(shelf, 4), TTL, first))
        assert await stock(catalog, shelf) == [(3, 3, 0)]
        held = await together(*(catalog.reserve(second, lines(shelf, 2), TTL, first) for _ in range(4)))
        assert held == [held[0]] * 4
        assert await stock(catalog, shelf) == [(3, 2, 1)]
        await refused("orders.out_of_stock", catalog.commit(first))  # 2 of its 3 have gone
        await catalog.release(second)
        assert await stock(catalog, shelf) == [(3, 3, 0)]  # it has them again
        await catalog.reserve(third, lines(shelf, 1), TTL, first)
        await catalog.commit(third)
        await catalog.release(third)
        assert await stock(catalog, shelf) == [(3, 1, 2)]

    @pytest.mark.behaviour("cart-8")
    async def test_what_is_withdrawn_does_not_go_through(self, catalog: Catalog) -> None:
        shelf, keys = await shelve(catalog, 40), [new_id() for _ in range(8)]
        for key in keys:
            await catalog.reserve(key, lines(shelf, 5), TTL)

        async def sold(key: str) -> bool:
            try:
                await catalog.commit(key)
            except Conflict as error:
                assert error.code == "orders.out_of_stock"
                return False
            return True

        withdrawn, went = await asyncio.gather(
            together(*(catalog.withdraw(key) for key in keys)), together(*(sold(key) for key in keys))
        )
        assert [not one for one in withdrawn] == went  # one of the two, for each
        assert await stock(catalog, shelf) == [(40, 5 * sum(went), 40 - 5 * sum(went))]
        assert await together(*(catalog.withdraw(key) for key in keys)) == withdrawn
        early = new_id()
        assert await catalog.withdraw(early)
        await refused("orders.out_of_stock", catalog.reserve(early, lines(shelf, 1), TTL))
        other, late = await shelve(catalog, 1), new_id()
        await catalog.reserve(late, lines(other, 1), TTL)
        await catalog.commit(late)
        assert not await catalog.withdraw(late)

    async def test_lines_are_frozen_as_they_were(self, catalog: Catalog) -> None:
        shelf, key = await shelve(catalog, 5), new_id()
        held = await catalog.reserve(key, lines(shelf, 2), TTL)
        [line] = held.lines
        assert (line.variant_id, line.product_id, line.seller) == (shelf.ids[0], shelf.product_id, shelf.seller)
        assert (line.sku, line.title, line.options) == (shelf.skus[0], "Tea pot", {"size": "0"})
        assert (line.quantity, line.unit_price) == (2, Money(1000, "EUR"))
        await catalog.set_prices(shelf.seller.id, [PriceRow(shelf.skus[0], MoneyInput(2000, "EUR"))])
        await catalog.update_product(shelf.seller.id, shelf.product_id, ProductPatch(title="Kettle"), None)
        assert await catalog.reserve(key, lines(shelf, 2), TTL) == held

    async def test_what_is_not_sold_is_not_held(self, catalog: Catalog) -> None:
        draft = await shelve(catalog, 5, published=False)
        archived = await shelve(catalog, 5)
        await catalog.archive_product(archived.seller.id, archived.product_id)
        suspended = await shelve(catalog, 5)
        await catalog.set_seller(suspended.seller, False, 2)
        for shelf in (draft, archived, suspended):
            assert [view.buyable for view in await catalog.get_variants(shelf.ids)] == [False]
            await refused("orders.out_of_stock", catalog.reserve(new_id(), lines(shelf, 1), TTL))
            assert await stock(catalog, shelf) == [(5, 0, 5)]

    # ── giving back ──────────────────────────────────────────────────────────────────────────────────────────

    async def test_a_release_gives_back_once(self, catalog: Catalog) -> None:
        shelf, key = await shelve(catalog, 5), new_id()
        await catalog.reserve(key, lines(shelf, 3), TTL)
        await catalog.reserve(new_id(), lines(shelf, 1), TTL)
        await together(*(catalog.release(key) for _ in range(4)))
        assert await stock(catalog, shelf) == [(5, 1, 4)]
        await refused("orders.out_of_stock", catalog.commit(key))
        assert await stock(catalog, shelf) == [(5, 1, 4)]

    async def test_a_release_before_its_reserve_holds_nothing_later(self, catalog: Catalog) -> None:
        for give_back in (catalog.release, catalog.restock):
            shelf, key = await shelve(catalog, 5), new_id()
            await give_back(key)
            await refused("orders.out_of_stock", catalog.reserve(key, lines(shelf, 1), TTL))
            assert await stock(catalog, shelf) == [(5, 0, 5)]

    async def test_a_release_of_what_is_sold_gives_nothing_back(self, catalog: Catalog) -> None:
        shelf, key = await shelve(catalog, 5), new_id()
        await catalog.reserve(key, lines(shelf, 3), TTL)
        await catalog.commit(key)
        await catalog.release(key)
        assert await stock(catalog, shelf) == [(5, 3, 2)]

    # ── committing ───────────────────────────────────────────────────────────────────────────────────────────

    async def test_commits_and_restocks_of_one_key_at_once(self, catalog: Catalog) -> None:
        shelf, key = await shelve(catalog, 5), new_id()
        await catalog.reserve(key, lines(shelf, 3), TTL)
        await together(*(catalog.commit(key) for _ in range(5)))
        assert await stock(catalog, shelf) == [(5, 3, 2)]
        await together(*(catalog.restock(key) for _ in range(5)))
        assert await stock(catalog, shelf) == [(5, 0, 5)]
        mixed = [(catalog.commit, catalog.restock)[n % 2] for n in range(10)]
        await asyncio.gather(*(act(key) for act in mixed), return_exceptions=True)
        assert await stock(catalog, shelf) == [(5, 0, 5)]

    async def test_what_was_undone_stays_undone(self, catalog: Catalog, later: Later) -> None:
        shelf = await shelve(catalog, 5)
        committed, expired, unknown = new_id(), new_id(), new_id()
        await catalog.reserve(expired, lines(shelf, 2), TTL)
        await later(TTL + 1)
        await catalog.reserve(committed, lines(shelf, 2), TTL)
        await catalog.commit(committed)
        for key in (committed, expired, unknown):
            await catalog.restock(key)
            await refused("orders.out_of_stock", catalog.commit(key))
            assert await stock(catalog, shelf) == [(5, 0, 5)]

    async def test_what_is_sold_goes_through_though_the_shop_has_closed(self, catalog: Catalog) -> None:
        shelf, key = await shelve(catalog, 5), new_id()
        await catalog.reserve(key, lines(shelf, 2), TTL)
        await catalog.set_seller(shelf.seller, False, 2)
        await catalog.commit(key)
        assert await stock(catalog, shelf) == [(5, 2, 3)]

    # ── expiring ─────────────────────────────────────────────────────────────────────────────────────────────

    async def test_what_is_held_too_long_is_free_again(self, catalog: Catalog, later: Later) -> None:
        shelf, short, long = await shelve(catalog, 5), new_id(), new_id()
        held = await catalog.reserve(short, lines(shelf, 2), TTL)
        await catalog.reserve(long, lines(shelf, 2), TTL)
        await catalog.extend(long, held.expires_at + timedelta(seconds=TTL))
        await catalog.extend(long, held.expires_at - timedelta(seconds=TTL))  # never shorter
        await later(TTL - 10)
        assert await stock(catalog, shelf) == [(5, 4, 1)]
        await later(11)
        assert await stock(catalog, shelf) == [(5, 2, 3)]
        await catalog.extend(short, datetime.now(UTC) + timedelta(days=1))
        assert await stock(catalog, shelf) == [(5, 2, 3)]
        await later(TTL)
        assert await stock(catalog, shelf) == [(5, 0, 5)]

    async def test_a_late_commit_takes_stock_anew_or_is_refused(self, catalog: Catalog, later: Later) -> None:
        shelf, first, second = await shelve(catalog, 5), new_id(), new_id()
        await catalog.reserve(first, lines(shelf, 3), TTL)
        await catalog.reserve(second, lines(shelf, 2), TTL)
        await later(TTL + 1)
        await catalog.commit(first)
        assert await stock(catalog, shelf) == [(5, 3, 2)]
        await catalog.reserve(new_id(), lines(shelf, 1), TTL)
        error = await refused("orders.out_of_stock", catalog.commit(second))
        assert [problem.pointer for problem in error.errors] == ["/lines/0"]
        assert await stock(catalog, shelf) == [(5, 4, 1)]

    # ── the shelf ────────────────────────────────────────────────────────────────────────────────────────────

    async def test_what_is_promised_stays_on_the_shelf(self, catalog: Catalog) -> None:
        shelf, key = await shelve(catalog, 5, 5), new_id()
        await catalog.reserve(key, lines(shelf, 2, 1), TTL)
        await catalog.commit(key)
        await catalog.reserve(new_id(), lines(shelf, 1), TTL)
        rows = [StockRow(shelf.skus[0], quantity=2), StockRow(shelf.skus[0], delta=-3), StockRow(shelf.skus[1], quantity=1)]
        found = await catalog.set_stock(shelf.seller.id, rows)
        assert [(row.status, row.code) for row in found.items] == [
            ("rejected", "range"),
            ("rejected", "range"),
            ("updated", None),
        ]
        assert await stock(catalog, shelf) == [(5, 3, 2), (1, 1, 0)]

    async def test_shipped_units_leave_and_cancelled_ones_can_be_bought(self, catalog: Catalog, deliver: Deliver) -> None:
        shelf, key = await shelve(catalog, 5, 5), new_id()
        await catalog.reserve(key, lines(shelf, 4, 2), TTL)
        await catalog.commit(key)
        await deliver(shipped(shelf, 1, 2))
        assert await stock(catalog, shelf) == [(4, 3, 1), (3, 0, 3)]
        await deliver(cancelled(shelf, 2))
        assert await stock(catalog, shelf) == [(4, 1, 3), (3, 0, 3)]

    async def test_carts_that_overlap_wait_for_each_other_and_none_fails(self, catalog: Catalog, later: Later) -> None:
        seller = await open_seller(catalog)
        shelves = [await shelve(catalog, *[10_000] * 4, seller=seller) for _ in range(2)]
        ids = [id_ for shelf in shelves for id_ in shelf.ids]
        dice = random.Random(7)  # noqa: S311 - the same carts at each run
        carts = [[LineRequest(id_, 1) for id_ in dice.sample(ids, dice.randint(2, len(ids)))] for _ in range(CARTS)]
        skus = [sku for shelf in shelves for sku in shelf.skus]

        async def buy(number: int) -> None:
            key = f"{seller.id}/{number}"
            await catalog.reserve(key, carts[number], TTL)
            await (catalog.commit, catalog.release, catalog.restock)[number % 3](key)
            if number % 3 == 0:
                await catalog.restock(key)

        async def manage(number: int) -> None:
            own = SellerRef(seller.id, f"Kettle {number}")
            shelf = shelves[number % 2]
            shuffled = dice.sample(skus, len(skus))
            await catalog.set_stock(seller.id, [StockRow(sku, delta=1) for sku in shuffled])
            await catalog.set_prices(seller.id, [PriceRow(sku, MoneyInput(900 + number, "EUR")) for sku in shuffled[:3]])
            await catalog.update_product(seller.id, shelf.product_id, ProductPatch(description=str(number)), None)
            await catalog.set_seller(own, True, number + 2)

        acts = [buy(number) for number in range(CARTS)] + [manage(number) for number in range(CARTS // 6)]
        await together(*acts)
        for shelf in shelves:
            assert {promised for _, promised, _ in await stock(catalog, shelf)} == {0}
