"""What every provider of :class:`~marketplace_core.capabilities.moderation.Moderation` must do, on its port alone."""

from __future__ import annotations

import pytest

from marketplace_core.capabilities.moderation import Moderation
from marketplace_core.testing.contracts.moderation_authors import AppealRules
from marketplace_core.testing.contracts.moderation_judging import JudgingRules
from marketplace_core.testing.contracts.moderation_queue import QueueRules
from marketplace_core.testing.marketplace import Marketplace

__all__ = ["ModerationContract"]


class ModerationContract(JudgingRules, QueueRules, AppealRules):
    """Fixture: ``market``, an empty marketplace with the provider alone, whose worker does not run. Of it is made
    ``moderation``, the port.
    """

    @pytest.fixture
    def moderation(self, market: Marketplace) -> Moderation:
        return market.port(Moderation)
