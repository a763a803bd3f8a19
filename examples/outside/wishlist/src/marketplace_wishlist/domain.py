"""What a wish is, and how many there may be. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["Rules", "Wish"]


@dataclass(frozen=True)
class Wish:
    product_id: str
    title: str
    added_at: datetime


@dataclass(frozen=True)
class Rules:
    limit: int

    def full(self, wishes: int) -> bool:
        return wishes >= self.limit
