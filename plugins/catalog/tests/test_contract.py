"""The suite of the capability, over this plugin; and that the suite notices each mistake."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace_core.capabilities.catalog import Catalog
from marketplace_core.testing.contracts import assert_contract_fails, fixtures_of, rules
from marketplace_core.testing.contracts.catalog import CatalogContract
from plugins.catalog.tests import wrong_catalog
from plugins.catalog.tests.wrong_pictures import PICTURES

MISTAKES = {**wrong_catalog.MISTAKES, **PICTURES}


@pytest.fixture
def catalog(bench: Any) -> Catalog:
    found: Catalog = bench.catalog
    return found


@pytest.fixture
def later(bench: Any) -> Any:
    return bench.later


@pytest.fixture
def deliver(bench: Any) -> Any:
    return bench.deliver


class TestCatalog(CatalogContract):
    pass


@pytest.mark.parametrize("name", MISTAKES)
async def test_the_suite_notices(name: str, make_bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mistake = MISTAKES[name]
    bench = make_bench(**mistake.parts)
    for statement in mistake.first:
        await bench.database.execute(statement)
    mistake.make(monkeypatch)
    fixtures = {"catalog": bench.catalog, "later": bench.later, "deliver": bench.deliver, **mistake.arguments}
    await assert_contract_fails(CatalogContract, mistake.test, **fixtures_of(CatalogContract, mistake.test, fixtures))
    assert mistake.edited == set(mistake.edits), "the edit changed no statement"


def test_every_rule_is_broken_once() -> None:
    assert rules(CatalogContract) - {mistake.test for mistake in MISTAKES.values()} == {
        "test_a_cursor_of_another_list_is_refused",  # core's own
        "test_a_category_goes_or_gets_a_product_and_not_both",  # a race, which a mistake need not lose
    }
