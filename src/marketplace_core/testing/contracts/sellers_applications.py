"""The part of the sellers' suite that is about applications; and shops for the rest of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from msgspec.structs import replace

from marketplace_core import calls
from marketplace_core.capabilities.catalog import Catalog, MoneyInput, ProductDraft, ProductQuery, SellerProduct, VariantDraft
from marketplace_core.capabilities.sellers import (
    Application,
    ApplicationDraft,
    ApplicationQuery,
    Membership,
    Requirement,
    RequirementValue,
    SellerQuery,
    Sellers,
    ShopPatch,
)
from marketplace_core.errors import BadCursor, Conflict
from marketplace_core.testing.contracts import paged, refused, together
from marketplace_core.values import PageQuery, new_id

__all__ = [
    "ACCEPTED",
    "ApplicationRules",
    "apply",
    "at",
    "draft",
    "fulfil",
    "membership",
    "open_shop",
    "publish",
    "verified",
]

T = TypeVar("T")
Q = TypeVar("Q", bound=PageQuery)

ACCEPTED = RequirementValue("accepted")


def draft(name: str | None = None) -> ApplicationDraft:
    """Of a shop in France, whose name nobody else has unless it is given."""
    name = name or f"Kettle {new_id()[-12:]}"
    return ApplicationDraft(name=name, legal_name="Kettle Ltd", country="FR", contact_email="k@example.org")


async def fulfil(sellers: Sellers, account_id: str) -> Application:
    """Submit whatever is up to the applicant."""
    application = await sellers.get_application(account_id)
    for each in application.requirements:
        if each.kind != "computed" and each.status in {"open", "rejected"}:
            application = await sellers.submit_requirement(account_id, each.key, ACCEPTED)
    return application


async def apply(sellers: Sellers, account_id: str, name: str | None = None) -> str:
    """An application that waits for an operator; gives its id."""
    await sellers.apply(account_id, draft(name))
    return (await fulfil(sellers, account_id)).id


async def membership(sellers: Sellers, account_id: str) -> Membership:
    """In which shop somebody acts who has one."""
    found = await sellers.get_membership(account_id)
    assert found is not None
    return found


async def open_shop(sellers: Sellers, account_id: str | None = None, name: str | None = None) -> str:
    """An active shop of somebody's, or of nobody in particular; gives its id."""
    account_id = account_id or new_id()
    await sellers.accept(await apply(sellers, account_id, name))
    return (await membership(sellers, account_id)).seller_id


async def publish(catalog: Catalog, seller_id: str) -> SellerProduct:
    """A product with five units of one variant."""
    variant = VariantDraft(sku=new_id()[-12:], price=MoneyInput(1000, "EUR"), stock=5)
    product = await catalog.create_product(seller_id, ProductDraft(title="Tea pot", variants=(variant,)))
    return await catalog.publish_product(seller_id, product.id)


def verified(application: Application) -> Requirement:
    """What an operator decides on."""
    return next(each for each in application.requirements if each.kind == "verified")


def at(query: Q, cursor: str | None) -> Q:
    """``query`` where a page of it ended."""
    return replace(query, cursor=cursor)


