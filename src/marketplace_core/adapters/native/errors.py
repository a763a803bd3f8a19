from __future__ import annotations

from pathlib import Path


class EmbeddedError(Exception):
    """An embedded server cannot be had: what is the matter, and what whoever started it can do about it."""

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(f"{cause}: {remedy}")
        self.cause = cause
        self.remedy = remedy


def cannot_start(server: str, data: Path, error: OSError) -> EmbeddedError:
    return EmbeddedError(f"{server} cannot be started ({error})", f"let the user that you start as own {data} and all in it")
