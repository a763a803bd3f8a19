"""What the commands share: options, output, errors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

__all__ = ["Data", "Failed", "File", "Json", "print_json"]


class Failed(Exception):
    """A command cannot do what it was asked to: why, what to do next, and the exit code (1, or 2 for wrong input)."""

    def __init__(self, cause: str, remedy: str, code: int = 1) -> None:
        super().__init__(f"{cause}; {remedy}")
        self.cause, self.remedy, self.code = cause, remedy, code


File = Annotated[Path, typer.Argument(metavar="FILE", help="The deployment's file.", show_default=False)]
Data = Annotated[
    Path, typer.Option("--data", metavar="DIR", envvar="MARKETPLACE_DATA", help="The folder with the embedded data.")
]
Json = Annotated[bool, typer.Option("--json", help="Answer with one JSON document on standard output.")]


def print_json(document: Any) -> None:
    """The answer of a command, the last line of standard output."""
    sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    sys.stdout.flush()
