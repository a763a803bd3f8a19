"""Pictures that others send: looked at whole, within limits of bytes and pixels, before anybody is shown them."""

from __future__ import annotations

import hashlib
import io
import warnings

from msgspec import Struct
from PIL import Image, ImageOps

__all__ = ["MAX_BYTES", "MAX_PIXELS", "BadPicture", "Picture", "read_picture"]

MAX_BYTES = 10 * 1_048_576
MAX_PIXELS = 50_000_000
_EXTENSIONS = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp", "GIF": "gif"}
_ORIENTATION = 0x0112


class BadPicture(Exception):
    """``code``: ``format`` (no picture, or cut), ``range`` (too large), ``not_found``; ``detail``: a sentence."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


class Picture(Struct, frozen=True):
    """``content`` as it is shown; ``name`` is the digest of what was sent, with an ending: of the same, the same."""

    content: bytes
    name: str
    width: int
    height: int


def read_picture(content: bytes, called: str) -> Picture:
    """Decoded whole: what begins as a picture may be cut. A photograph that lies on its side is turned. Use a thread.

    :raises BadPicture: it is none, or larger than it may be; ``called`` is what its detail calls it.
    """
    wanted = f"{called} is not a PNG, JPEG, WebP or GIF of at most {MAX_PIXELS // 1_000_000} megapixels."
    if len(content) > MAX_BYTES:
        raise BadPicture("range", f"{called} is larger than {MAX_BYTES >> 20} MiB.")
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content))
        with image:
            form = image.format or ""
            if form not in _EXTENSIONS or image.width * image.height > MAX_PIXELS:
                raise BadPicture("range" if form in _EXTENSIONS else "format", wanted)
            image.load()
            if image.getexif().get(_ORIENTATION, 1) != 1:
                turned = ImageOps.exif_transpose(image)
                out = io.BytesIO()
                turned.save(out, form, quality=90)
                content, (width, height) = out.getvalue(), turned.size
            else:
                width, height = image.size
    except Image.DecompressionBombError as error:
        raise BadPicture("range", wanted) from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError) as error:
        raise BadPicture("format", f"{called} is no picture, or is cut.") from error
    return Picture(content, f"{digest}.{_EXTENSIONS[form]}", width, height)
