"""Tables as TOML: the standard library reads it, and does not write it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["toml"]

_BARE = re.compile(r"[A-Za-z0-9_-]+").fullmatch


def toml(table: Mapping[str, Any], head: str) -> str:
    """A whole file, below the comment ``head``: tables of tables with a head of their own each, in their order."""
    return f"# {head}\n\n" + "\n".join(_lines(table)).lstrip("\n") + "\n"


def _lines(table: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for name, value in table.items():
        if not isinstance(value, dict):
            yield f"{_key(name)} = {_inline(value)}"
    for name, value in table.items():
        if isinstance(value, dict):
            below = f"{path}.{_key(name)}" if path else _key(name)
            yield f"\n[{below}]"
            yield from _lines(value, below)


def _key(name: str) -> str:
    return name if _BARE(name) else _text(name)


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(name)} = {_inline(item)}" for name, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_inline(item) for item in value) + "]"
    if isinstance(value, bool | str):
        return _text(value)
    return str(value)


def _text(value: bool | str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
