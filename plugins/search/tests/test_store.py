"""The suite of the store port over tantivy; and that the suite notices each mistake."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace_core.testing.contracts import assert_contract_fails, fixtures_of, rules
from plugins.search.tests.store_contract import SearchStoreContract
from plugins.search.tests.wrong_stores import MISTAKES


class TestTantivyStore(SearchStoreContract):
    pass


@pytest.mark.parametrize("name", MISTAKES)
async def test_the_suite_notices(name: str, store: Any, elsewhere: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mistake = MISTAKES[name]
    monkeypatch.setattr(mistake.where, mistake.name, mistake.wrong)
    fixtures = fixtures_of(SearchStoreContract, mistake.test, {"store": store, "elsewhere": elsewhere})
    await assert_contract_fails(SearchStoreContract, mistake.test, **fixtures, **mistake.arguments)


def test_every_rule_is_broken_once() -> None:
    assert rules(SearchStoreContract) - {mistake.test for mistake in MISTAKES.values()} == {
        "test_everything_that_is_told_of_a_product_is_found",
        "test_marks_do_not_matter",  # words lose theirs, and stems theirs: one mistake is not enough
    }
