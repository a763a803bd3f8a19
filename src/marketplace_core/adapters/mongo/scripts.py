"""What a migration's commands touch that is not their plugin's, for ``check``."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from marketplace_core.adapters.mongo.migrate import commands_of

__all__ = ["outside"]


def outside(script: str, kept: str) -> Iterator[tuple[str, str]]:
    """Collections of a script of ``<plugin>`` or ``<plugin>.<role>`` whose names do not begin so, and how they should."""
    own = kept.replace(".", "_")
    try:
        commands = commands_of(script)
    except msgspec.DecodeError:
        return  # which is told when it would run
    for command in commands:
        touched = next(iter(command.values()), None)
        if isinstance(touched, str) and not touched.startswith(f"{own}."):
            yield touched, f"{own}.{touched.rpartition('.')[2]}"
