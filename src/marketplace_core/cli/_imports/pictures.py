"""Pictures beside a product file: looked at whole before they are shown."""

from __future__ import annotations

import hashlib
import io
import warnings
from pathlib import Path

from PIL import Image, ImageOps

from marketplace_core.capabilities.catalog import ImportImage
from marketplace_core.cli._imports.text import regular

__all__ = ["BadPicture", "Picture", "find_picture"]

MAX_BYTES = 10 * 1_048_576
MAX_PIXELS = 50_000_000
_EXTENSIONS = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp", "GIF": "gif"}
_ROTATED = 0x0112


class BadPicture(Exception):
    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


class Picture:
    """``content`` under ``image.key``, the digest of what was found, so that the same picture has the same key at each run."""

    def __init__(self, content: bytes, image: ImportImage) -> None:
        self.content, self.image = content, image


def find_picture(folder: Path, name: str) -> Picture:
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
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    shown, form, (width, height) = _decoded(name, content)
    return Picture(shown, ImportImage(f"catalog/{digest[:2]}/{digest}.{_EXTENSIONS[form]}", width, height))


def _decoded(name: str, content: bytes) -> tuple[bytes, str, tuple[int, int]]:
    """Decoded whole: a file that begins as a picture may be cut. A photograph that lies on its side is turned."""
    wanted = f"{name!r} is not a PNG, JPEG, WebP or GIF of at most {MAX_PIXELS // 1_000_000} megapixels."
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content))
        with image:
            form = image.format or ""
            if form not in _EXTENSIONS or image.width * image.height > MAX_PIXELS:
                raise BadPicture("range" if form in _EXTENSIONS else "format", wanted)
            image.load()
            if image.getexif().get(_ROTATED, 1) == 1:
                return content, form, image.size
            turned = ImageOps.exif_transpose(image)
            out = io.BytesIO()
            turned.save(out, form, quality=90)
            return out.getvalue(), form, turned.size
    except Image.DecompressionBombError as error:
        raise BadPicture("range", wanted) from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError) as error:
        raise BadPicture("format", f"{name!r} is no picture, or is cut.") from error
