"""Rules of searching: words, misspellings, combinations of options, price ranges, and how near a title is to what was asked."""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence

__all__ = [
    "allowed_typos",
    "combinations",
    "combined",
    "distance",
    "fold",
    "likeness",
    "price_bucket",
    "price_ranges",
    "read_synonyms",
    "spelt",
    "words_of",
]

#: Options of a variant beyond these, by name, are looked for one by one: all sets of six are 63.
COMBINED = 6
#: A price belongs to the highest of these times a power of ten that it reaches.
STEPS = (1, 2, 5)
RANGES = 6
_LATIN_ENDS = "\u0250"
_LETTERS = {"\u0451": "\u0435", "ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "\u0131": "i"}
_WORD = re.compile(r"[^\W_]+")
_APART = "\x1f"
_NEXT = "\x1e"


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────


def fold(text: str) -> str:
    """Small letters without marks: ``Café`` and ``cafe`` are one word. Letters that are none without theirs (й) keep them."""
    if text.isascii():
        return text.lower()
    return "".join(_bare(letter) for letter in unicodedata.normalize("NFC", text.casefold()))


@functools.lru_cache(maxsize=4096)
def _bare(letter: str) -> str:
    plain = unicodedata.normalize("NFKD", letter)
    if plain[0] < _LATIN_ENDS:
        letter = "".join(each for each in plain if not unicodedata.combining(each))
    return _LETTERS.get(letter, letter)


def words_of(text: str) -> list[str]:
    """The folded words of a text, in order."""
    return _WORD.findall(fold(text))


def spelt(text: str) -> list[tuple[str, str]]:
    """The words of a text, each folded and as it was written, in small letters: stems need the marks."""
    return [(folded, word.lower()) for word in _WORD.findall(unicodedata.normalize("NFC", text)) if (folded := fold(word))]


def allowed_typos(word: str) -> int:
    """By a word's length: a short one would be found in anything, and what has digits is a number."""
    if len(word) < 4 or any(letter.isdigit() for letter in word):
        return 0
    return 1 if len(word) < 8 else 2


def distance(one: str, other: str, most: int) -> int:
    """Letters that are wrong, missing, too many, or swapped with their neighbour; ``most + 1`` where it is more than that."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
        before, last = last, row
    return min(last[-1], most + 1)


def likeness(asked: Sequence[Collection[str]], title: Sequence[str]) -> float:
    """How much of a title is what was asked for, and the other way round: 1 where they are the same, in the same order.

    ``asked``: for each word of the search, all forms that count as it.
    """
    if not asked or not title:
        return 0.0
    left = list(enumerate(title))
    places: list[int] = []
    for forms in asked:
        found = next((entry for entry in left if entry[1] in forms), None)
        if found is not None:
            places.append(found[0])
            left.remove(found)
    both = 2 * len(places) / (len(asked) + len(title))
    ordered = sum(a < b for a, b in itertools.pairwise(places)) / max(1, len(places) - 1)
    return both * (0.95 + 0.05 * (ordered if len(places) > 1 else 1.0))


def read_synonyms(text: str) -> dict[str, list[list[str]]]:
    """By word, what else is looked for, each of one or several words.

    A line is ``sofa, couch, settee``, which mean the same, or ``tv => television, television set``, where the first is also
    found by the others. What follows ``#`` is a remark. Only a single word is replaced.
    """
    found: dict[str, list[list[str]]] = {}
    for line in text.splitlines():
        left, arrow, right = line.partition("#")[0].partition("=>")
        sources = [words_of(part) for part in left.split(",")]
        targets = [words_of(part) for part in right.split(",")] if arrow else sources
        for source in sources:
            if len(source) == 1:
                known = found.setdefault(source[0], [])
                known += [target for target in targets if target and target != source and target not in known]
    return {word: others for word, others in found.items() if others}


# ── options ──────────────────────────────────────────────────────────────────────────────────────────────────


def combined(options: Iterable[tuple[str, str]]) -> str:
    """The token of some options that one variant has together."""
    return _NEXT.join([f"{name}{_APART}{value}" for name, value in sorted(options)])


@functools.lru_cache(maxsize=4096)
def combinations(options: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """The tokens of all that a variant with these options, sorted, can be asked for by."""
    pairs = [combined([pair]) for pair in options]
    together, others = pairs[:COMBINED], pairs[COMBINED:]
    sets = itertools.chain.from_iterable(itertools.combinations(together, n) for n in range(1, len(together) + 1))
    return (*(_NEXT.join(each) for each in sets), *others)


# ── prices ───────────────────────────────────────────────────────────────────────────────────────────────────


def price_bucket(amount: int) -> int:
    """The lower end of the range 1, 2, 5, 10, 20, … in which a price lies; 0 for nothing."""
    if amount <= 0:
        return 0
    power = _power(amount)
    return max([step for step in STEPS if step * power <= amount]) * power


def next_bucket(low: int) -> int:
    """The lower end of the range above."""
    return 1 if low == 0 else next(step * _power(low) for step in (2, 5, 10) if step * _power(low) > low)


def _power(amount: int) -> int:
    """The highest power of ten that it reaches."""
    return int("1" + "0" * (len(str(amount)) - 1))


def price_ranges(counts: Mapping[int, int]) -> list[tuple[int, int, int]]:
    """``(from, to, count)``, ascending, at most six: neighbours with the fewest between them are one range."""
    ranges = [(low, next_bucket(low), count) for low, count in sorted(counts.items()) if count]
    while len(ranges) > RANGES:
        at = min(range(len(ranges) - 1), key=lambda n: ranges[n][2] + ranges[n + 1][2])
        (low, _, some), (_, high, more) = ranges[at : at + 2]
        ranges[at : at + 2] = [(low, high, some + more)]
    return ranges
