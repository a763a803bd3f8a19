"""Settings of ``[plugins.catalog]``."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["CatalogConfig"]


class CatalogConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """``slug_length``: characters of a title that its address keeps."""

    slug_length: Annotated[int, Meta(ge=10, le=200)] = 80
