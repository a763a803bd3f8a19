"""Marks what was found in texts."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence, Set
from typing import Protocol

from marketplace_core.capabilities.search import Highlight
from marketplace_search.domain import fold

__all__ = ["Forms", "Marker", "Stems"]

SNIPPET = 160
_WORD = re.compile(r"[^\W_]+")


class Forms(Protocol):
    """A word of a search: what counts as it."""

    @property
    def forms(self) -> Set[str]: ...

    @property
    def stems(self) -> Sequence[str]: ...


class Stems(Protocol):
    def of(self, word: str, /) -> tuple[Sequence[str], bool]:
        """The stems of a word as it is written, in small letters, and whether it is a stop word."""


class Marker:
    """Of the words of a search."""

    def __init__(self, words: Sequence[Forms], stemmer: Stems) -> None:
        self._forms = {form for word in words for form in word.forms}
        self._stems, self._stemmer = {stem for word in words for stem in word.stems}, stemmer

    def highlight(self, title: str, description: str) -> Highlight | None:
        marked, snippet = self._marked(title), None
        words = _WORD.finditer(description)
        first = next((match.start() for match in words if fold(match.group()) in self._forms), None)
        if first is not None:
            start = max(0, first - SNIPPET // 3)
            start = description.find(" ", start) + 1 if start else 0
            snippet = self._marked(description[start : start + SNIPPET])
        return Highlight(marked, snippet) if marked or snippet else None

    def _marked(self, text: str) -> str | None:
        parts, end, found = [], 0, False
        for match in _WORD.finditer(text):
            if self._is_found(match.group()):
                parts += [html.escape(text[end : match.start()]), "<em>", html.escape(match.group()), "</em>"]
                end, found = match.end(), True
        return "".join([*parts, html.escape(text[end:])]) if found else None

    def _is_found(self, word: str) -> bool:
        return fold(word) in self._forms or not self._stems.isdisjoint(self._stemmer.of(word.lower())[0])
