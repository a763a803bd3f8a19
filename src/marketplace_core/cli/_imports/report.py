"""What an import answers."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from marketplace_core.cli._imports.files import Recognised
from marketplace_core.cli._imports.rows import BadRow

__all__ = ["Count", "Report"]

#: As many bad rows as are listed; of a file of which each row is bad, nobody reads more.
LISTED = 20_000


class Count(Struct):
    read: int = 0
    written: int = 0
    unchanged: int = 0
    rejected: int = 0

    def add(self, status: Literal["written", "unchanged", "rejected"], number: int = 1) -> None:
        setattr(self, status, getattr(self, status) + number)


class Report(Struct):
    """``read`` is ``written + unchanged + rejected``, of each kind. ``not_listed``: bad rows beyond those in ``rejected``."""

    products: Count = field(default_factory=Count)
    variants: Count = field(default_factory=Count)
    sellers: Count = field(default_factory=Count)
    rejected: list[BadRow] = field(default_factory=list)
    not_listed: int = 0
    format: Recognised | None = None
    seconds: float = 0.0

    def reject(self, row: BadRow, *, read: bool = False) -> None:
        """``read``: it is counted for the first time."""
        self.variants.read += read
        self.variants.rejected += 1
        if len(self.rejected) < LISTED:
            self.rejected.append(row)
        else:
            self.not_listed += 1
