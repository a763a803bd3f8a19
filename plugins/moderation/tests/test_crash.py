"""Workers that are killed at any moment judge whatever was submitted, each version once, and apply whatever was decided."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter

import msgspec
import pytest

from marketplace_core.capabilities.catalog import Catalog, ProductDraft, SellerRef, VariantDraft
from marketplace_core.capabilities.moderation import Moderation, QueueQuery
from marketplace_core.testing.contracts.moderation_acts import APPROVE, MOD, REJECT, queued, submission
from marketplace_core.testing.doomed import Doomed
from marketplace_core.testing.marketplace import SECRET, Marketplace
from marketplace_core.values import Money, new_id
from plugins.moderation.tests.conftest import Open

KILLS = int(os.environ.get("MARKETPLACE_KILLS", "2"))
SEED = int(os.environ.get("MARKETPLACE_SEED", "1"))
#: Of whoever submits: a worker that starts takes seconds, in which little is to come together.
PAUSE = 0.3
PLUGINS = ["catalog", "moderation", "orchestrator"]
SHOP = SellerRef("shop", "Kettle")
CLEAN, HELD = "A copper kettle for a whole family.", "Cheaper on WhatsApp: +49 170 1234567."


@pytest.mark.behaviour("moderation-1")
@pytest.mark.timeout(600)
@pytest.mark.costly("as many kills of a worker as it is told to do")
async def test_no_kill_of_a_worker_loses_content_or_judges_it_twice(marketplace: Open) -> None:
    market = await marketplace(PLUGINS, worker=False)
    moderation, dice = market.port(Moderation), random.Random(SEED)
    await market.port(Catalog).set_seller(SHOP, True, 1)
    worker = Doomed(market.file, market.urls, SECRET, seed=SEED)
    worker.start()
    status: dict[str, str] = {}
    keys: list[str] = []
    try:
        while worker.kills < KILLS:
            await worker.check()
            for description in (CLEAN, HELD):
                status[product := await _published(market, description)] = "published" if description == CLEAN else "in_review"
                keys.append(f"product/{product}")
            reviews = [queued(submission(cause=cause)) for cause in ("new", "reported")]
            await market.emit(*reviews)
            keys += [review.subject for review in reviews]
            await _decide(moderation, dice, status)
            await asyncio.sleep(PAUSE)
        await worker.disarm()
        await market.settle(60)
        await _decide(moderation, dice, status)
        await market.settle(60)
    finally:
        await worker.stop()
    shop = [await market.port(Catalog).get_seller_product(SHOP.id, product) for product in status]
    assert {one.id: one.status for one in shop} == status and set(status.values()) <= {"published", "rejected"}
    assert (await moderation.list_queue(QueueQuery())).items == []
    audit = await moderation.verify_audit(0, "", 10_000)
    assert audit.broken_at is None and audit.entries > 0
    database = market.process.resources.database("main")
    rows = await database.fetch("SELECT entry FROM moderation.audit ORDER BY number")
    entries = [msgspec.json.decode(row["entry"]) for row in rows]
    assert Counter(one["content"] for one in entries if one["actor"] == "checks") == Counter(keys), "judged, and once"
    assert len(entries) == audit.entries
    decided = Counter(one["content"] for one in entries if one["act"] in {"approve", "reject"})
    assert decided == Counter(keys), "decided once, by the checks or by the moderator"


async def _published(market: Marketplace, description: str) -> str:
    """A product that its seller has asked to be published; gives its id."""
    catalog = market.port(Catalog)
    variant = VariantDraft(sku=new_id(), price=Money(1999, "EUR"), stock=3)
    made = await catalog.create_product(SHOP.id, ProductDraft(title="Kettle", description=description, variants=[variant]))
    await catalog.publish_product(SHOP.id, made.id)
    return made.id


async def _decide(moderation: Moderation, dice: random.Random, status: dict[str, str]) -> None:
    """All that waits now, one way or the other, and what is to become of products by it."""
    while items := (await moderation.list_queue(QueueQuery(limit=100))).items:
        for item in items:
            approves = dice.random() < 0.5
            await moderation.decide(MOD, item.id, APPROVE if approves else REJECT)
            if item.kind == "product":
                status[item.subject_id] = "published" if approves else "rejected"
