"""Problems of a deployment file: collected, so that one reading shows them all."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

__all__ = ["DeploymentErrors", "DeploymentProblem", "Problems", "suggest"]


class DeploymentProblem(Struct, frozen=True):
    """One mistake: where it is, what it is, and what to do about it. It never holds a secret."""

    file: str
    key: str
    cause: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: {self.cause}; {self.remedy}"


class DeploymentErrors(Exception):
    """A deployment file that cannot be used, with every problem of it."""

    def __init__(self, problems: Iterable[DeploymentProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Problems:
    """Collects. A key with a problem is *known bad*: what follows from it is not told again."""

    def __init__(self, file: str | os.PathLike[str]) -> None:
        self._file = os.fspath(file)
        self._found: list[DeploymentProblem] = []

    @property
    def folder(self) -> Path:
        """What relative paths in the file start from."""
        return Path(self._file).absolute().parent

    def add(self, key: str, cause: str, remedy: str) -> None:
        cause, remedy = (" ".join(text.split()) for text in (cause, remedy))
        self._found.append(DeploymentProblem(self._file, key, cause, remedy))

    def at(self, key: str) -> bool:
        """Whether the key, or anything below it, is known bad."""
        return any(bad.key == key or bad.key.startswith((f"{key}.", f"{key}[")) for bad in self._found)

    def none_at(self, table: str, *fields: str) -> bool:
        """Whether neither the table itself nor one of these fields is known bad: then what is missing is a mistake."""
        return all(bad.key != table for bad in self._found) and not any(self.at(f"{table}.{field}") for field in fields)

    def __bool__(self) -> bool:
        return bool(self._found)

    def errors(self) -> DeploymentErrors:
        return DeploymentErrors(self._found)

    def raise_any(self) -> None:
        if self._found:
            raise self.errors()


def suggest(name: str, known: Iterable[str]) -> str | None:
    """The likeliest right name, or None."""
    close = difflib.get_close_matches(name, sorted(known), 1)
    return close[0] if close else None


def likeliest(name: str, known: Iterable[str], otherwise: str) -> str:
    """A remedy for a name that does not exist."""
    likely = suggest(name, known)
    return otherwise if likely is None else f"did you mean {likely!r}?"


def listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names)) or "none"
