"""Settings of ``[plugins.analytics]``."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["AnalyticsConfig"]


class AnalyticsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """``days``: of how many a report is that does not say from when."""

    days: Annotated[int, Meta(ge=1, le=3650)] = 30
