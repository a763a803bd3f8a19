"""The suite of the capability, over this plugin; and that the suite notices each mistake."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio

from marketplace_core.adapters.mongo import Database
from marketplace_core.capabilities.reviews import Reviews
from marketplace_core.testing.contracts import Wrong, assert_contract_fails, fixtures_of, rules
from marketplace_core.testing.contracts.reviews import ReviewsContract
from marketplace_core.testing.marketplace import Marketplace
from plugins.reviews.tests import wrong_reviews
from plugins.reviews.tests.conftest import PLUGINS, QUICK, Open
from plugins.reviews.tests.wrong_imports import IMPORTS
from plugins.reviews.tests.wrong_pictures import PICTURES

MISTAKES = {**wrong_reviews.MISTAKES, **IMPORTS, **PICTURES}


class TestReviews(ReviewsContract):
    @pytest_asyncio.fixture(params=["local", "wire"])
    async def market(self, request: pytest.FixtureRequest, marketplace: Open) -> Marketplace:
        return await marketplace(PLUGINS, runner=request.param, settings=QUICK)


@pytest.mark.xdist_group("mongo")
class TestReviewsInMongo(ReviewsContract):
    """Ratings stay where they are, so the two stores are on servers of two kinds."""

    @pytest_asyncio.fixture
    async def market(self, mongo_database: Database, marketplace: Open) -> Marketplace:
        where = 'store = "mongo"\non = { reviews = "documents", ratings = "main" }'
        return await marketplace(PLUGINS, settings={**QUICK, "reviews": where}, resources={"documents": mongo_database.url})


@pytest.mark.parametrize(("test", "name"), [(test, name) for test, wrong in MISTAKES.items() for name in wrong])
async def test_the_suite_notices(test: str, name: str, marketplace: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    market = await marketplace(PLUGINS, settings=QUICK)
    right: Any = market.port(Reviews)
    given = {"reviews": Wrong(right, MISTAKES[test][name](right, monkeypatch)), "market": market}
    await assert_contract_fails(ReviewsContract, test, **fixtures_of(ReviewsContract, test, given))


def test_every_rule_is_broken_once() -> None:
    assert rules(ReviewsContract) == set(MISTAKES)
