"""What every provider of :class:`~marketplace_core.capabilities.reviews.Reviews` must do, on its port alone."""

from __future__ import annotations

import pytest

from marketplace_core.capabilities.reviews import Reviews
from marketplace_core.testing.contracts.reviews_authors import AuthorRules
from marketplace_core.testing.contracts.reviews_imports import ImportRules
from marketplace_core.testing.contracts.reviews_pictures import PictureRules
from marketplace_core.testing.contracts.reviews_readers import ReaderRules
from marketplace_core.testing.marketplace import Marketplace

__all__ = ["ReviewsContract"]


class ReviewsContract(AuthorRules, ImportRules, PictureRules, ReaderRules):
    """Fixture: ``market``, an empty marketplace with the provider, ``auth`` and ``users``, whose worker runs. It has no
    moderation. Of it is made ``reviews``, the port.
    """

    @pytest.fixture
    def reviews(self, market: Marketplace) -> Reviews:
        return market.port(Reviews)
