"""Plugins to begin with: templates, which are a plugin that runs, and the names that are put into them."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from marketplace_core import capabilities
from marketplace_core._plugins.registry import installed_plugins, load_plugins
from marketplace_core.capabilities import port_name
from marketplace_core.cli._scaffold.imports import tidy
from marketplace_core.cli._scaffold.provider import provider_of

__all__ = ["BadName", "write_plugin"]

#: What the templates are called by: their plugin, and its capability.
_PLUGIN, _CAPABILITY = "wishlist", "keepsake"
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
#: Longer names make longer lines than style allows.
_LONGEST = 20
#: Words that no schema can be called without quotes.
_SQL = re.compile(
    "all|analyse|analyze|and|any|array|as|asc|both|case|cast|check|collate|column|constraint|create|default"
    "|desc|distinct|do|else|end|except|false|fetch|for|foreign|from|grant|group|having|in|initially|intersect"
    "|into|lateral|leading|limit|not|null|offset|on|only|or|order|placing|primary|references|returning|select"
    "|some|symmetric|table|then|to|trailing|true|union|unique|user|using|variadic|when|where|window|with"
    "|marketplace|public|information_schema"
)


class BadName(ValueError):
    """A name that a plugin or a capability cannot have, with what to do about it."""

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(cause)
        self.remedy = remedy


def write_plugin(name: str, capability: str | None, folder: Path) -> list[str]:
    """Write the plugin ``name`` into ``folder``, which is made, and give the paths of its files below it.

    :param capability: what it provides: one that there is, or a new one; by default a new one of the plugin's name.
    :raises BadName: it cannot be called so. :raises FileExistsError: the folder is there.
    """
    provided = capability or name
    _check(name, "plugin")
    if name in installed_plugins():
        raise BadName(f"a plugin {name!r} is installed already", "choose another name")
    port = _port(provided)
    if port is not None and capability is None:
        raise BadName(f"{name!r} is a capability already", f"choose another name, or say --capability {name} with another name")
    if port is None:
        _check(provided, "capability")
        if taken := _taken(provided):
            raise BadName(f"the capability cannot be called {provided!r}, as {taken} is", "choose another name")
    texts = _template("own") if port is None else provider_of(provided, port, _template("own"), _template("provider"))
    made = {
        _named(path, name, provided): tidy(_named(text, name, provided), f"marketplace_{name}") for path, text in texts.items()
    }
    folder.mkdir(parents=True)
    for path, text in made.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return sorted(made)


def _check(name: str, what: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        remedy = f"use up to {_LONGEST} lower-case letters and digits, words joined by _"
        raise BadName(f"{name!r} is no name of a {what}", remedy)
    if keyword.iskeyword(name) or _SQL.fullmatch(name):
        raise BadName(f"{name!r} is a word of Python or of SQL", "choose another name")


def _port(capability: str) -> type | None:
    """The port of a capability that core, or an installed plugin, declares."""
    load_plugins(tuple(installed_plugins()))
    return capabilities.port_of(capability)


def _taken(capability: str) -> str | None:
    """What of the templates has the name, or the class's name, that the capability would have."""
    words = rf"\b({capability}|{port_name(capability)})\b"
    for path, text in _template("own").items():
        code = "\n".join(line.partition("#")[0] for line in text.splitlines() if path.endswith(".py"))
        if re.search(words, code):
            return path.rpartition("/")[2]
    return None


def _named(text: str, name: str, capability: str) -> str:
    pairs = {_PLUGIN: name, _PLUGIN.capitalize(): port_name(name)}
    pairs |= {_CAPABILITY: capability, _CAPABILITY.capitalize(): port_name(capability)}
    return re.sub("|".join(pairs), lambda match: pairs[match[0]], text)


@cache
def _template(name: str) -> dict[str, str]:
    """Files by path: ``own`` is a plugin with a capability of its own, ``provider`` what is else with another's."""
    return dict(_read(files(__name__).joinpath("templates", name), ()))


def _read(folder: Traversable, above: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    entries: Iterable[Traversable] = sorted(folder.iterdir(), key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir():
            yield from _read(entry, (*above, entry.name))
        else:
            yield "/".join((*above, entry.name.removesuffix(".txt"))), entry.read_text()
