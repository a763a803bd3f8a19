"""How names of shops are compared: as who reads them sees them."""

from __future__ import annotations

import functools
import unicodedata

from confusable_homoglyphs.confusables import confusables_data

__all__ = ["name_key"]

#: Letters by category that show nothing, and the few that are of another category.
_UNSEEN_CATEGORIES = frozenset({"Cf", "Cc", "Cn", "Co"})
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0") | frozenset(
    map(chr, (*range(0xFE00, 0xFE10), *range(0x180B, 0x180E)))
)


def name_key(name: str) -> str:
    """Equal for names that a person would take for the same; empty for one that shows nothing.

    Case, blanks, how letters are composed and what is not seen make no difference, nor does a letter of another alphabet
    that looks like a Latin one (UTS 39).
    """
    text = unicodedata.normalize("NFKC", name).casefold()
    seen = (letter for letter in text if not _is_unseen(letter))
    return " ".join("".join(map(_as_latin, seen)).split())


def _is_unseen(letter: str) -> bool:
    return letter in _UNSEEN or (unicodedata.category(letter) in _UNSEEN_CATEGORIES and not letter.isspace())


@functools.lru_cache(4096)
def _as_latin(letter: str) -> str:
    """A small letter as the Latin one or the digit that it, or its capital, looks like."""
    if letter.isascii():
        return letter
    for form in (letter, letter.upper()):
        for other in confusables_data.get(form, ()):
            alike: str = other["c"]
            if len(alike) == 1 and alike.isascii() and alike.isalnum():
                return alike.lower()
    return letter
