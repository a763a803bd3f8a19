"""The audit: a chain of entries, each of which names the hash of the one before, so that none is changed unseen. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from marketplace_moderation.domain import Item
from marketplace_moderation.store import Entry

__all__ = ["CHECKS", "Trail", "first_broken"]

#: Who decides where no person does.
CHECKS = "checks"


class Trail:
    """What a unit of work adds after ``head``."""

    def __init__(self, head: Entry) -> None:
        self._head = head
        self.added: list[Entry] = []

    def add(self, at: datetime, actor: str, act: str, item: Item, **more: Any) -> None:
        """``actor``: the account of a moderator, ``checks`` or ``author``; who the author is stands nowhere in it."""
        told = {
            "at": at.isoformat(),
            "actor": actor,
            "act": act,
            "item": item.id,
            "content": item.key,
            "version": item.version,
            **more,
        }
        entry = json.dumps(told, sort_keys=True, ensure_ascii=False)
        last = self.added[-1] if self.added else self._head
        self.added.append(Entry(last.number + 1, entry, _hash(last, entry)))


def first_broken(before: Entry, entries: Sequence[Entry]) -> int | None:
    """The number of the first that does not follow from the one before it; None: all do."""
    for entry in entries:
        if entry.number != before.number + 1 or entry.hash != _hash(before, entry.entry):
            return before.number + 1
        before = entry
    return None


def _hash(before: Entry, entry: str) -> str:
    return hashlib.sha256(f"{before.hash}\n{before.number + 1}\n{entry}".encode()).hexdigest()
