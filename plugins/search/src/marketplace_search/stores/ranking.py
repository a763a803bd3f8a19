"""How near a title is to what was asked, whatever found it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from marketplace_search.domain import likeness
from marketplace_search.stores.marking import Forms, Stems

__all__ = ["Mended", "corrected", "nearness"]


class Mended(Protocol):
    """A word of a search: what it may have been meant to be."""

    @property
    def text(self) -> str: ...

    @property
    def mended(self) -> Sequence[str]: ...


def nearness(words: Sequence[Forms], title: Sequence[str], stems: Stems) -> float:
    """How much of a title is just what was asked for: 1 for all of it, and nearly as much for another form of it."""
    near = likeness([word.forms for word in words], title)
    if near < 1 and any(word.stems for word in words):
        forms = [{*word.forms, *word.stems} for word in words]
        wanted = set().union(*forms)
        cut = [next((form for form in (word, *stems.of(word)[0]) if form in wanted), word) for word in title]
        near = max(near, 0.99 * likeness(forms, cut))
    return near


def corrected(words: Sequence[Mended], title: Sequence[str]) -> str | None:
    """What was looked for instead, by what stands in the best hit; None where nothing was mended."""
    if not any(word.mended for word in words):
        return None
    mended = [next((other for other in word.mended if other in title), (*word.mended, word.text)[0]) for word in words]
    return " ".join(mended)
