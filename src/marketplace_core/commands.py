"""What a command of a plugin is made of, as core's own are: options, answers, errors, and the marketplace that it acts on.

A plugin's hook ``commands`` gives Typer apps; they stand among core's, groups of one name together. A command returns its
exit code: 0 done, 1 failed, 2 the input was wrong. Import what it works with inside of it: the list of commands is shown
without it.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

import msgspec
import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.progress import Progress

    from marketplace_core.context import PluginContext
    from marketplace_core.ports import Blobs
    from marketplace_core.ports.servers import Truth
    from marketplace_core.values import Clock

__all__ = [
    "DATA",
    "Data",
    "Failed",
    "File",
    "Json",
    "Marketplace",
    "OnFile",
    "on_marketplace",
    "print_json",
    "print_table",
    "progress",
    "unopened",
]

P = TypeVar("P")
T = TypeVar("T")

#: Where the embedded data is, if not said.
DATA = Path(".data")
File = Annotated[Path, typer.Argument(metavar="FILE", help="The deployment's file.", show_default=False)]
OnFile = Annotated[Path | None, typer.Option("--file", metavar="FILE", help="The deployment; the embedded one, if not said.")]
Data = Annotated[
    Path, typer.Option("--data", metavar="DIR", envvar="MARKETPLACE_DATA", help="The folder with the embedded data.")
]
Json = Annotated[bool, typer.Option("--json", help="Answer with one JSON document on standard output.")]


class Failed(Exception):
    """A command cannot do what it was asked to: why, what to do next, and the exit code (1, or 2 for wrong input)."""

    def __init__(self, cause: str, remedy: str, code: int = 1) -> None:
        super().__init__(f"{cause}; {remedy}")
        self.cause, self.remedy, self.code = cause, remedy, code


class Marketplace(Protocol):
    """A deployment as a command has it: every plugin's service is made in this process when it is first asked for."""

    @property
    def clock(self) -> Clock: ...

    @property
    def blobs(self) -> Blobs: ...

    def port(self, capability: type[P]) -> P:
        """The capability's port. :raises LookupError: no plugin of the deployment provides it."""

    def places(self) -> Mapping[str, Truth]:
        """One truth for each place that has an outbox."""

    def context(self, plugin: str) -> PluginContext:
        """What a plugin of the deployment is given. :raises KeyError: the deployment has no such plugin."""


def on_marketplace(file: Path | None, data: Path, act: Callable[[Marketplace], Awaitable[T]]) -> T:
    """Run ``act`` on the deployment of ``file`` (None: the embedded one), and give what it gives.

    It acts on the servers that run on ``data``; where none do, embedded ones are started for as long, and stopped again.

    :raises Failed: the marketplace refuses, or one of its servers is away.
    """
    from marketplace_core.cli._marketplace import run_on  # noqa: PLC0415

    return run_on(file, data, act)


def unopened(file: Path | None, data: Path, act: Callable[[Marketplace], Awaitable[T]]) -> T:
    """As :func:`on_marketplace`, where no server is started or asked: for what is in files of this machine alone.

    :raises Failed: the file is wrong, or what is asked for needs a server.
    """
    from marketplace_core.cli._marketplace import run_unopened  # noqa: PLC0415

    return run_unopened(file, data, act)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Columns as wide as what is in them: an id that was cut, or folded, could not be copied."""
    texts = [[*columns], *(["" if cell is None else " ".join(str(cell).split()) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for line in texts:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def print_json(document: Any) -> None:
    """The answer of a command, the last line of standard output."""
    sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    sys.stdout.flush()


@contextlib.contextmanager
def progress(counted: str | None = None) -> Iterator[Progress]:
    """Bars on a terminal, on standard error; elsewhere nothing. ``counted``: what is told by number and per second, too."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress, ProgressColumn, Task  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    class Counted(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{task.completed:,.0f} {counted}" + (f", {speed:,.0f}/s" if speed else ""))

    console = Console(stderr=True)
    columns = [*Progress.get_default_columns(), *([Counted()] if counted else [])]
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        yield bars
