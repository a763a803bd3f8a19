"""loyalty: what a person has bought and received, and the discount that it earns. A capability of the plugin's own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from msgspec import Struct

from marketplace_core.capabilities import declare
from marketplace_core.hookspecs import hookspec
from marketplace_core.ports import query
from marketplace_core.values import Money

if TYPE_CHECKING:
    from marketplace_core.context import PluginContext

__all__ = ["Loyalty", "LoyaltyHooks", "LoyaltyView", "NextTier", "ReachedTier", "Standing"]

# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────


class ReachedTier(Struct, frozen=True):
    """``percent`` off each purchase."""

    name: str
    percent: int


class NextTier(Struct, frozen=True):
    """The tier above; ``missing`` is what has to be bought and received until then."""

    name: str
    percent: int
    missing: Money


class Standing(Struct, frozen=True):
    """Where a person is in one currency; ``tier`` None: not yet on the first, ``next`` None: on the last."""

    spent: Money
    tier: ReachedTier | None
    next: NextTier | None


class LoyaltyView(Struct, frozen=True):
    """By currency, the deployment's first."""

    items: list[Standing]


# ── port ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Loyalty(ABC):
    @abstractmethod
    @query
    async def get_loyalty(self, account_id: str) -> LoyaltyView: ...


# ── hooks ────────────────────────────────────────────────────────────────────────────────────────────────────


class LoyaltyHooks:
    @hookspec
    def provide_loyalty(self, context: PluginContext) -> Loyalty:  # type: ignore[empty-body]
        """The capability's provider."""


declare(__name__)
