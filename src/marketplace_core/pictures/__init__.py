"""Pictures that people send, by one path: kept as they came, drawn anew in each size by a job, shown, and swept once nobody
refers to them. Pillow is imported only where they are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketplace_core._runtime.lazy import lazily
from marketplace_core.pictures.reading import MAX_BYTES, MAX_PIXELS, BadPicture, Picture, read_picture
from marketplace_core.pictures.values import (
    PictureItem,
    PictureItems,
    PictureOrder,
    PictureRecord,
    PictureSize,
    PictureSizes,
    PictureStatus,
    SentPicture,
)

if TYPE_CHECKING:
    from marketplace_core.pictures.work import TYPE, Pictures, address, kept_sizes

__all__ = [
    "MAX_BYTES",
    "MAX_PIXELS",
    "TYPE",
    "BadPicture",
    "Picture",
    "PictureItem",
    "PictureItems",
    "PictureOrder",
    "PictureRecord",
    "PictureSize",
    "PictureSizes",
    "PictureStatus",
    "Pictures",
    "SentPicture",
    "address",
    "kept_sizes",
    "read_picture",
]

#: A capability names what is above, and a gateway names capabilities.
__getattr__ = lazily(__name__, dict.fromkeys(("TYPE", "Pictures", "address", "kept_sizes"), "work"))
