"""A product from its seller's word to what a person decides days later, by the saga and by the queue."""

from __future__ import annotations

import pytest

from marketplace_core.capabilities.catalog import Catalog, ProductDraft, ProductPatch, SellerRef, VariantDraft
from marketplace_core.capabilities.moderation import (
    AppealDraft,
    Author,
    DecisionDraft,
    Moderation,
    QueueQuery,
)
from marketplace_core.capabilities.orchestrator import Orchestrator, SagaQuery
from marketplace_core.errors import NotFound
from marketplace_core.testing.contracts.moderation_acts import APPROVE, MOD, REJECT
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import Money, PageQuery, new_id
from plugins.moderation.tests.conftest import Open

PLUGINS = ["catalog", "moderation", "orchestrator"]
SHOP = SellerRef("shop", "Kettle")
OWN = Author("clerk", "shop")
CLEAN, HELD = "A copper kettle for a whole family.", "Cheaper on WhatsApp: +49 170 1234567."


async def opened(marketplace: Open, show: str) -> Marketplace:
    market = await marketplace(PLUGINS, settings={"catalog": f'show = "{show}"'})
    await market.port(Catalog).set_seller(SHOP, True, 1)
    return market


async def published(market: Marketplace, description: str) -> str:
    catalog = market.port(Catalog)
    variant = VariantDraft(sku=new_id(), price=Money(1999, "EUR"), stock=3)
    made = await catalog.create_product(SHOP.id, ProductDraft(title="Kettle", description=description, variants=[variant]))
    await catalog.publish_product(SHOP.id, made.id)
    return made.id


async def status(market: Marketplace, product_id: str) -> tuple[str, str | None]:
    await market.settle()
    found = await market.port(Catalog).get_seller_product(SHOP.id, product_id)
    return found.status, found.reason_code


async def decide(market: Marketplace, product_id: str, decision: DecisionDraft, who: str = MOD) -> str:
    moderation = market.port(Moderation)
    [item] = [one for one in (await moderation.list_queue(QueueQuery(kind="product"))).items if one.subject_id == product_id]
    return (await moderation.decide(who, item.id, decision)).id


@pytest.mark.behaviour("moderation-1")
@pytest.mark.parametrize("show", ["first", "approved"])
async def test_what_is_clean_is_published_by_the_saga_and_the_rest_waits(marketplace: Open, show: str) -> None:
    market = await opened(marketplace, show)
    catalog = market.port(Catalog)
    clean, held = await published(market, CLEAN), await published(market, HELD)
    before = (await catalog.get_seller_product(SHOP.id, held)).status
    assert before == ("published" if show == "first" else "in_review") or await status(market, held) == ("in_review", None)
    assert await status(market, clean) == ("published", None)
    assert await status(market, held) == ("in_review", None)
    with pytest.raises(NotFound):
        await catalog.get_product(held)
    sagas = (await market.port(Orchestrator).list_sagas(SagaQuery(name="catalog.publish"))).items
    assert [saga.status for saga in sagas] == ["done"] * 2
    await decide(market, held, APPROVE)
    assert await status(market, held) == ("published", None)
    assert (await catalog.get_product(held)).page is not None


@pytest.mark.behaviour("moderation-1")
async def test_what_a_person_rejects_is_not_edited_away_and_may_be_appealed(marketplace: Open) -> None:
    market = await opened(marketplace, "first")
    catalog, moderation = market.port(Catalog), market.port(Moderation)
    product = await published(market, HELD)
    await market.settle()
    item = await decide(market, product, REJECT)
    assert await status(market, product) == ("rejected", "abuse")
    await moderation.appeal(OWN, item, AppealDraft("It is our own number."))
    assert await status(market, product) == ("in_review", None)
    await decide(market, product, REJECT, "another")
    assert await status(market, product) == ("rejected", "abuse")
    await catalog.archive_product(SHOP.id, product)
    await catalog.publish_product(SHOP.id, product)
    assert await status(market, product) == ("rejected", "abuse"), "the same is judged once"
    await catalog.update_product(SHOP.id, product, ProductPatch(description=CLEAN), None)
    assert await status(market, product) == ("in_review", None), "a person looks at what is edited after that"
    await decide(market, product, APPROVE)
    assert await status(market, product) == ("published", None)
    [own] = (await moderation.list_own(OWN, PageQuery())).items
    assert (own.subject_id, own.decision) == (product, "approve")


async def test_an_edit_takes_the_place_of_what_waits(marketplace: Open) -> None:
    market = await opened(marketplace, "approved")
    catalog = market.port(Catalog)
    product = await published(market, HELD)
    assert await status(market, product) == ("in_review", None)
    await catalog.update_product(SHOP.id, product, ProductPatch(description=CLEAN), None)
    assert await status(market, product) == ("published", None)
    assert (await market.port(Moderation).list_queue(QueueQuery())).items == []
    await catalog.update_product(SHOP.id, product, ProductPatch(description=HELD), None)
    await catalog.archive_product(SHOP.id, product)
    assert await status(market, product) == ("archived", None), "what its seller takes back stays so"
