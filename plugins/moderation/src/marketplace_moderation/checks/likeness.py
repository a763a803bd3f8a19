"""What texts and pictures are like. Imports numpy and more: in a pool's process only."""

from __future__ import annotations

import io
import itertools
import re
import zlib
from collections.abc import Sequence
from typing import Any

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
_EMPTY = MinHash(num_perm=PERMUTATIONS, seed=1, scheme="affine32", hashfunc=zlib.crc32)
_DICE = np.random.RandomState(2)
_MIX = _DICE.randint(0, 1 << 62, _ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_SALTS = _DICE.randint(0, 1 << 63, BANDS, dtype=np.uint64)
_MAX_PIXELS = 50_000_000
_BLANK = 3.0


def signatures(texts: Sequence[str]) -> list[tuple[bytes, list[int]]]:
    """Of each folded text its signature and the bands of it."""
    made = np.empty((len(texts), PERMUTATIONS), dtype=np.uint32)
    for row, text in zip(made, texts, strict=True):
        signature = _EMPTY.copy()
        signature.update_batch(_parts(text))
        row[:] = signature.hashvalues
    return list(zip([row.tobytes() for row in made], _bands(made), strict=True))


def _parts(text: str) -> list[bytes]:
    """Three words each, as they stand beside each other: cut out of the words' bytes, which takes less than joining them."""
    words = _WORD.findall(text)
    lengths = [len(word) for word in words] if text.isascii() else [len(word.encode()) for word in words]
    whole = " ".join(words).encode()
    starts = [0, *itertools.accumulate([length + 1 for length in lengths])]
    return [whole[start : after - 1] for start, after in zip(starts, starts[_PARTS:], strict=False)] or [whole]


def _bands(made: Any) -> list[list[int]]:
    """Of each row of each signature one number, 64 bits, signed."""
    rows = made.astype(np.uint64).reshape(len(made), BANDS, _ROWS)
    mixed: list[list[int]] = ((rows * _MIX).sum(axis=2, dtype=np.uint64) ^ _SALTS).view(np.int64).tolist()
    return mixed


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