class ApplicationRules:
    @pytest.mark.behaviour("sellers-1")
    async def test_from_an_application_to_a_shop_that_sells(self, sellers: Sellers, catalog: Catalog) -> None:
        ada, asked = new_id(), draft()
        applied = await sellers.apply(ada, asked)
        assert (applied.name, applied.status, applied.reason) == (asked.name, "draft", None)
        early = await refused("sellers.wrong_state", sellers.accept(applied.id))
        assert isinstance(early, Conflict)
        assert await sellers.get_application(ada) == applied
        submitted = await fulfil(sellers, ada)
        assert (submitted.id, submitted.status) == (applied.id, "submitted")
        assert await sellers.get_membership(ada) is None
        accepted = await sellers.accept(applied.id)
        assert (accepted.status, {each.status for each in accepted.requirements}) == ("active", {"accepted"})
        assert await sellers.get_application(ada) == accepted
        acts_for = await membership(sellers, ada)
        assert (acts_for.role, acts_for.status) == ("owner", "active")
        shop = await sellers.get_shop(acts_for.seller_id)
        assert (shop.id, shop.name, shop.status) == (acts_for.seller_id, asked.name, "active")
        assert (await sellers.get_seller_page(shop.id)).name == asked.name
        # No event has been delivered.
        product = await publish(catalog, shop.id)
        assert [card.id for card in (await catalog.list_products(ProductQuery(seller=shop.id))).items] == [product.id]

    async def test_one_open_application_or_one_shop_per_person(self, sellers: Sellers) -> None:
        ada = new_id()
        first = await apply(sellers, ada)
        await refused("sellers.wrong_state", sellers.apply(ada, draft()))
        rejected = await sellers.reject(first, "not yet")
        assert (rejected.status, rejected.reason) == ("rejected", "not yet")
        assert await sellers.get_application(ada) == rejected
        second = await apply(sellers, ada)
        assert second != first
        await sellers.accept(second)
        await refused("sellers.wrong_state", sellers.apply(ada, draft()))

    async def test_what_is_decided_stays_so(self, sellers: Sellers) -> None:
        ada, bob = new_id(), new_id()
        accepted, rejected = await apply(sellers, ada), await apply(sellers, bob)
        key = verified(await sellers.accept(accepted)).key
        await sellers.reject(rejected, "no")
        acts: list[Callable[[], Awaitable[object]]] = [
            lambda: sellers.accept(rejected),
            lambda: sellers.reject(accepted, "no"),
            lambda: sellers.submit_requirement(ada, key, ACCEPTED),
            lambda: sellers.submit_requirement(bob, key, ACCEPTED),
            lambda: sellers.decide_requirement(accepted, key, "reject", "no"),
            lambda: sellers.decide_requirement(rejected, key, "accept", ""),
        ]
        for act in acts:
            assert isinstance(await refused("sellers.wrong_state", act()), Conflict)
        assert await sellers.get_membership(bob) is None
        assert (await membership(sellers, ada)).status == "active"
        assert (await sellers.get_application(bob)).status == "rejected"

    @pytest.mark.behaviour("sellers-1")
    async def test_an_operator_decides_each_requirement(self, sellers: Sellers) -> None:
        ada = new_id()
        applied = await sellers.apply(ada, draft())
        key = verified(applied).key
        # What nobody has submitted can only be waived.
        await refused("sellers.wrong_state", sellers.decide_requirement(applied.id, key, "accept", ""))
        await fulfil(sellers, ada)
        found = await sellers.decide_requirement(applied.id, key, "reject", "blurred")
        assert (found.status, verified(found).status, verified(found).detail) == ("draft", "rejected", "blurred")
        await refused("sellers.wrong_state", sellers.accept(applied.id))
        again = await sellers.submit_requirement(ada, key, ACCEPTED)
        assert (again.status, verified(again).status, verified(again).detail) == ("submitted", "submitted", None)
        found = await sellers.decide_requirement(applied.id, key, "waive", "seen in person")
        assert (found.status, verified(found).status) == ("submitted", "waived")
        assert await sellers.get_application(ada) == found
        accepted = await sellers.accept(applied.id)
        assert (accepted.status, verified(accepted).status) == ("active", "waived")

    async def test_of_equal_acts_at_once_one_counts(self, sellers: Sellers) -> None:
        ada = new_id()
        answers = await asyncio.gather(*(sellers.apply(ada, draft()) for _ in range(4)), return_exceptions=True)
        assert sorted(type(answer).__name__ for answer in answers) == ["Application", "Conflict", "Conflict", "Conflict"]
        await fulfil(sellers, ada)
        id_ = (await sellers.get_application(ada)).id
        accepted = await together(*(sellers.accept(id_) for _ in range(6)))
        assert [each == accepted[0] for each in accepted] == [True] * 6
        assert len((await sellers.list_sellers(SellerQuery())).items) == 1

    async def test_operators_see_what_they_decide_by(self, sellers: Sellers) -> None:
        people = [new_id() for _ in range(5)]
        ids = [await apply(sellers, each, f"Shop {n}") for n, each in enumerate(people)]
        await sellers.accept(ids[1])
        listed = await sellers.list_applications(ApplicationQuery(status="submitted"))
        assert {each.id: each.account_id for each in listed.items} == {
            id_: person for id_, person in zip(ids, people, strict=True) if id_ != ids[1]
        }
        one = next(each for each in listed.items if each.id == ids[0])
        assert (one.name, one.legal_name, one.country, one.contact_email) == ("Shop 0", "Kettle Ltd", "FR", "k@example.org")
        assert one.submitted[verified(one).key] == "accepted"
        query = ApplicationQuery(status="submitted", limit=2)
        by_pages = await paged(
            lambda cursor: sellers.list_applications(at(query, cursor)), between=lambda: apply(sellers, new_id())
        )
        assert [each for each in by_pages if each.id in ids] == listed.items
        cursor = (await sellers.list_applications(query)).next
        with pytest.raises(BadCursor):
            await sellers.list_applications(ApplicationQuery(status="active", cursor=cursor))

    async def test_a_shop_of_nobody_goes_to_who_applies_under_its_name(self, sellers: Sellers, catalog: Catalog) -> None:
        first, second, owner = new_id(), new_id(), new_id()
        [made] = await sellers.ensure_sellers([f"Pots {first}"], None)
        await open_shop(sellers, owner, f"Lids {owner}")
        await refused("validation", sellers.apply(new_id(), draft(f"Lids {owner}")))
        product = await publish(catalog, made.id)
        applied = {person: await apply(sellers, person, f"POTS {first}") for person in (first, second)}
        listed = {each.id: each for each in (await sellers.list_applications(ApplicationQuery(limit=100))).items}
        assert {listed[id_].takes_over for id_ in applied.values()} == {made.id}
        assert [each.takes_over for each in listed.values() if each.account_id == owner] == [None]
        await sellers.accept(applied[first])
        assert await membership(sellers, first) == Membership(made.id, "owner", "active")
        shop = await sellers.get_shop(made.id)
        assert (shop.name, shop.country) == (f"Pots {first}", "FR")
        assert (await catalog.get_product(product.id)).page is not None
        await refused("sellers.wrong_state", sellers.accept(applied[second]))
        changed = await sellers.update_shop(made.id, ShopPatch(country="PT"), None)
        assert changed.country == "PT" == (await sellers.get_terms([made.id]))[0].country

    @pytest.mark.behaviour("all-1")
    async def test_one_key_is_one_act(self, sellers: Sellers) -> None:
        ada, asked = new_id(), draft()
        applied = await _twice("apply", lambda: sellers.apply(ada, asked))
        await _reused("apply", lambda: sellers.apply(ada, draft()))
        key = verified(applied).key
        await fulfil(sellers, ada)
        await _twice("submit", lambda: sellers.submit_requirement(ada, key, RequirementValue("passport 2")))
        await _twice("decide", lambda: sellers.decide_requirement(applied.id, key, "waive", ""))
        await _reused("decide", lambda: sellers.decide_requirement(applied.id, key, "reject", ""))
        await _twice("accept", lambda: sellers.accept(applied.id))
        seller = (await membership(sellers, ada)).seller_id
        await _twice("update", lambda: sellers.update_shop(seller, ShopPatch(description="A"), None))
        await _twice("suspend", lambda: sellers.set_suspended(seller, True, "fraud"))
        await _twice("ensure", lambda: sellers.ensure_sellers([f"Pots {ada}", seller], None))
        other = await apply(sellers, new_id())
        await _twice("reject", lambda: sellers.reject(other, "no"))
        await _reused("accept", lambda: sellers.accept(other))


async def _twice(key: str, act: Callable[[], Awaitable[T]]) -> T:
    with calls.scope(calls.Call(key=key)):
        first = await act()
        assert await act() == first
    return first


async def _reused(key: str, act: Callable[[], Awaitable[object]]) -> None:
    with calls.scope(calls.Call(key=key)):
        await refused("idempotency_key_reused", act())
