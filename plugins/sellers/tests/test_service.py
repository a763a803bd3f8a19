"""From an application to a shop that sells, on either runner."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from marketplace_core import calls
from marketplace_core.adapters.postgres import Connection
from marketplace_core.capabilities.catalog import Rating
from marketplace_core.capabilities.reviews import RatingSummary, SellerRated
from marketplace_core.capabilities.sellers import (
    ApplicationDraft,
    RequirementValue,
    SellerQuery,
    Sellers,
    ShopPatch,
)
from marketplace_core.errors import Conflict, Invalid, NotFound, PreconditionFailed, Unavailable
from marketplace_core.values import etag

#: A blank name is refused by its use case, and across processes by its type.
NOT_A_NAME = (Invalid, msgspec.ValidationError)

DRAFT = ApplicationDraft(name="Kettle & Sons", legal_name="K", country="DE", contact_email="k@example.org")

REFUSE_TO_LISTEN = """
CREATE OR REPLACE FUNCTION catalog.refuse() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN RAISE EXCEPTION 'could not serialize access' USING ERRCODE = '40001'; END $$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON catalog.sellers FOR EACH ROW EXECUTE FUNCTION catalog.refuse();
"""


async def _script(trade: Any, sql: str) -> None:
    async with trade.database.connection() as connection:
        await connection.script(sql)


# ── applying ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.behaviour("sellers-1")
async def test_from_an_application_to_a_shop(trade: Any) -> None:
    sellers = trade.sellers
    application = await sellers.apply("ada", DRAFT)
    assert (application.status, application.reason) == ("draft", None)
    assert [(each.key, each.kind, each.status) for each in application.requirements] == [
        ("contact_email", "computed", "accepted"),
        ("terms", "attested", "open"),
        ("identity", "verified", "open"),
    ]
    with pytest.raises(Invalid) as refused:
        await sellers.submit_requirement("ada", "terms", RequirementValue("yes"))
    assert [problem.pointer for problem in refused.value.errors] == ["/value"]
    await sellers.submit_requirement("ada", "terms", RequirementValue("accepted"))
    with pytest.raises(Conflict, match="identity") as early:
        await sellers.accept(application.id)
    assert early.value.code == "sellers.wrong_state"
    submitted = await sellers.submit_requirement("ada", "identity", RequirementValue("passport 1"))
    assert submitted.status == "submitted"
    assert await sellers.get_membership("ada") is None
    accepted = await sellers.accept(application.id)
    assert (accepted.status, {each.status for each in accepted.requirements}) == ("active", {"accepted"})
    assert await sellers.get_application("ada") == accepted
    membership = await sellers.get_membership("ada")
    assert membership is not None
    assert (membership.role, membership.status) == ("owner", "active")
    shop = await sellers.get_shop(membership.seller_id)
    assert (shop.name, shop.status, shop.payout_account) == ("Kettle & Sons", "active", None)
    assert [(each.category_id, each.rate) for each in shop.commission] == [(None, "0.1000")]
    assert await trade.events() == [("Kettle & Sons", "active", 1)]
    # The catalogue knows the shop already: no event has been delivered.
    assert (await trade.publish(membership.seller_id)).status == "published"


async def test_a_name_belongs_to_one_shop(trade: Any) -> None:
    waiting = await trade.apply("bob", "KETTLE & SONS")
    await trade.open_shop("ada", "Kettle & Sons")
    with pytest.raises(Invalid) as refused:
        await trade.apply("eve", "kettle  & sons")
    assert [(each.pointer, each.code) for each in refused.value.errors] == [("/name", "duplicate")]
    with pytest.raises(Conflict, match="Another shop"):
        await trade.sellers.accept(waiting)
    assert (await trade.sellers.get_application("bob")).status == "submitted"
    with pytest.raises(NOT_A_NAME):
        await trade.apply("eve", "  ")


async def test_requirements_are_a_setting(marketplace: Any) -> None:
    settings = {
        "sellers": 'requirements = [{ key = "vat_id", kind = "verified" }]\ncommission_rate = "0.055"\nimport_country = "FR"'
    }
    market = await marketplace(["catalog", "sellers"], settings=settings, worker=False)
    sellers = market.port(Sellers)
    application = await sellers.apply("ada", DRAFT)
    assert [each.key for each in application.requirements] == ["vat_id"]
    await sellers.submit_requirement("ada", "vat_id", RequirementValue("DE1"))
    await sellers.accept(application.id)
    membership = await sellers.get_membership("ada")
    assert (await sellers.get_terms([membership.seller_id]))[0].commission_rate == "0.0550"
    [imported] = await sellers.ensure_sellers(["Pots"], None)
    assert [each.country for each in await sellers.get_terms([imported.id])] == ["FR"]


# ── once ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_parallel_accepts_make_one_shop(trade: Any) -> None:
    id_ = await trade.apply()
    answers = await asyncio.gather(*(trade.sellers.accept(id_) for _ in range(6)))
    assert {answer.status for answer in answers} == {"active"}
    assert len((await trade.sellers.list_sellers(SellerQuery())).items) == 1
    assert await trade.events() == [("Kettle & Sons", "active", 1)]
    assert await trade.database.value("SELECT count(*) FROM sellers.members") == 1


@pytest.mark.behaviour("sellers-2")
@pytest.mark.parametrize("key", ["k", None])
async def test_an_answer_waits_for_the_catalogue_and_a_repeat_tells_it_again(trade: Any, key: str | None) -> None:
    seller_id = await trade.open_shop()
    product = await trade.publish(seller_id)
    await _script(trade, REFUSE_TO_LISTEN)
    call = calls.Call(key=key)
    with calls.scope(call), pytest.raises(Unavailable):
        await trade.sellers.set_suspended(seller_id, True, "fraud")
    assert (await trade.catalog.get_product(product.id)).page is not None
    await _script(trade, "DROP TRIGGER refuse ON catalog.sellers")
    with calls.scope(call) as outcome:
        assert (await trade.sellers.set_suspended(seller_id, True, "fraud")).status == "suspended"
    assert outcome.replayed is (key is not None)
    with pytest.raises(NotFound):
        await trade.catalog.get_product(product.id)
    assert [version for _, _, version in await trade.events()] == [1, 2]


async def test_accepting_is_repeated_until_the_catalogue_knows(trade: Any) -> None:
    id_ = await trade.apply()
    await _script(trade, REFUSE_TO_LISTEN)
    call = calls.Call(key="k")
    with calls.scope(call), pytest.raises(Unavailable):
        await trade.sellers.accept(id_)
    await _script(trade, "DROP TRIGGER refuse ON catalog.sellers")
    with calls.scope(call):
        assert (await trade.sellers.accept(id_)).status == "active"
    membership = await trade.sellers.get_membership("ada")
    assert (await trade.publish(membership.seller_id)).status == "published"


# ── suspension ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_closed_shop_stays_closed(trade: Any) -> None:
    seller_id = await trade.open_shop()
    await trade.database.execute("UPDATE sellers.shops SET status = 'closed'")
    for suspended in (True, False):
        with pytest.raises(Conflict):
            await trade.sellers.set_suspended(seller_id, suspended, "")
    with pytest.raises(NotFound):
        await trade.sellers.get_seller_page(seller_id)
    with pytest.raises(NotFound):
        await trade.sellers.set_suspended("nobody", True, "")


# ── the shop ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.behaviour("all-4")
async def test_a_shop_is_changed_as_it_was_read(trade: Any) -> None:
    seller_id = await trade.open_shop()
    await trade.open_shop("bob", "Other")
    read = await trade.sellers.get_shop(seller_id)
    changed = await trade.sellers.update_shop(seller_id, ShopPatch(name="Pots", description="All pots."), etag(read))
    assert (changed.name, changed.description, changed.slug) == ("Pots", "All pots.", read.slug)
    assert await trade.sellers.get_shop(seller_id) == changed
    with pytest.raises(PreconditionFailed):
        await trade.sellers.update_shop(seller_id, ShopPatch(name="Pans"), etag(read))
    with pytest.raises(Invalid) as refused:
        await trade.sellers.update_shop(seller_id, ShopPatch(name="OTHER"), None)
    assert [(each.pointer, each.code) for each in refused.value.errors] == [("/name", "duplicate")]
    with pytest.raises(NOT_A_NAME):
        await trade.sellers.update_shop(seller_id, ShopPatch(name=" "), None)
    with pytest.raises(NotFound):
        await trade.sellers.update_shop("nobody", ShopPatch(), None)
    assert await trade.sellers.update_shop(seller_id, ShopPatch(name="Pots"), None) == changed
    assert await trade.events() == [("Kettle & Sons", "active", 1), ("Other", "active", 1), ("Pots", "active", 2)]
    product = await trade.publish(seller_id)
    await trade.market.start_worker()
    await trade.market.settle()
    assert (await trade.catalog.get_product(product.id)).page.seller.name == "Pots"


async def test_many_changes_at_once_do_not_wait_for_each_other(trade: Any) -> None:
    seller_id = await trade.open_shop()
    patches = [ShopPatch(description=f"No. {n}") for n in range(20)]
    async with asyncio.timeout(20):
        await asyncio.gather(*(trade.sellers.update_shop(seller_id, patch, "*") for patch in patches))
    assert [version for _, _, version in await trade.events()] == list(range(1, 22))


async def test_terms_are_the_most_specific_that_are_valid(trade: Any) -> None:
    one, two = await trade.open_shop(country="FR"), await trade.open_shop("bob", "Other")

    async def terms() -> dict[str, tuple[str, str, str]]:
        found = await trade.sellers.get_terms([one, two, "nobody"])
        return {each.id: (each.name, each.commission_rate, each.country) for each in found}

    async def rate(seller_id: str | None, category_id: str | None, rate: str, seconds: int) -> None:
        await trade.database.execute(
            "INSERT INTO sellers.commission_rates VALUES ($1, $2, $3::text::numeric, $4)",
            seller_id,
            category_id,
            rate,
            trade.market.clock.after(seconds),
        )

    assert await terms() == {one: ("Kettle & Sons", "0.1000", "FR"), two: ("Other", "0.1000", "DE")}
    await rate(None, None, "0.12", -60)
    await rate(one, None, "0.05", -60)
    await rate(one, "toys", "0.2", -60)
    await rate(two, None, "0.01", 3600)
    assert {id_: each[1] for id_, each in (await terms()).items()} == {one: "0.0500", two: "0.1200"}
    shop = await trade.sellers.get_shop(one)
    assert [(each.category_id, each.rate) for each in shop.commission] == [(None, "0.0500"), ("toys", "0.2000")]
    await trade.market.clock.advance(3601)
    assert {id_: each[1] for id_, each in (await terms()).items()} == {one: "0.0500", two: "0.0100"}


async def test_a_page_counts_what_is_published(trade: Any) -> None:
    seller_id = await trade.open_shop()
    products = [await trade.publish(seller_id, f"pot-{n}") for n in range(3)]
    await trade.market.start_worker()

    async def count() -> int:
        await trade.market.settle()
        number: int = (await trade.sellers.get_seller_page(seller_id)).products_count
        return number

    assert await count() == 3
    await trade.catalog.archive_product(seller_id, products[0].id)
    assert await count() == 2
    await trade.catalog.publish_product(seller_id, products[0].id)
    await trade.catalog.archive_product(seller_id, products[1].id)
    assert await count() == 2
    # What is edited while its shop is suspended has no page, and comes back with the shop.
    await trade.sellers.set_suspended(seller_id, True, "")
    await trade.catalog.archive_product(seller_id, products[2].id)
    await trade.catalog.publish_product(seller_id, products[2].id)
    await trade.market.settle()
    await trade.sellers.set_suspended(seller_id, False, "")
    assert await count() == 2


@pytest.mark.behaviour("reviews-2")
async def test_a_page_shows_the_rating_that_was_told_last(trade: Any) -> None:
    seller_id = await trade.open_shop()
    for average, count in ((4.25, 4), (None, 0)):
        summary = RatingSummary(average, count, {})
        await trade.market.deliver(Sellers, SellerRated(seller_id=seller_id, rating=summary, score=3.5))
        assert (await trade.sellers.get_seller_page(seller_id)).rating == Rating(average, count)


# ── imports ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_equal_imports_in_parallel_make_one_shop_each(trade: Any) -> None:
    names = [f"Shop {n}" for n in range(5)]
    answers = await asyncio.gather(*(trade.sellers.ensure_sellers(names if n % 2 else names[::-1], None) for n in range(6)))
    ids = [{seller.name: seller.id for seller in answer} for answer in answers]
    assert all(each == ids[0] for each in ids)
    assert sum(seller.made for answer in answers for seller in answer) == 5
    assert len(await trade.events()) == 5


async def test_an_import_that_could_not_tell_the_catalogue_tells_it_at_its_repeat(trade: Any) -> None:
    await _script(trade, REFUSE_TO_LISTEN)
    with pytest.raises(Unavailable):
        await trade.sellers.ensure_sellers(["Pots", "Pans"], None)
    await _script(trade, "DROP TRIGGER refuse ON catalog.sellers")
    found = await trade.sellers.ensure_sellers(["Pots", "Pans"], None)
    for seller in found:
        assert (await trade.publish(seller.id)).status == "published"
    # What it knows it is not told again: that would empty its cache for nothing.
    await _script(trade, REFUSE_TO_LISTEN)
    await trade.sellers.ensure_sellers(["Pots", "Pans"], None)


async def test_one_statement_says_for_whom_a_person_acts(trade: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await trade.open_shop()
    seen, real = [], Connection.fetch

    async def fetch(self: Connection, sql: str, *params: Any) -> Any:
        seen.append(sql)
        return await real(self, sql, *params)

    monkeypatch.setattr(Connection, "fetch", fetch)
    assert await trade.market.process.service("sellers").get_membership("ada")
    assert len(seen) == 1
