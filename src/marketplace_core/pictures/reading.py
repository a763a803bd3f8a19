"""Pictures that others send: looked at whole, within limits of bytes and pixels, before anybody is shown them.

What is shown is never what was sent, but drawn anew from it: nothing else that was in the file is left, such as where a
photograph was taken, or a second format that it is as well.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from typing import TYPE_CHECKING

from msgspec import Struct

from marketplace_core.pictures.values import PictureSizes

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["MAX_BYTES", "MAX_PIXELS", "BadPicture", "Picture", "Rendition", "looks_like_picture", "read_picture"]

MAX_BYTES = 10 * 1_048_576
MAX_PIXELS = 50_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
#: How hard the encoder tries, of 0 to 6: 4 takes 60 % longer for 3 % less.
EFFORT = 2


class BadPicture(Exception):
    """``code``: ``format`` (no picture, or cut), ``range`` (too large), ``not_found``; ``detail``: a sentence."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code, detail)  # both, so that it can be pickled
        self.code, self.detail = code, detail

    def __str__(self) -> str:
        return self.detail


class Rendition(Struct, frozen=True):
    """A WebP of which no edge is longer than ``edge``."""

    content: bytes
    width: int
    height: int
    edge: int


class Picture(Struct, frozen=True):
    """``digest`` of what was sent; what is shown of it, by size. Sizes of which none is smaller than the picture are one."""

    digest: str
    renditions: dict[str, Rendition]


def looks_like_picture(head: bytes) -> bool:
    """By the first 12 bytes of a file: whether it is worth being looked at."""
    png, gif = head.startswith(b"\x89PNG\r\n\x1a\n"), head.startswith((b"GIF87a", b"GIF89a"))
    return png or gif or head.startswith(b"\xff\xd8\xff") or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def read_picture(content: bytes, called: str, sizes: PictureSizes | None = None) -> Picture:
    """Decoded whole: what begins as a picture may be cut. A photograph that lies on its side is turned. Of what moves it is the
    first frame. Use a thread or a process.

    :raises BadPicture: it is none, or larger than it may be; ``called`` is what its detail calls it.
    """
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - a gateway has no use for it

    sizes = sizes or PictureSizes()
    wanted = f"{called} is not a PNG, JPEG, WebP or GIF of at most {MAX_PIXELS // 1_000_000} megapixels."
    if len(content) > MAX_BYTES:
        raise BadPicture("range", f"{called} is larger than {MAX_BYTES >> 20} MiB.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=FORMATS)  # no other decoder sees it
        with image:
            if image.width * image.height > MAX_PIXELS:
                raise BadPicture("range", wanted)
            return Picture(hashlib.blake2b(content, digest_size=16).hexdigest(), _renditions(image, sizes))
    except UnidentifiedImageError as error:
        raise BadPicture("format", wanted) from error
    except Image.DecompressionBombError as error:
        raise BadPicture("range", wanted) from error
    except (BadPicture, MemoryError):
        raise
    except Exception as error:  # decoders raise whatever they come upon
        raise BadPicture("format", f"{called} is no picture, or is cut.") from error


def _renditions(image: Image.Image, sizes: PictureSizes) -> dict[str, Rendition]:
    """Each is made smaller from the one before."""
    from PIL import ImageOps  # noqa: PLC0415

    by_edge = sorted(((getattr(sizes, name), name) for name in ("page", "card", "thumb")), reverse=True)
    largest = by_edge[0][0]
    image.draft("RGB", (largest, largest))  # of a JPEG no more is decoded than is shown
    image.load()
    drawn = ImageOps.exif_transpose(image)
    drawn = drawn.convert("RGBA" if drawn.has_transparency_data else "RGB")
    found: dict[str, Rendition] = {}
    last: Rendition | None = None
    for edge, name in by_edge:
        if last is None or max(drawn.size) > edge:
            last = _rendition(drawn, edge, sizes.quality)
        found[name] = last
    return found


def _rendition(drawn: Image.Image, edge: int, quality: int) -> Rendition:
    from PIL import Image  # noqa: PLC0415

    drawn.thumbnail((edge, edge), Image.Resampling.LANCZOS, reducing_gap=2.0)
    out = io.BytesIO()
    drawn.save(out, "WEBP", quality=quality, method=EFFORT, exif=b"", icc_profile=b"", xmp=b"")
    return Rendition(out.getvalue(), drawn.width, drawn.height, edge)
