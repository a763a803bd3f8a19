"""Pictures beside a product file."""

from __future__ import annotations

from pathlib import Path

from marketplace_core.cli._imports.text import regular
from marketplace_core.pictures import MAX_BYTES, BadPicture, Picture, PictureSizes, read_picture

__all__ = ["find_picture"]


def find_picture(folder: Path, name: str, sizes: PictureSizes | None = None) -> Picture:
    """:raises BadPicture: it is not there, too large, or not a picture."""
    try:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise BadPicture("not_found", f"{name!r} is not beside the file.")
        if not regular(path):
            raise BadPicture("not_found", f"{name!r} is not a file.")
        if path.stat().st_size > MAX_BYTES:
            raise BadPicture("range", f"{name!r} is larger than {MAX_BYTES >> 20} MiB.")
        content = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name with NUL
        raise BadPicture("not_found", f"{name!r} is not there.") from error
    return read_picture(content, repr(name), sizes)
