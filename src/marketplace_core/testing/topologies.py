"""Deployment files of a test: everything in one process, or apart as ``examples/split.toml`` has it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from marketplace_core._supervisor.ports import free_port
from marketplace_core.values import AUDIENCES

__all__ = ["APART", "Topology", "split", "together"]

#: The services of the split deployment with the plugins of each; those that are named in none are in ``market``.
APART = {
    "auth": ("auth",),
    "catalog": ("catalog", "search"),  # two processes less than there, for all tests
    "analytics": ("analytics",),  # one process must own its store
    "orders": ("orders",),
    "payments": ("payments", "payments_simulator", "reviews", "moderation"),  # likewise: two processes less
}
REPLICAS = {"orders": 2}
#: Handlers of a plugin that have a worker of their own, by its name, and those that stay with the others of the service.
WORKERS = {
    "reviews": (
        {"rating": ("reviews.on_review_changed",)},
        (
            "reviews.on_order",
            "reviews.on_review_commanded",
            "reviews.on_content_decided",
            "reviews.on_picture_decided",
            "reviews.make_pictures",
            "reviews.sweep_pictures",
        ),
    )
}
#: Further stores of plugins, each on a database of its own.
ROLES = {"reviews": {"ratings": "ratings_db"}}
_NONE: Mapping[str, Sequence[str]] = {}

_HEAD = """
[deployment]
name = "test"
profile = "test"
currency = "EUR"
clock = "movable"
secret = "file:secret"
on = {{ bus = "{bus}", jobs = "lasting", clock = "lasting", cache = "cache", blobs = "files", sagas = "{sagas}" }}
{more}
[resources]
lasting = "{lasting}"
cache = {{ url = "{cache}", role = "cache" }}
files = "{files}"
"""


class Topology:
    """``databases`` are the names of its PostgreSQL resources; :meth:`text` is its file."""

    def __init__(self, databases: Mapping[str, Sequence[str]], body: str, roles: Mapping[str, Sequence[str]] = _NONE) -> None:
        """``databases``: each with the plugins whose tables are in it; ``roles``: of a plugin, which of its roles are there,
        where that is not all of it."""
        self.databases = dict(databases)
        self._roles = roles
        self._body = body

    def text(
        self,
        urls: Mapping[str, str],
        plugins: Mapping[str, str],
        simulators: Mapping[str, str],
        deployment: str = "",
        more: Mapping[str, str] = MappingProxyType({}),
    ) -> str:
        """``urls`` of every resource by name; ``plugins`` with the TOML lines of each one's table; ``simulators`` by URL.

        ``deployment``: further TOML lines for that table; ``more``: further resources, each with what its table has beside
        the address; on ``sagas`` sagas run, events go over ``bus``, and blobs are in ``files``. A plugin whose table says what
        it is ``on`` is there.
        """
        home_of_sagas = (name for name, inside in self.databases.items() if "orchestrator" in inside)
        sagas = "sagas" if "sagas" in more else next(home_of_sagas, next(iter(self.databases)))
        bus = "bus" if "bus" in more else "lasting"
        files = urls["files"] if "files" in more else f"folder:{urls['files']}"
        named = {"lasting": urls["lasting"], "cache": urls["cache"], "files": files}
        lines = [_HEAD.format(bus=bus, sagas=sagas, more=deployment, **named)]
        lines += [f'{name} = "{urls[name]}"' for name in self.databases]
        further = {name: told for name, told in more.items() if name != "files"}
        lines += [f'{name} = {{ url = "{urls[name]}"{told and ", "}{told} }}' for name, told in further.items()]
        home = {plugin: name for name, inside in self.databases.items() for plugin in inside}
        for plugin, settings in plugins.items():
            told = "on" in tomllib.loads(settings)
            there = self._where(plugin, home[plugin]) if plugin in home and not told else {}
            on = "".join(f'on.{role} = "{name}"\n' for role, name in there.items())
            lines.append(f"[plugins.{plugin}]\n{on}{settings}")
        lines += [f'[simulators.{name}]\nlisten = "{url.removeprefix("http://")}"' for name, url in simulators.items()]
        return "\n".join(lines) + self._body

    def _where(self, plugin: str, database: str) -> dict[str, str]:
        """The databases of a plugin's roles."""
        if plugin in ROLES:
            return {plugin: database, **ROLES[plugin]}
        return dict.fromkeys(self._roles.get(plugin, ("postgres",)), database)


def together(plugins: Sequence[str]) -> Topology:
    """One service on one database, and no gateway: who opens it answers for all."""
    named = [name for name in plugins if not name.endswith("_simulator")]
    return Topology({"main": ()}, f"\n[services.market]\nplugins = {_array(named)}\n")


def split(plugins: Sequence[str], stores: Mapping[str, Sequence[str]]) -> Topology:
    """A service, a database and a worker for each of :data:`APART`, one for all others, and a gateway for each audience.

    ``stores``: which roles of a plugin, or ``postgres`` for its own, have tables in PostgreSQL.
    """
    apart = {service: [name for name in inside if name in plugins] for service, inside in APART.items()}
    apart = {service: inside for service, inside in apart.items() if inside}
    placed = {name for inside in apart.values() for name in inside}
    apart["market"] = [name for name in plugins if name not in placed]
    body = ""
    for service, inside in apart.items():
        internal = f'internal = "127.0.0.1:{free_port()}"'
        body += f"\n[services.{service}]\nplugins = {_array(inside)}\n{internal}\nreplicas = {REPLICAS.get(service, 1)}\n"
        body += _workers(inside)
    for audience in AUDIENCES:
        body += f'\n[gateways.{audience}]\naudiences = ["{audience}"]\nlisten = "127.0.0.1:{free_port()}"\n'
    databases = {service: [name for name in inside if stores[name]] for service, inside in apart.items()}
    found = {f"{service}_db": inside for service, inside in databases.items() if inside}
    further: dict[str, list[str]] = {name: [] for plugin in plugins for name in ROLES.get(plugin, {}).values()}
    return Topology(found | further, body, stores)


def _workers(plugins: Sequence[str]) -> str:
    """Of a service of these plugins; one, unless some have handlers that are to run elsewhere."""
    parted = [plugin for plugin in plugins if plugin in WORKERS]
    if not parted:
        return ""
    rest = [f"{plugin}.*" for plugin in plugins if plugin not in parted]
    rest += [handler for plugin in parted for handler in WORKERS[plugin][1]]
    own = {name: handlers for plugin in parted for name, handlers in WORKERS[plugin][0].items()}
    shown = [f"{name} = {_array(handlers)}" for name, handlers in {"worker": rest, **own}.items()]
    return f"workers = {{ {', '.join(shown)} }}\n"


def _array(names: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"
