"""Settings of ``[plugins.users]``."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["UsersConfig"]


class UsersConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """``addresses``: the most that an account keeps. ``preferences_bytes``: the most that preferences take as JSON."""

    addresses: Annotated[int, Meta(ge=1, le=1000)] = 100
    preferences_bytes: Annotated[int, Meta(ge=100, le=1_000_000)] = 16_384
