"""Settings of ``[plugins.loyalty]``."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from msgspec import Meta, Struct

from marketplace_core.values import Currency

__all__ = ["LoyaltyConfig", "TierConfig"]


class TierConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """``spent`` is what has to be bought and received, in minor units by currency; ``percent`` is then taken off."""

    name: Annotated[str, Meta(min_length=1, max_length=50)]
    percent: Annotated[int, Meta(ge=1, le=90)]
    spent: Annotated[dict[Currency, Annotated[int, Meta(ge=1)]], Meta(min_length=1)]


class LoyaltyConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """``tiers``: from the lowest to the highest. ``funded_by``: who pays for the discount."""

    tiers: Annotated[tuple[TierConfig, ...], Meta(min_length=1)]
    funded_by: Literal["platform", "seller"] = "platform"

    def __post_init__(self) -> None:
        for lower, higher in pairwise(self.tiers):
            rises = all(higher.spent[name] > lower.spent[name] for name in lower.spent.keys() & higher.spent.keys())
            if higher.percent <= lower.percent or not rises:
                raise ValueError(f"the tier {higher.name!r} must ask and give more than {lower.name!r}, which is before it")
