"""How alike texts and pictures are, by what :mod:`marketplace_moderation.checks.likeness` made of them."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

__all__ = ["BANDS", "PERMUTATIONS", "Seen", "distance", "picture_bands", "share"]

PERMUTATIONS = 128
#: Of eight rows: two texts that share seven tenths of their parts share a band more often than not, nine tenths nearly always.
BANDS = 16
PICTURE_BANDS = 4


class Seen(Struct, frozen=True):
    """``hash`` is perceptual, 64 bits, signed."""

    kind: Literal["seen", "blank", "bomb", "unreadable"]
    hash: int = 0


def share(one: bytes, other: bytes) -> float:
    """Of their parts, which two texts have in common, by their signatures."""
    pairs = zip(memoryview(one).cast("I"), memoryview(other).cast("I"), strict=True)
    return sum(a == b for a, b in pairs) / PERMUTATIONS


def distance(one: int, other: int) -> int:
    """Bits in which two pictures' hashes differ."""
    return ((one ^ other) & (1 << 64) - 1).bit_count()


def picture_bands(hash_: int) -> list[int]:
    """Each quarter of the hash, told from the others: one is equal where at most three bits differ."""
    return [(number << 16) | (hash_ >> (16 * number)) & 0xFFFF for number in range(PICTURE_BANDS)]
