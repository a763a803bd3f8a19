"""Reviews with one mistake each about those of another system."""

from __future__ import annotations

from typing import Any

import pytest
from marketplace_reviews import imports
from msgspec.structs import replace

from marketplace_core.values import new_id
from plugins.reviews.tests.wrong_reviews import Methods, Mistake

__all__ = ["IMPORTS"]


def writes_them_again(right: Any, _: Any) -> Methods:
    async def import_reviews(reviews: Any) -> Any:
        return await right.import_reviews([replace(one, id=new_id(), order_item_id=new_id()) for one in reviews])

    return {"import_reviews": import_reviews}


def has_them_wait(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    made = imports.review

    def review(given: Any) -> Any:
        found = made(given)
        found.status = "pending"
        return found

    patch.setattr(imports, "review", review)
    return {}


def says_that_all_are_written(right: Any, _: Any) -> Methods:
    async def import_reviews(reviews: Any) -> Any:
        return [replace(one, status="written") for one in await right.import_reviews(reviews)]

    return {"import_reviews": import_reviews}


IMPORTS: dict[str, dict[str, Mistake]] = {
    "test_a_review_of_another_system_is_shown_once_as_it_was": {
        mistake.__name__: mistake for mistake in (writes_them_again, has_them_wait, says_that_all_are_written)
    }
}
