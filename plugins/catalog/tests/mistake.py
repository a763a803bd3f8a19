"""How a store or a service of the catalogue is made wrong: by parts, by its statements, by its database."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from marketplace_core.adapters.postgres import Connection

__all__ = ["Mistake"]


@dataclasses.dataclass
class Mistake:
    """``test`` notices it. ``edits``: what stands otherwise in every statement; ``first``: what the database lacks."""

    test: str
    parts: Mapping[str, type] = dataclasses.field(default_factory=dict)
    edits: Mapping[str, str] = dataclasses.field(default_factory=dict)
    first: Sequence[str] = ()
    patches: Sequence[tuple[Any, str, Callable[..., Any]]] = ()
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    edited: set[str] = dataclasses.field(default_factory=set)

    def make(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for module, name, wrong in self.patches:
            monkeypatch.setattr(module, name, wrong, raising=False)  # builtins too
        for name in ("fetch", "execute"):
            monkeypatch.setattr(Connection, name, self._edited(getattr(Connection, name)))

    def _edited(self, right: Any) -> Any:
        async def run(connection: Connection, sql: str, *params: Any) -> Any:
            for old, new in self.edits.items():
                if old in sql:
                    self.edited.add(old)
                    sql = sql.replace(old, new)
            return await right(connection, sql, *params)

        return run
