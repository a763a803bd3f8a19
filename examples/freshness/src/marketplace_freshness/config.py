"""Settings of ``[plugins.freshness]``."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["FreshnessConfig"]


class FreshnessConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """``raise_by``: of what is made now. ``half_life_days``: after so many it is half of that."""

    raise_by: Annotated[float, Meta(gt=0, le=10)] = 0.5
    half_life_days: Annotated[float, Meta(gt=0)] = 14.0
