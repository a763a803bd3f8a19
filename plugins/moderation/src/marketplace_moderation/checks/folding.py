"""Texts as they are meant: without accents, with letters for the signs that stand for them, and spaced words drawn together."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from msgspec import Struct

from marketplace_core.capabilities.moderation import Submission
from marketplace_moderation.checks.remembering import Remembered

__all__ = ["Written", "folded", "read", "text_of", "words_of"]

_WORD = re.compile(r"[a-z]+")
_DISGUISED = re.compile(r"(?<![a-z0-9])(?=[a-z0-9@$!|+]*[a-z])(?=[a-z]*[0-9@$!|+])[a-z0-9@$!|+]{3,}")
_SPACED = re.compile(r"(?<![a-z0-9@$!|])[a-z0-9@$!|](?:[ .\-_*/]{1,2}[a-z0-9@$!|](?![a-z0-9@$!|])){2,}")
#: Two of three signs that stand apart: few texts have them, and telling so takes less than looking for all.
_MAY_BE_SPACED = re.compile(r"[ .\-_*/][a-z0-9@$!|][ .\-_*/]{1,2}[a-z0-9@$!|](?![a-z0-9@$!|])")
_LONG = re.compile(r"([a-z])\1{2,}")
_BEYOND = re.compile(r"[^\x00-\x7f]+")
_SIGN = re.compile(r"[0-9@$!|+]")
_APART = re.compile(r"[ .\-_*/]+")
_SIGNS = str.maketrans(
    {"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i", "|": "l", "+": "t"}
)
_OTHER_ONE = str.maketrans({"1": "l"})


class Written(Struct, frozen=True):
    """What somebody wrote, read once for all checks: ``key`` of the content; ``low`` is the folded text, ``words`` are its."""

    key: str
    text: str
    low: str
    words: set[str]


def read(submissions: Sequence[Submission]) -> list[Written]:
    found = []
    for submission in submissions:
        text = text_of(submission.snapshot)
        low = folded(text)
        found.append(Written(submission.content.key, text, low, words_of(low)))
    return found


def text_of(snapshot: dict[str, str]) -> str:
    """All that was written, a line a field."""
    return "\n".join(snapshot.values())


def folded(text: str) -> str:
    """In small letters, without accents."""
    text = text.casefold()
    if text.isascii():
        return text
    return _BEYOND.sub(lambda match: _PLAIN[match[0]], text)


def _plain(signs: str) -> str:
    return "".join(sign for sign in unicodedata.normalize("NFKD", signs) if not unicodedata.combining(sign))


def words_of(text: str) -> set[str]:
    """Of a folded text: its words, and what others would be without their disguise."""
    found: set[str] = set().union(*map(_WORDS.__getitem__, text.split()))
    for match in _SPACED.finditer(text) if _MAY_BE_SPACED.search(text) else ():
        joined = _APART.sub("", match[0])
        for word in (joined, joined[1:], joined[:-1]):
            found.update(_shortened([*_undone(word)]))
    return found


def _words_in(part: str) -> tuple[str, ...]:
    """Of what stands between two spaces."""
    found = _WORD.findall(part)
    for match in _DISGUISED.finditer(part) if _SIGN.search(part) else ():
        found += _undone(match[0])
    return tuple(dict.fromkeys(_shortened(found)))


def _shortened(words: list[str]) -> list[str]:
    """With what they are without letters that stand three times or more."""
    return words + [_LONG.sub(r"\1", word) for word in words if _LONG.search(word)]


def _undone(word: str) -> Iterator[str]:
    yield word.rstrip("!").translate(_SIGNS)
    if "1" in word:
        yield word.rstrip("!").translate(_OTHER_ONE).translate(_SIGNS)


_PLAIN = Remembered(_plain)
_WORDS = Remembered(_words_in)
