"""The part of the sellers' suite that is about shops: what is sold in them, who acts for them, and on what terms."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from marketplace_core import calls
from marketplace_core.capabilities.catalog import Catalog, LineRequest, ProductQuery
from marketplace_core.capabilities.sellers import ImportSeller, Membership, SellerQuery, Sellers, ShopPatch
from marketplace_core.errors import BadCursor, Invalid, NotFound, PreconditionFailed
from marketplace_core.pictures import SentPicture
from marketplace_core.testing.contracts import paged, refused
from marketplace_core.testing.contracts.sellers_applications import (
    ACCEPTED,
    apply,
    at,
    draft,
    membership,
    open_shop,
    publish,
    verified,
)
from marketplace_core.values import Imported, etag, new_id

__all__ = ["ShopRules"]


class ShopRules:
    @pytest.mark.behaviour("sellers-2")
    async def test_nothing_of_a_suspended_seller_is_seen_or_bought(self, sellers: Sellers, catalog: Catalog) -> None:
        ada = new_id()
        seller, other = await open_shop(sellers, ada), await open_shop(sellers)
        product, others = await publish(catalog, seller), await publish(catalog, other)
        lines = [LineRequest(product.variants[0].id, 1)]
        await catalog.reserve(before := new_id(), lines, 600)
        suspended = await sellers.set_suspended(seller, True, "fraud")
        assert (suspended.id, suspended.status, suspended.reason) == (seller, "suspended", "fraud")
        assert await sellers.set_suspended(seller, True, "fraud") == suspended
        await refused("orders.out_of_stock", catalog.reserve(new_id(), lines, 600))
        assert [card.id for card in (await catalog.list_products(ProductQuery())).items] == [others.id]
        with pytest.raises(NotFound):
            await sellers.get_seller_page(seller)
        # Its orders go on, and its people still reach them.
        await catalog.commit(before)
        assert await membership(sellers, ada) == Membership(seller, "owner", "suspended")
        assert (await sellers.get_shop(seller)).status == "suspended"
        assert [each.id for each in await sellers.get_terms([seller])] == [seller]
        reinstated = await sellers.set_suspended(seller, False, "")
        assert (reinstated.status, reinstated.reason) == ("active", None)
        await catalog.reserve(new_id(), lines, 600)
        assert (await sellers.get_seller_page(seller)).id == seller
        assert (await membership(sellers, ada)).status == "active"

    async def test_a_membership_is_its_persons(self, sellers: Sellers) -> None:
        ada, bob = new_id(), new_id()
        shops = {person: await open_shop(sellers, person) for person in (ada, bob)}
        for person, shop in shops.items():
            assert await membership(sellers, person) == Membership(shop, "owner", "active")
        assert shops[ada] != shops[bob]
        await apply(sellers, eve := new_id())
        assert await sellers.get_membership(eve) is None
        assert await sellers.get_membership(new_id()) is None

    @pytest.mark.behaviour("all-2")
    async def test_what_is_not_there_is_not_found(self, sellers: Sellers) -> None:
        application = await sellers.apply(ada := new_id(), draft())
        key = verified(application).key
        for attempt in (
            lambda: sellers.get_application(new_id()),
            lambda: sellers.submit_requirement(new_id(), key, ACCEPTED),
            lambda: sellers.submit_requirement(ada, "hat", ACCEPTED),
            lambda: sellers.decide_requirement(new_id(), key, "waive", ""),
            lambda: sellers.decide_requirement(application.id, "hat", "waive", ""),
            lambda: sellers.accept(new_id()),
            lambda: sellers.reject(new_id(), ""),
            lambda: sellers.get_shop(new_id()),
            lambda: sellers.update_shop(new_id(), ShopPatch(name="X"), None),
            lambda: sellers.get_seller_page(new_id()),
            lambda: sellers.set_suspended(new_id(), True, ""),
            lambda: sellers.get_shop(application.id),  # an application is no shop
        ):
            await _not_found(attempt)
        assert await sellers.get_terms([new_id()]) == []
        assert await sellers.get_application(ada) == application

    async def test_a_logo_is_set_in_the_shop_as_it_was_read(self, sellers: Sellers) -> None:
        seller = await open_shop(sellers)
        sent = [SentPicture("logo.png", f"uploads/sellers/ab/{new_id()}")]
        read = etag(await sellers.get_shop(seller))
        [item] = (await sellers.set_logo(seller, sent, read)).items
        assert (item.id is not None, item.name, item.status, item.code) == (True, "logo.png", "pending", None)
        [bad] = (await sellers.set_logo(seller, [SentPicture("no", code="format")], None)).items
        assert (bad.id, bad.status, bad.code) == (None, "rejected", "format")
        assert (await sellers.get_seller_page(seller)).logo is None, "it is shown once it is drawn"
        await sellers.update_shop(seller, ShopPatch(description="All pots."), None)
        with pytest.raises(PreconditionFailed):
            await sellers.set_logo(seller, sent, read)
        with pytest.raises(NotFound):
            await sellers.set_logo(new_id(), sent, None)

    @pytest.mark.behaviour("all-4")
    async def test_a_shop_is_changed_as_it_was_read(self, sellers: Sellers) -> None:
        seller, other = await open_shop(sellers), await open_shop(sellers)
        others = await sellers.get_shop(other)
        read = await sellers.get_shop(seller)
        changed = await sellers.update_shop(seller, ShopPatch(description="All pots."), etag(read))
        assert (changed.id, changed.name, changed.description) == (seller, read.name, "All pots.")
        assert etag(changed) == etag(await sellers.get_shop(seller)), "what is read has the tag of what was answered"
        with pytest.raises(PreconditionFailed):
            await sellers.update_shop(seller, ShopPatch(name="Pans"), etag(read))
        renamed = await sellers.update_shop(seller, ShopPatch(name="Pots"), "*")
        assert (renamed.name, renamed.description) == ("Pots", "All pots.")
        assert await sellers.update_shop(seller, ShopPatch(), None) == renamed
        page = await sellers.get_seller_page(seller)
        assert (page.name, page.description) == ("Pots", "All pots.")
        assert await sellers.get_shop(other) == others

    async def test_terms_are_what_an_order_freezes(self, sellers: Sellers) -> None:
        one, two = await open_shop(sellers, name="Kettles"), await open_shop(sellers)
        terms = {each.id: each for each in await sellers.get_terms([two, one, new_id()])}
        assert set(terms) == {one, two}
        assert (terms[one].name, terms[one].country) == ("Kettles", "FR")
        [commission] = (await sellers.get_shop(one)).commission
        assert (commission.category_id, commission.rate) == (None, terms[one].commission_rate)
        assert 0 <= float(commission.rate) <= 1

    async def test_shops_are_listed_by_pages(self, sellers: Sellers) -> None:
        ids = [await open_shop(sellers) for _ in range(5)]
        await sellers.set_suspended(ids[1], True, "fraud")
        [suspended] = (await sellers.list_sellers(SellerQuery(status="suspended"))).items
        assert (suspended.id, suspended.reason) == (ids[1], "fraud")
        active = (await sellers.list_sellers(SellerQuery(status="active"))).items
        assert {each.id for each in active} == set(ids) - {ids[1]}
        query = SellerQuery(status="active", limit=2)
        by_pages = await paged(lambda cursor: sellers.list_sellers(at(query, cursor)), between=lambda: open_shop(sellers))
        assert [each for each in by_pages if each.id in ids] == active
        cursor = (await sellers.list_sellers(query)).next
        with pytest.raises(BadCursor):
            await sellers.list_sellers(SellerQuery(limit=2, cursor=cursor))

    async def test_a_late_repeat_undoes_nothing(self, sellers: Sellers, catalog: Catalog) -> None:
        id_ = await apply(sellers, ada := new_id())
        with calls.scope(calls.Call(key="accept")):
            accepted = await sellers.accept(id_)
        seller = (await membership(sellers, ada)).seller_id
        product = await publish(catalog, seller)
        for key, suspended in (("suspend", True), ("reinstate", False)):
            with calls.scope(calls.Call(key=key)):
                await sellers.set_suspended(seller, suspended, "fraud")
        with calls.scope(calls.Call(key="suspend")):
            assert (await sellers.set_suspended(seller, True, "fraud")).status == "suspended"
        assert (await sellers.get_shop(seller)).status == "active"
        assert (await catalog.get_product(product.id)).page is not None
        await sellers.set_suspended(seller, True, "fraud")
        for key, again in (
            ("accept", lambda: sellers.accept(id_)),
            ("reinstate", lambda: sellers.set_suspended(seller, False, "fraud")),
        ):
            with calls.scope(calls.Call(key=key)):
                await again()
            assert (await sellers.get_shop(seller)).status == "suspended"
            with pytest.raises(NotFound):
                await catalog.get_product(product.id)
        assert await sellers.get_application(ada) == accepted

    # ── imports ──────────────────────────────────────────────────────────────────────────────────────────────

    async def test_sellers_of_an_import(self, sellers: Sellers, catalog: Catalog) -> None:
        ada = new_id()
        known = await open_shop(sellers, name="Other")
        pots, pans = f"Pots {ada}", f"Pans {ada}"
        found = await sellers.ensure_sellers([pots, "Other", known, pots, pans], ada)
        assert [each.name for each in found] == [pots, "Other", "Other", pots, pans]
        assert [each.made for each in found] == [True, False, False, False, True]
        assert (found[0].id, found[1].id, found[2].id) == (found[3].id, known, known)
        assert (await membership(sellers, ada)).seller_id in {found[0].id, found[4].id}
        for seller in (found[0].id, found[4].id):
            assert (await publish(catalog, seller)).status == "published"
        again = await sellers.ensure_sellers([pans, pots], ada)
        assert [(each.id, each.made) for each in again] == [(found[4].id, False), (found[0].id, False)]
        assert await sellers.ensure_sellers([], None) == []
        with pytest.raises(Invalid) as error:
            await sellers.ensure_sellers(["Good", " "], None)
        assert [problem.pointer for problem in error.value.errors] == ["/names/1"]

    async def test_an_import_changes_no_shop_that_is_there(self, sellers: Sellers, catalog: Catalog) -> None:
        ada = new_id()
        own = await open_shop(sellers, ada)
        known = await open_shop(sellers, owner := new_id(), "Other")
        product = await publish(catalog, known)
        await sellers.set_suspended(known, True, "fraud")
        await sellers.ensure_sellers(["Other", f"Pots {ada}"], ada)
        assert (await membership(sellers, ada)).seller_id == own, "its owner keeps the shop that they have"
        assert await membership(sellers, owner) == Membership(known, "owner", "suspended")
        with pytest.raises(NotFound):
            await catalog.get_product(product.id)

    async def test_shops_of_another_system_keep_their_ids(self, sellers: Sellers, catalog: Catalog) -> None:
        await open_shop(sellers, name="Other")
        given = [ImportSeller(id=new_id(), name=name, country="BR") for name in ("Pots", "OTHER", "Pans")]
        found = await sellers.import_sellers(given)
        assert [each.status for each in found] == ["written", "rejected", "written"]
        assert found[1].code == "duplicate"
        for each in (given[0], given[2]):
            assert (await sellers.get_shop(each.id)).name == each.name
            assert (await publish(catalog, each.id)).status == "published"
        assert {(each.id, each.country) for each in await sellers.get_terms([one.id for one in given])} == {
            (given[0].id, "BR"),
            (given[2].id, "BR"),
        }
        await sellers.set_suspended(given[0].id, True, "fraud")
        again = await sellers.import_sellers([*given[:1], *given[2:], ImportSeller(id=new_id(), name="Lids", country="BR")])
        assert again == [Imported("unchanged"), Imported("unchanged"), Imported("written")]
        assert (await sellers.get_shop(given[0].id)).status == "suspended"


async def _not_found(attempt: Callable[[], Awaitable[object]]) -> None:
    with pytest.raises(NotFound):
        await attempt()
