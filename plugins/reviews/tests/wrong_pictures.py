"""Reviews with one mistake each about their pictures."""

from __future__ import annotations

from typing import Any

import pytest
from marketplace_reviews.stores.postgres import PostgresReviewStore

from plugins.reviews.tests.wrong_reviews import Methods, Mistake

__all__ = ["PICTURES"]


def takes_pictures_of_anybody(right: Any, _: Any) -> Methods:
    async def add_images(account_id: str, review_id: str, sent: Any) -> Any:
        found = await right._store.find(review_id)
        return await right.add_images(found.account_id if found else account_id, review_id, sent)

    return {"add_images": add_images}


def takes_them_away_at_an_edit(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    right = PostgresReviewStore.save

    async def save(self: Any, uow: Any, review: Any) -> None:
        await right(self, uow, review)
        if review.version > 1:
            await self._database.on(uow).execute("DELETE FROM reviews.pictures WHERE review_id = $1", review.id)

    patch.setattr(PostgresReviewStore, "save", save)
    return {}


PICTURES: dict[str, dict[str, Mistake]] = {
    "test_pictures_are_their_authors_and_stay_with_the_review": {
        mistake.__name__: mistake for mistake in (takes_pictures_of_anybody, takes_them_away_at_an_edit)
    }
}
