"""What every provider of :class:`~marketplace_core.capabilities.recommendations.Recommendations` must do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import get_args

import pytest

from marketplace_core.capabilities.catalog import CategoryDraft, MoneyInput, PriceRow
from marketplace_core.capabilities.recommendations import FeedQuery, ReasonCode, Recommendations, Shopper
from marketplace_core.capabilities.users import ProfileChanged
from marketplace_core.errors import BadCursor, NotFound
from marketplace_core.testing.contracts import eventually
from marketplace_core.testing.contracts.catalog_shelves import open_seller
from marketplace_core.testing.contracts.recommendations_street import Street, ids_of
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import PageQuery, new_id

__all__ = ["RecommendationsContract"]

#: Within so many seconds what is sold out is gone from the feed.
GONE = 2.0


class RecommendationsContract:
    """Fixtures: ``market``, a marketplace of a catalogue, carts and the provider, whose worker runs; and ``learn``: ``await
    learn()`` has the provider learn from what it was told so far, and build the feed.

    A new feed may be built whenever the provider likes; nothing here minds that others use the same marketplace.
    """

    @pytest.fixture
    def street(self, market: Marketplace, learn: Callable[[], Awaitable[None]]) -> Street:
        return Street(market, market.port(Recommendations), learn)

    # ── the feed ─────────────────────────────────────────────────────────────────────────────────────────────

    async def test_the_feed_has_what_can_be_bought(self, street: Street) -> None:
        here, away, hidden = await street.open(3)
        await street.learn()
        assert {here.product_id, away.product_id, hidden.product_id} <= set(ids_of(await street.feed()))
        await street.sell_out(away)
        await street.catalog.archive_product(hidden.seller.id, hidden.product_id)

        async def gone() -> bool:
            return not {away.product_id, hidden.product_id} & set(ids_of(await street.feed()))

        await eventually(gone, within=GONE)
        assert await street.in_feed(here)
        await street.learn()
        assert await gone() and await street.in_feed(here)

    async def test_pages_of_the_feed_hold_each_product_once(self, street: Street) -> None:
        """Also while a new one is built: who began goes on in what it began."""
        shelves = await street.open(6)
        await street.learn()
        expected = ids_of(await street.feed())
        assert len(expected) == len(set(expected)) and {shelf.product_id for shelf in shelves} <= set(expected)

        async def busy() -> None:
            await street.signal(street.account(), shelves[-1], shelves[-2])
            await street.learn()

        count = 0

        async def once() -> None:
            nonlocal count
            count += 1
            if count == 1:
                await busy()

        assert ids_of(await street.feed(size=max(2, len(expected) // 3), between=once)) == expected

    async def test_the_feed_is_mixed(self, street: Street) -> None:
        """Somebody who fills the shop does not fill the page."""
        one, other = await open_seller(street.catalog), await open_seller(street.catalog)
        great, small = await street.open(8, seller=one), await street.open(4, seller=other)
        for shelf in great:
            await street.signal(street.account(), *[shelf] * 20)
        for shelf in small:
            await street.signal(street.account(), *[shelf] * 19)
        await street.learn()
        first = [card.seller.id for card in (await street.feed())[:10]]
        assert first.count(one.id) <= 6 and other.id in first

    async def test_a_category_has_a_feed_of_its_own(self, street: Street) -> None:
        """With all below it, by its id and by its slug."""
        top = await street.catalog.create_category(CategoryDraft(f"Kitchen {new_id()[-8:]}"))
        below = await street.catalog.create_category(CategoryDraft("Tea", top.id))
        [here], [there], [elsewhere] = [await street.open(1, category_id=each) for each in (top.id, below.id, None)]
        await street.learn()
        assert set(ids_of(await street.feed(top.id))) == {here.product_id, there.product_id}
        assert ids_of(await street.feed(top.slug)) == ids_of(await street.feed(top.id))
        assert ids_of(await street.feed(below.id)) == [there.product_id]
        assert ids_of(await street.feed(new_id())) == []
        assert await street.in_feed(elsewhere)

    async def test_a_cursor_belongs_to_its_feed(self, street: Street) -> None:
        category = await street.catalog.create_category(CategoryDraft(f"Pots {new_id()[-8:]}"))
        await street.open(3, category_id=category.id)
        await street.learn()
        page = await street.get_feed(FeedQuery(limit=1))
        assert page.next is not None
        with pytest.raises(BadCursor):
            await street.get_feed(FeedQuery(limit=1, cursor=page.next, category=category.id))
        with pytest.raises(BadCursor):
            await street.get_feed(FeedQuery(limit=1, cursor="nonsense"))

    async def test_cards_say_what_is_so_and_why_they_are_shown(self, street: Street) -> None:
        [shelf] = await street.open(1, price=1000)
        await street.learn()
        card = {each.id: each for each in await street.feed()}[shelf.product_id]
        assert (card.seller, card.slug, card.price.amount, card.in_stock) == (shelf.seller, shelf.slug, 1000, True)
        assert {each.reason.code for each in await street.feed()} <= {"popular", "new"}
        await street.catalog.set_prices(shelf.seller.id, [PriceRow(shelf.skus[0], MoneyInput(750, "EUR"))])

        async def repriced() -> bool:
            return {each.id: each.price.amount for each in await street.feed()}.get(shelf.product_id) == 750

        await eventually(repriced)

    # ── what is for a person ─────────────────────────────────────────────────────────────────────────────────

    async def test_a_stranger_is_shown_the_feed(self, street: Street) -> None:
        await street.open(3)
        await street.learn()
        for stranger in (Shopper(), Shopper(token=new_id()), street.account()):
            assert ids_of(await street.shown(stranger)) == ids_of(await street.feed())

    async def test_the_last_action_counts_at_once(self, street: Street) -> None:
        pot, cup, *_ = await street.open(6)
        await street.choose_together(pot, cup)
        await street.learn()
        for shopper in (street.account(), Shopper(token=new_id())):
            before = ids_of(await street.shown(shopper))
            await street.signal(shopper, pot)
            first, *others = await street.shown(shopper)
            assert (first.id, first.reason.code in {"bought_together", "history"}) == (cup.product_id, True)
            assert first.reason.product_id == pot.product_id
            assert ids_of([first, *others]) != before
            assert {card.reason.code for card in others} <= set(get_args(ReasonCode))

    async def test_one_shopper_is_not_another(self, street: Street) -> None:
        pot, cup = await street.open(2)
        await street.choose_together(pot, cup)
        await street.learn()
        for ada, eve in ((Shopper(token=new_id()), Shopper(token=new_id())), (street.account(), street.account())):
            await street.signal(ada, pot)
            assert ids_of(await street.first(ada))[0] == cup.product_id
            assert ids_of(await street.shown(eve)) == ids_of(await street.feed())

    async def test_what_cannot_be_bought_or_is_in_the_cart_is_not_shown(self, street: Street) -> None:
        pot, cup, can, tin = await street.open(4)
        await street.choose_together(pot, cup, can, tin)
        await street.learn()
        ada = street.account()
        await street.signal(ada, pot)
        assert {cup.product_id, can.product_id, tin.product_id} <= set(ids_of(await street.shown(ada)))
        await street.put_into_cart(ada, cup)
        await street.sell_out(can)
        await street.market.settle()
        assert not {cup.product_id, can.product_id} & set(ids_of(await street.shown(ada)))
        assert tin.product_id in ids_of(await street.shown(ada))
        assert not {cup.product_id, can.product_id, pot.product_id} & set(ids_of(await street.similar(pot, ada)))

    async def test_what_was_bought_already_is_not_shown(self, street: Street) -> None:
        pot, cup, can = await street.open(3)
        await street.choose_together(pot, cup, can)
        ada = street.account()
        await street.buy(ada, cup)
        await street.learn()
        await street.signal(ada, pot)
        shown = ids_of(await street.shown(ada))
        assert cup.product_id not in shown and can.product_id in shown

    async def test_what_people_buy_again_is_shown_again(self, street: Street) -> None:
        """That they do is learnt of what they do."""
        tea, pot = await street.open(2)
        for _ in range(12):
            await street.buy(street.account(), tea, pot, tea, tea)
        ada = street.account()
        await street.buy(ada, tea, pot)
        await street.learn()
        shown = ids_of(await street.shown(ada))
        assert tea.product_id in shown and pot.product_id not in shown

    async def test_pages_for_a_person_hold_each_product_once(self, street: Street) -> None:
        """Whatever the person does between two of them."""
        shelves = await street.open(9)
        await street.choose_together(*shelves[:5])
        await street.choose_together(*shelves[5:])
        await street.learn()
        ada = street.account()
        await street.signal(ada, shelves[0])
        shown = ids_of(await street.shown(ada, size=3, between=lambda: street.signal(ada, shelves[6])))
        assert len(shown) == len(set(shown)) and {shelf.product_id for shelf in shelves[1:5]} <= set(shown)
        page = await street.recommendations.recommend(ada, PageQuery(limit=2))
        assert len(page.items) == 2 and page.next is not None
        with pytest.raises(BadCursor):
            await street.recommendations.recommend(ada, PageQuery(limit=2, cursor="nonsense"))

    # ── what may be known ────────────────────────────────────────────────────────────────────────────────────

    async def test_who_opts_out_is_not_known(self, street: Street) -> None:
        """And who comes back begins anew."""
        pot, cup = await street.open(2)
        await street.choose_together(pot, cup)
        await street.learn()
        ada = street.account()
        await street.signal(ada, pot)
        assert ids_of(await street.first(ada))[0] == cup.product_id
        await street.market.settle()
        for personalised in (False, True):
            event = ProfileChanged(account_id=ada.account_id or "", locale=None, personalised=personalised)
            await street.market.deliver(Recommendations, event)
            assert ids_of(await street.shown(ada)) == ids_of(await street.feed())
            if not personalised:
                await street.signal(ada, pot)
                await street.market.settle()
                assert ids_of(await street.shown(ada)) == ids_of(await street.feed())
        await street.signal(ada, pot)
        assert ids_of(await street.first(ada))[0] == cup.product_id

    async def test_who_is_erased_is_not_known_for_ever(self, street: Street) -> None:
        pot, cup = await street.open(2)
        await street.choose_together(pot, cup)
        await street.learn()
        ada, eve = street.account(), street.account()
        for shopper in (ada, eve):
            await street.signal(shopper, pot)
        await street.market.settle()
        for _ in range(2):
            await street.recommendations.forget(ada.account_id or "")
        await street.signal(ada, pot)
        await street.market.settle()
        assert ids_of(await street.shown(ada)) == ids_of(await street.feed())
        back = ProfileChanged(account_id=ada.account_id or "", locale=None, personalised=True)
        await street.market.deliver(Recommendations, back)
        await street.signal(ada, pot)
        assert ids_of(await street.shown(ada)) == ids_of(await street.feed())
        assert ids_of(await street.first(eve))[0] == cup.product_id

    # ── what is like a product ───────────────────────────────────────────────────────────────────────────────

    async def test_what_is_bought_together_is_similar(self, street: Street) -> None:
        pot, cup, _ = await street.open(3)
        await street.choose_together(pot, cup)
        await street.learn()
        first, *others = await street.similar(pot)
        assert (first.id, first.reason.code, first.reason.product_id) == (cup.product_id, "bought_together", pot.product_id)
        ids = ids_of([first, *others])
        assert len(ids) == len(set(ids)) and pot.product_id not in ids
        with pytest.raises(NotFound):
            await street.recommendations.list_similar(new_id(), Shopper(), PageQuery())

    async def test_what_nobody_has_touched_is_like_its_category(self, street: Street) -> None:
        category = await street.catalog.create_category(CategoryDraft(f"Lamps {new_id()[-8:]}"))
        lamps = await street.open(3, category_id=category.id)
        await street.open(3)
        await street.learn()
        near = (await street.similar(lamps[0]))[:2]
        assert {card.id for card in near} == {lamp.product_id for lamp in lamps[1:]}
        assert {card.reason.code for card in near} == {"similar"}
