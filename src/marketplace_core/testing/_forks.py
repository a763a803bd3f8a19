"""One fork server for a whole test run: what a test starts of ours begins as a fork of it, for a twentieth of the CPU."""

from __future__ import annotations

import atexit
import functools
import importlib
from collections.abc import Iterator, Mapping
from subprocess import CompletedProcess

from marketplace_core._plugins.registry import installed_plugins
from marketplace_core._supervisor.forks import ForkServer
from marketplace_core.cli._warm import warm

__all__ = ["command", "forks"]

_COMMANDS = ("deployments", "imports", "operators", "processes", "running")
_SIMULATORS = ("marketplace_simulators.payments", "marketplace_simulators.carriers")


@functools.cache
def forks() -> ForkServer:
    """It knows every installed plugin. It is started by the first who asks, in the thread that lives as long as the run."""
    made = ForkServer("marketplace_core.testing._forks:warm_all", *installed_plugins())
    made.start()
    atexit.register(made.stop)
    return made


def warm_all(*plugins: str) -> Iterator[None]:
    """What a deployment's processes import, operators' commands, and the simulators where they are installed."""
    yield from warm(*plugins, *_SIMULATORS)
    for name in _COMMANDS:
        importlib.import_module(f"marketplace_core.cli.{name}")


def command(
    *arguments: object,
    given: str = "",
    env: Mapping[str, str] | None = None,
    timeout: float = 110,
) -> CompletedProcess[str]:
    """``marketplace`` with these arguments, run to its end in a process of its own; ``given`` is typed in."""
    return forks().run(["marketplace_core.cli", *map(str, arguments)], given=given, env=env, timeout=timeout)
