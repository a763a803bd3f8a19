"""Settings of ``[plugins.sellers]``."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from marketplace_core.capabilities.moderation import Show
from marketplace_core.capabilities.sellers import RequirementKind
from marketplace_core.values import CountryText
from marketplace_sellers.domain import COMPUTED, NO_COUNTRY

__all__ = ["RequirementSetting", "SellersConfig"]


class RequirementSetting(Struct, frozen=True, forbid_unknown_fields=True):
    key: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*\Z", max_length=64)]
    kind: RequirementKind


class SellersConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """``requirements``: what an application has to fulfil, in the order in which it is shown.

    ``commission_rate``: a decimal fraction, for sellers to whom no other rate applies.
    ``show``, of a logo: see :data:`~marketplace_core.capabilities.moderation.Show`.
    ``import_country``: ISO 3166-1 alpha-2, of shops that an import makes; ``XX`` is none.
    """

    requirements: tuple[RequirementSetting, ...] = (
        RequirementSetting("contact_email", "computed"),
        RequirementSetting("terms", "attested"),
        RequirementSetting("identity", "verified"),
    )
    commission_rate: Annotated[str, Meta(pattern=r"^(0(\.\d{1,4})?|1(\.0{1,4})?)\Z")] = "0.10"
    import_country: CountryText = NO_COUNTRY
    show: Show = "approved"

    def __post_init__(self) -> None:
        keys = [requirement.key for requirement in self.requirements]
        if len(set(keys)) < len(keys):
            raise ValueError("requirements: a key stands there twice")
        computed = {requirement.key for requirement in self.requirements if requirement.kind == "computed"}
        if unknown := sorted(computed - COMPUTED.keys()):
            raise ValueError(f"requirements: {unknown} cannot be computed; these can: {sorted(COMPUTED)}")
