"""SQL scripts for SQLite: statement by statement, and whose tables they touch."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

__all__ = ["outside", "split_statements"]

_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_NAME = r'(?P<name>"[^"]+"|\w+)'
_OPTIONS = r"(?:IF\s+(?:NOT\s+)?EXISTS\s+)?"
_TOUCHES = (
    re.compile(rf"(?:CREATE|DROP|ALTER)\s+(?:TEMP\s+|TEMPORARY\s+)?(?:TABLE|VIEW|TRIGGER)\s+{_OPTIONS}{_NAME}", re.IGNORECASE),
    re.compile(rf"CREATE\s+VIRTUAL\s+TABLE\s+{_OPTIONS}{_NAME}", re.IGNORECASE),
    re.compile(rf"(?:CREATE\s+(?:UNIQUE\s+)?|DROP\s+)INDEX\s+{_OPTIONS}{_NAME}", re.IGNORECASE),
    re.compile(rf"CREATE\s+(?:UNIQUE\s+)?INDEX\s.*?\bON\s+{_NAME}", re.IGNORECASE | re.DOTALL),
    re.compile(rf"(?:INSERT(?:\s+OR\s+\w+)?\s+INTO|REPLACE\s+INTO|UPDATE|DELETE\s+FROM)\s+{_NAME}", re.IGNORECASE),
)


def split_statements(script: str) -> list[str]:
    """The statements of a script: SQLite says itself where one is complete, also of triggers, which hold others."""
    found: list[str] = []
    begun = ""
    for part in script.split(";")[:-1]:
        begun += f"{part};"
        if sqlite3.complete_statement(begun):
            found.append(begun)
            begun = ""
    found.append(begun + script.rpartition(";")[2])
    return [text.strip() for text in found if _COMMENT.sub("", text).strip(" \t\r\n;")]


def outside(script: str, kept: str) -> Iterator[tuple[str, str]]:
    """What a script of ``<plugin>`` or ``<plugin>.<role>`` touches that does not begin with its name, and how it should."""
    own = kept.replace(".", "_")
    for statement in split_statements(script):
        bare = _COMMENT.sub(" ", statement).strip()
        for touched in _TOUCHES:
            if (match := touched.match(bare)) is not None:
                name = match["name"].strip('"')
                if name != own and not name.startswith(f"{own}_"):
                    yield name, f"{own}_{name}"
