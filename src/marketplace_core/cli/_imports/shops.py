"""The shops of a file: names that a person would call the same are one."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from marketplace_core.capabilities.sellers import EnsuredSeller, Sellers
from marketplace_core.cli._imports.report import Count
from marketplace_core.errors import MarketplaceError

__all__ = ["Shops"]

BATCH = 500


class Shops:
    """``number`` of each in the file; :meth:`ensure` gives them ids."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._names: list[str] = []
        self._countries: list[str | None] = []
        self._good: set[int] = set()
        self._ids: dict[int, str] = {}
        self._refused: dict[int, tuple[str, str]] = {}

    def number(self, name: str, country: str | None = None, *, good: bool = False) -> int:
        """``good``: a row that can be written names it."""
        found = self._numbers.get(name)
        if found is None:
            key = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
            found = self._numbers.setdefault(key, len(self._names))
            if found == len(self._names):
                self._names.append(name)
                self._countries.append(None)
            self._numbers[name] = found
        if good:
            self._good.add(found)
        if country is not None and self._countries[found] is None:
            self._countries[found] = country
        return found

    async def ensure(self, sellers: Sellers, owner_id: str | None, count: Count) -> None:
        """Those of good rows are there afterwards, made if absent."""
        wanted = sorted(self._good)
        count.read = len(wanted)
        for start in range(0, len(wanted), BATCH):
            await self._ensure(sellers, wanted[start : start + BATCH], owner_id if start == 0 else None, count)

    async def _ensure(self, sellers: Sellers, numbers: list[int], owner_id: str | None, count: Count) -> None:
        names, countries = [self._names[n] for n in numbers], [self._countries[n] for n in numbers]
        try:
            ensured: list[EnsuredSeller] = await sellers.ensure_sellers(names, owner_id, countries)
        except MarketplaceError as error:
            if not error.is_refusal:
                raise
            if len(numbers) > 1:  # one of them is refused: the others go in
                half = len(numbers) // 2
                await self._ensure(sellers, numbers[:half], owner_id, count)
                await self._ensure(sellers, numbers[half:], None, count)
                return
            problem = error.errors[0] if error.errors else None
            code, detail = (problem.code, problem.detail) if problem else (error.code, error.detail)
            self._refused[numbers[0]] = (code, f"seller: {detail}")
            count.rejected += 1
            return
        for number, seller in zip(numbers, ensured, strict=True):
            self._ids[number] = seller.id
            count.add("written" if seller.made else "unchanged")

    def merged(self) -> Iterator[tuple[int, int]]:
        """Numbers of one shop under an earlier number: it was named by its id, too."""
        first: dict[str, int] = {}
        for number, id_ in sorted(self._ids.items()):
            if first.setdefault(id_, number) != number:
                yield number, first[id_]

    def id_of(self, number: int) -> str:
        return self._ids[number]

    def refused(self, number: int) -> tuple[str, str] | None:
        return self._refused.get(number)
