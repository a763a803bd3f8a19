"""What is asked by the server's clock, so that those of processes need not agree."""

from __future__ import annotations

from typing import Any

__all__ = ["after", "is_over", "runs"]

#: As numbers, since SecantusDB 0.7 takes its own time and that of a document for equal.
_NOW = {"$toLong": "$$NOW"}


def after(milliseconds: object) -> dict[str, Any]:
    """So long from now: a number, or an expression of one."""
    return {"$add": ["$$NOW", milliseconds]}


def is_over(field: str) -> dict[str, Any]:
    """Whether that time has come; also where there is none."""
    return {"$lte": [{"$toLong": f"${field}"}, _NOW]}


def runs(field: str) -> dict[str, Any]:
    """Whether there is such a time, and it has not come."""
    return {"$gt": [{"$toLong": f"${field}"}, _NOW]}
