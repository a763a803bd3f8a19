"""Texts as they are meant: without accents, with letters for the signs that stand for them, and spaced words drawn together."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

__all__ = ["folded", "text_of", "words_of"]

_WORD = re.compile(r"[a-z]+")
_DISGUISED = re.compile(r"(?<![a-z0-9])(?=[a-z0-9@$!|+]*[a-z])(?=[a-z]*[0-9@$!|+])[a-z0-9@$!|+]{3,}")
_SPACED = re.compile(r"(?<![a-z0-9@$!|])[a-z0-9@$!|](?:[ .\-_*/]{1,2}[a-z0-9@$!|](?![a-z0-9@$!|])){2,}")
_LONG = re.compile(r"([a-z])\1{2,}")
_SIGN = re.compile(r"[0-9@$!|+]")
_APART = re.compile(r"[ .\-_*/]+")
_SIGNS = str.maketrans(
    {"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i", "|": "l", "+": "t"}
)
_OTHER_ONE = str.maketrans({"1": "l"})


def text_of(snapshot: dict[str, str]) -> str:
    """All that was written, a line a field."""
    return "\n".join(snapshot.values())


def folded(text: str) -> str:
    """In small letters, without accents."""
    text = text.casefold()
    if text.isascii():
        return text
    return "".join(sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))


def words_of(text: str) -> set[str]:
    """Of a folded text: its words, and what others would be without their disguise."""
    found = set(_WORD.findall(text))
    for match in _DISGUISED.finditer(text) if _SIGN.search(text) else ():
        found.update(_undone(match[0]))
    for match in _SPACED.finditer(text):
        joined = _APART.sub("", match[0])
        for word in (joined, joined[1:], joined[:-1]):
            found.update(_undone(word))
    if _LONG.search(text):
        found.update([_LONG.sub(r"\1", word) for word in found])
    return found


def _undone(word: str) -> Iterator[str]:
    yield word.rstrip("!").translate(_SIGNS)
    if "1" in word:
        yield word.rstrip("!").translate(_OTHER_ONE).translate(_SIGNS)
