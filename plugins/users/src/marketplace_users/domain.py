"""Merging what a person changes into what is kept. Pure."""

from __future__ import annotations

from typing import Any

__all__ = ["LEVELS", "PREFERENCES", "is_deeper", "merge_patch"]

#: The most preferences that a person has.
PREFERENCES = 100
#: How deep they are nested at most.
LEVELS = 10


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386: objects are merged, null removes a key, anything else replaces what was there."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def is_deeper(value: Any, levels: int) -> bool:
    """Whether a JSON value is nested in more than ``levels`` levels."""
    if not isinstance(value, (dict, list)):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(is_deeper(each, levels - 1) for each in inner)
