"""What texts and pictures are like. Imports numpy and more: in a pool's process only."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence

import imagehash
import numpy as np
from datasketch import MinHash
from PIL import Image, UnidentifiedImageError

from marketplace_moderation.checks.alike import BANDS, PERMUTATIONS, Seen

__all__ = ["see", "signatures"]

_WORD = re.compile(r"\w+")
_PARTS = 3
_ROWS = PERMUTATIONS // BANDS
#: Made once: to draw its permutations anew for each text costs more than the text.
_EMPTY = MinHash(num_perm=PERMUTATIONS, seed=1)
_MAX_PIXELS = 50_000_000
_BLANK = 3.0


def signatures(texts: Sequence[str]) -> list[tuple[bytes, list[int]]]:
    """Of each folded text its signature and the bands of it."""
    found = []
    for text in texts:
        words = _WORD.findall(text)
        parts = {" ".join(words[at : at + _PARTS]) for at in range(max(len(words) - _PARTS + 1, 1))}
        made = _EMPTY.copy()
        made.update_batch([part.encode() for part in parts])
        values = made.hashvalues.astype(np.uint32)
        found.append((values.tobytes(), [_band(number, values) for number in range(BANDS)]))
    return found


def _band(number: int, values: np.ndarray) -> int:
    rows = values[number * _ROWS : (number + 1) * _ROWS].tobytes()
    return int.from_bytes(hashlib.blake2b(rows, digest_size=8, salt=bytes([number])).digest(), "big", signed=True)


def see(pictures: Sequence[bytes]) -> list[Seen]:
    """What each picture is; the size is asked before anything is unpacked."""
    return [_see(raw) for raw in pictures]


def _see(raw: bytes) -> Seen:
    try:
        with Image.open(io.BytesIO(raw)) as opened:
            if opened.width * opened.height > _MAX_PIXELS:
                return Seen("bomb")
            opened.draft("L", (256, 256))
            small = opened.convert("L").resize((32, 32))
    except Image.DecompressionBombError:
        return Seen("bomb")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return Seen("unreadable")
    if float(np.asarray(small, dtype=np.float64).std()) < _BLANK:
        return Seen("blank")
    value = int(str(imagehash.phash(small)), 16)
    return Seen("seen", value - (1 << 64) if value >> 63 else value)
