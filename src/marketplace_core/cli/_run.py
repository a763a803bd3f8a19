"""Finding a command, running it, and telling in one line what went wrong."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import typer

from marketplace_core.commands import Failed

__all__ = ["COMMANDS", "run"]

#: Which module has which command; only that of the command which is called is imported.
COMMANDS = {
    "up": "running",
    "ps": "running",
    "check": "deployments",
    "plugins": "deployments",
    "graph": "deployments",
    "serve": "processes",
    "work": "processes",
    "migrate": "processes",
    "demo": "processes",
    "import": "imports",
    "clock": "operators",
    "events": "operators",
    "jobs": "operators",
    "sagas": "operators",
    "accounts": "operators",
    "openapi": "deployments",
    "secrets": "deployments",
    "render": "render",
    "new": "scaffolding",
}


def run(arguments: Sequence[str]) -> int:
    """Run one command. :returns: the exit code."""
    try:
        code = _commands(arguments).main(list(arguments) or ["--help"], prog_name="marketplace", standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:  # whoever read our output has gone; the interpreter would complain of it at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        return _tell(error)
    if not arguments:  # then the help is all that was shown
        return 2
    return code if isinstance(code, int) else 0


def _commands(arguments: Sequence[str]) -> Any:
    """Core's own, and those of plugins where core has none of that name, or where all are to be listed."""
    core = typer.main.get_command(command_of(arguments))
    if not _has(core, arguments):
        from marketplace_core._plugins.commands import add_plugin_commands  # noqa: PLC0415

        add_plugin_commands(core, lambda line: print(f"marketplace: {line}", file=sys.stderr, flush=True))
    return core


def _has(command: Any, arguments: Sequence[str]) -> bool:
    """Whether the arguments begin with the name of a command that is no group; groups have no options but ``--help``."""
    for argument in arguments:
        if not hasattr(command, "commands"):
            return True
        if argument not in command.commands:
            return False
        command = command.commands[argument]
    return not hasattr(command, "commands")


def command_of(arguments: Sequence[str]) -> typer.Typer:
    app = typer.Typer(help="Assemble, check and run a marketplace.", no_args_is_help=True, add_completion=False)
    app.callback()(lambda: None)
    named = arguments[0] if arguments else ""
    for module in [COMMANDS[named]] if named in COMMANDS else dict.fromkeys(COMMANDS.values()):
        app.add_typer(importlib.import_module(f"marketplace_core.cli.{module}").app)
    return app


def _tell(error: Exception) -> int:
    """One line on standard error; several for a deployment's file, which has a line for each problem."""
    problems = getattr(error, "problems", None)
    usage = getattr(error, "format_message", None)
    cause, remedy = getattr(error, "cause", None), getattr(error, "remedy", None)
    code = error.code if isinstance(error, Failed) else 1
    if problems:
        text, code = "\n".join(str(problem) for problem in problems), 2
    elif usage is not None:
        wrong = str(usage()).rstrip(".")
        text, code = f"marketplace: {wrong}; see `marketplace --help`" if wrong.count("\n") == 0 else wrong, 2
    elif cause is not None and remedy is not None:
        text = f"marketplace: {cause}; {remedy}"
    elif os.environ.get("MARKETPLACE_TRACEBACK"):
        raise error
    else:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        text = f"marketplace: it failed ({said}); set MARKETPLACE_TRACEBACK=1 and run it again to see where"
    print(text, file=sys.stderr, flush=True)
    return code
