"""Where in a plugin's files something stands, or went wrong: ``acme_gifts/plugin.py:12``, as an editor opens it."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["failed", "place", "raised", "returns_nothing", "said", "shown"]


def said(error: BaseException) -> str:
    """The error in one line, without what would end a cause."""
    text = " ".join(str(error).split()).replace(";", ",")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def shown(path: str) -> str:
    """Relative to the working folder where it lies below it."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def place(function: Callable[..., Any]) -> str:
    """``name (file:line)`` of a function or a class; its name alone where that has no file."""
    bare: Any = inspect.unwrap(function)
    name = getattr(bare, "__qualname__", None) or repr(bare)
    code = getattr(bare, "__code__", None)
    return f"{name} ({shown(code.co_filename)}:{code.co_firstlineno})" if code is not None else str(name)


def raised(error: BaseException, module: object) -> str:
    """``error`` with the last line of the plugin's own package on its way, else the line that raised it."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{said(error)}, at {shown(error.filename)}:{error.lineno}"
    frames = list(traceback.walk_tb(error.__traceback__))
    package = _package(getattr(module, "__name__", module))
    own = [found for found in frames if package and _package(found[0].f_globals.get("__name__")) == package]
    foreign = [
        found for found in frames if _package(found[0].f_globals.get("__name__")) not in ("importlib", "marketplace_core")
    ]
    if not (own or foreign):
        return said(error)
    frame, line = (own or foreign)[-1]
    return f"{said(error)}, at {shown(frame.f_code.co_filename)}:{line}"


def failed(hook: str, error: Exception, plugin: object) -> tuple[str, str]:
    """Cause and remedy of a hook that raises. An error of ours may know better what to do."""
    remedy = getattr(error, "remedy", "mend it there, or tell the plugin's author")
    return f"its hook {hook!r} failed ({raised(error, plugin)})", remedy


def returns_nothing(hook: str, function: Callable[..., Any]) -> tuple[str, str]:
    return f"its hook {hook!r}, {place(function)}, returns nothing", "return what it is asked for, or leave the hook out"


def _package(name: object) -> str:
    return str(name or "").partition(".")[0]
