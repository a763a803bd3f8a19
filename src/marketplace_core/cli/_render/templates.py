"""The templates in ``deploy/``: in the package where it is installed, in the repository where it is not."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

__all__ = ["FOLDER", "fill"]

_FOLDERS = (Path(__file__).parents[2] / "deploy", Path(__file__).parents[4] / "deploy")
FOLDER = next((folder for folder in _FOLDERS if folder.is_dir()), _FOLDERS[0])


@cache
def _environment() -> Environment:
    return Environment(  # noqa: S701 - no HTML is made of it
        loader=FileSystemLoader(FOLDER),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def fill(template: str, **values: Any) -> str:
    """The text of ``deploy/<template>`` with these values; a name that it has not is an error."""
    return _environment().get_template(template).render(values)
