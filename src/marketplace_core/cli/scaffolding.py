"""``marketplace new``: code to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from marketplace_core.commands import Failed, Json, print_json

app = typer.Typer()
new = typer.Typer(help="Code to begin with.", no_args_is_help=True)
app.add_typer(new, name="new")


@new.callback()
def _new() -> None:
    """Typer makes a group of it by this: there will be more commands than one."""


@new.command()
def plugin(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Such as wishlist: of folder, tables, jobs and routes.")],
    capability: Annotated[
        str | None, typer.Option("--capability", metavar="C", help="What it provides, if not one of its own by its name.")
    ] = None,
    into: Annotated[Path, typer.Option("--into", metavar="DIR", help="Where its folder is made.")] = Path(),
    json: Json = False,
) -> int:
    """Write a plugin that runs, with one of each thing that a plugin may have, and with its tests."""
    from marketplace_core.cli._scaffold import BadName, write_plugin  # noqa: PLC0415

    folder = into / name
    try:
        written = write_plugin(name, capability, folder)
    except BadName as error:
        raise Failed(str(error), error.remedy, 2) from error
    except FileExistsError as error:
        raise Failed(f"{folder} is there already", "choose another name, or another --into", 2) from error
    if json:
        print_json({"folder": str(folder), "files": written})
        return 0
    for path in written:
        print(folder / path)
    print(f"Next:\n  pip install --editable {folder}\n  marketplace check --plugin {name}\n  pytest {folder}")
    return 0
