"""What a function makes of words, kept: most words of a text were in texts before."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["Remembered"]

T = TypeVar("T")

#: Whoever writes decides what is kept, so that it has a bound: so many, and none that is longer than words are.
MOST, LONGEST = 20_000, 40


class Remembered(dict[str, T]):
    """``remembered[word]`` is what ``make(word)`` gives, which is the same each time."""

    def __init__(self, make: Callable[[str], T]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, word: str) -> T:
        made = self._make(word)
        if len(word) <= LONGEST:
            if len(self) >= MOST:
                self.clear()
            self[word] = made
        return made
