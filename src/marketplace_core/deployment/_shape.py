"""The first two passes: TOML, then the shape of each table. What is good of a file with mistakes is read all the same."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import msgspec
from msgspec import Meta, Struct

from marketplace_core.deployment._edge import FIRST_PORT, Edge, EdgeTable, Front, FrontTable
from marketplace_core.deployment._kinds import EMBEDDED, installed_kinds, prefix_of
from marketplace_core.deployment._limits import Limits, LimitsTable, read_limits
from marketplace_core.deployment._model import Deployment, Gateway, PluginEntry, Resource, Service, Simulator
from marketplace_core.deployment._optional import lacking
from marketplace_core.deployment._problems import Problems, likeliest, listed
from marketplace_core.deployment._references import MissingReference, is_url_reference, masked, resolve
from marketplace_core.deployment._tables import (
    NAME,
    SECTIONS,
    DeploymentTable,
    GatewayTable,
    PluginTable,
    ResourceTable,
    ServiceTable,
    SimulatorTable,
)
from marketplace_core.pictures.values import PictureSizes
from marketplace_core.validation import problems_of

__all__ = ["Raw", "parse", "read"]

T = TypeVar("T", bound=Struct)
Raw = dict[str, Any]

_TOML = {"str": "a string", "int": "a whole number", "float": "a number", "bool": "true or false"}
_TOML |= {"array": "an array", "object": "a table", "null": "nothing", "number": "a number"}


def parse(path: Path, problems: Problems) -> Raw:
    """The file as TOML. :raises DeploymentErrors: it cannot be read, or is no TOML; then nothing else is known."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        problems.add("file", f"it cannot be read ({error.strerror})", "give the path of a deployment file")
    except UnicodeDecodeError:
        problems.add("file", "it is not UTF-8", "save it as UTF-8")
    except tomllib.TOMLDecodeError as error:
        text, _, place = str(error).removesuffix(")").rpartition(" (at ")
        problems.add(place or "file", f"it is not TOML ({text or error})", "mend the line; strings need quotation marks")
    raise problems.errors()


def read(path: Path, raw: Raw, problems: Problems, *, secrets: bool) -> Deployment:
    """The parts of a deployment that have the right shape; the other parts are in ``problems``."""
    for name in sorted(raw.keys() - SECTIONS.keys()):
        problems.add(name, "there is no such section", likeliest(name, SECTIONS, f"use {listed(SECTIONS)}"))
    if "deployment" not in raw:
        problems.add("deployment", "the section is missing", 'write [deployment] with name and currency = "EUR"')
    own = _table(raw.get("deployment", {}), DeploymentTable, "deployment", problems)
    if own.currency is None and problems.none_at("deployment", "currency"):
        problems.add("deployment.currency", "it is missing", 'write currency = "EUR"')
    return Deployment(
        file=path,
        name=own.name or re.sub(r"[^\w.-]", "-", path.stem),
        profile=own.profile,
        currency=own.currency or "EUR",
        tax_included=own.tax_included,
        clock=own.clock,
        time_zone=_time_zone(own.time_zone, problems),
        secret=own.secret,
        former_secret=own.former_secret,
        trusted_proxies=tuple(own.trusted_proxies),
        on=own.on,
        hook_seconds=own.hook_seconds,
        trace_hooks=own.trace_hooks,
        trace_sample=own.trace_sample,
        trace_to=own.trace_to,
        pictures=_pictures(raw.get("pictures", {}), problems),
        limits=_limits(raw.get("limits", {}), own.profile, problems),
        resources={n: _resource(n, value, problems, secrets) for n, value in _entries(raw, "resources", problems)},
        plugins={n: _plugin(n, value, problems) for n, value in _entries(raw, "plugins", problems)},
        services={n: _service(n, value, problems) for n, value in _entries(raw, "services", problems)},
        gateways={n: _gateway(n, value, problems) for n, value in _entries(raw, "gateways", problems)},
        simulators={n: _simulator(n, value, problems) for n, value in _entries(raw, "simulators", problems)},
        edge=_clients(raw, problems),
        front=_front(raw, problems),
    )


def _time_zone(name: str, problems: Problems) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        likely = likeliest(name, available_timezones(), 'write it like "Europe/Berlin"')
        problems.add("deployment.time_zone", f"there is no time zone {name!r}", likely)
        return "UTC"
    return name


# ── the tables ───────────────────────────────────────────────────────────────────────────────────────────────


def _entries(raw: Raw, section: str, problems: Problems) -> Iterator[tuple[str, Any]]:
    value = raw.get(section, {})
    if not isinstance(value, dict):
        problems.add(section, "it is not a table", f"write [{section}.<name>]")
        return
    for name, entry in value.items():
        if not re.match(NAME, name):
            remedy = "use small letters, digits, - and _, beginning with a letter"
            problems.add(f"{section}.{name}", "this cannot be a name", remedy)
        yield name, entry


def _limits(value: Any, profile: str, problems: Problems) -> Limits:
    return read_limits(_table(value, LimitsTable, "limits", problems), value, profile, problems)


def _pictures(value: Any, problems: Problems) -> PictureSizes:
    sizes = _table(value, PictureSizes, "pictures", problems)
    if not sizes.thumb <= sizes.card <= sizes.page:
        problems.add("pictures", "its sizes are not in order", "give thumb at most card, and card at most page")
    return sizes


def _resource(name: str, value: Any, problems: Problems, secrets: bool) -> Resource:
    key = f"resources.{name}"
    table = {"url": value} if isinstance(value, str) else value
    if not isinstance(table, dict):
        problems.add(key, "it is neither an address nor a table", f'write {name} = "postgres://…"')
        table = {}
    shape = _table(table, ResourceTable, key, problems)
    if shape.url is None:
        if problems.none_at(key, "url"):
            problems.add(f"{key}.url", "it is missing", 'write url = "postgres://…"')
        return Resource(name=name, url="", kind="")
    settings = {k: v for k, v in table.items() if k not in ("url", "kind")}
    address = shape.url
    if is_url_reference(address):
        try:
            address = resolve(address, problems.folder)
        except MissingReference as missing:
            if secrets:
                problems.add(f"{key}.url" if isinstance(value, dict) else key, missing.cause, missing.remedy)
            return Resource(name=name, url=shape.url, kind=shape.kind or "", settings=settings)
    kinds, where = installed_kinds(), f"{key}.url" if isinstance(value, dict) else key
    kind = kinds.by_prefix.get(prefix_of(address))
    if kind is None:
        known = [prefix if ":" in prefix else f"{prefix}:" for prefix in kinds.by_prefix]
        wrong = prefix_of(address) or masked(address)
        cause = f"nothing is known of addresses like {wrong!r}"
        if kinds.broken:
            cause += f", and {'; '.join(kinds.broken)}"
        problems.add(where, cause, likeliest(wrong, known, f"use {listed(known)}"))
        return Resource(name=name, url=shape.url, kind="")
    if shape.kind not in (None, kind.name):
        problems.add(f"{key}.kind", f"the address is of the kind {kind.name!r}", "leave out kind")
    if missing_modules := lacking(kind.needs):
        problems.add(where, f"its driver is not installed ({listed(missing_modules)})", "install the extra that has it")
    embedded = address.startswith(EMBEDDED)
    decoded = _table(settings, kind.settings_of(embedded=embedded), key, problems)
    if any(problems.at(f"{key}.{setting}") for setting in settings):  # what it is good for is not known
        return Resource(name=name, url=shape.url, kind="")
    return Resource(
        name=name,
        url=shape.url,
        kind=kind.name,
        embedded=embedded,
        lasting=decoded.lasting,
        trial=decoded.trial,
        settings=settings,
    )


def _plugin(name: str, value: Any, problems: Problems) -> PluginEntry:
    table = _table(value, PluginTable, f"plugins.{name}", problems)
    own = {k: v for k, v in value.items() if k not in PluginTable.__struct_fields__} if isinstance(value, dict) else {}
    return PluginEntry(name=name, store=table.store, on=table.on, pick=table.pick, settings=own)


def _service(name: str, value: Any, problems: Problems) -> Service:
    key = f"services.{name}"
    table = _table(value, ServiceTable, key, problems)
    if table.plugins is None and problems.none_at(key, "plugins"):
        problems.add(f"{key}.plugins", "it is missing", 'write plugins = ["…"]')
    return Service(
        name=name,
        plugins=tuple(table.plugins or ()),
        internal=table.internal,
        address=table.address,
        replicas=table.replicas,
        workers=table.workers,
    )


def _gateway(name: str, value: Any, problems: Problems) -> Gateway:
    key = f"gateways.{name}"
    table = _table(value, GatewayTable, key, problems)
    audiences = table.audiences or ([table.audience] if table.audience else [])
    if table.audience and table.audiences:
        problems.add(f"{key}.audience", "both audience and audiences are given", "keep one of the two")
    elif not audiences and problems.none_at(key, "audience", "audiences"):
        problems.add(f"{key}.audience", "it is missing", 'write audience = "buyer"')
    if table.listen is None and problems.none_at(key, "listen"):
        problems.add(f"{key}.listen", "it is missing", 'write listen = "127.0.0.1:8000"')
    return Gateway(
        name=name, audiences=tuple(audiences), listen=table.listen or "", service=table.service, replicas=table.replicas
    )


def _simulator(name: str, value: Any, problems: Problems) -> Simulator:
    return Simulator(name=name, listen=_table(value, SimulatorTable, f"simulators.{name}", problems).listen)


def _clients(raw: Raw, problems: Problems) -> dict[str, Edge]:
    """The tables in ``[edge]``; what stands there by itself is the front's."""
    tables = {n: value for n, value in _entries(raw, "edge", problems) if n not in FrontTable.__struct_fields__}
    return {n: _client(n, value, FIRST_PORT + index, problems) for index, (n, value) in enumerate(tables.items())}


def _client(name: str, value: Any, port: int, problems: Problems) -> Edge:
    table = _table(value, EdgeTable, f"edge.{name}", problems)
    return Edge(
        name=name,
        host=table.host or "",
        gateways=tuple(table.gateways or ()),
        listen=table.listen or f"127.0.0.1:{port}",
        origins=tuple(table.origins),
        tls=table.tls,
        internal=table.internal,
        allow=tuple(table.allow),
        reads_only=table.reads_only,
    )


def _front(raw: Raw, problems: Problems) -> Front:
    edge = raw.get("edge", {})
    known = FrontTable.__struct_fields__
    own = {n: value for n, value in edge.items() if n in known} if isinstance(edge, dict) else {}
    table = _table(own, FrontTable, "edge", problems)
    return Front(
        listen=table.listen,
        cache_seconds=table.cache_seconds,
        zone=table.zone,
    )


# ── one table ────────────────────────────────────────────────────────────────────────────────────────────────


def _table(value: Any, kind: type[T], key: str, problems: Problems) -> T:
    """Decode a table without its bad fields, which are reported."""
    if not isinstance(value, dict):
        problems.add(key, "it is not a table", f"write [{key}]")
        return kind()
    good = dict(value)
    for problem in problems_of(value, kind):
        path = problem.pointer.split("/")[1:]
        good.pop(path[0], None)
        problems.add(dotted(key, problem.pointer), *_told(problem.code, problem.detail, kind, path[0]))
    return msgspec.convert(good, kind)


def dotted(key: str, pointer: str) -> str:
    """``plugins.catalog`` and ``/sizes/0`` give ``plugins.catalog.sizes[0]``."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        key += f"[{name}]" if name.isdecimal() else f".{name}"
    return key


def _told(code: str, detail: str, kind: type[Struct], field: str) -> tuple[str, str]:
    cause, remedy = told(code, detail)
    hint = get_type_hints(kind, include_extras=True).get(field)
    if code in ("format", "range", "length") and (said := _description(hint)):
        cause, remedy = ("it has not the right form" if code == "format" else cause), said
    if code == "unknown_value":
        remedy = likeliest(*_literal(detail, hint))
    return cause, remedy


def told(code: str, detail: str) -> tuple[str, str]:
    """A problem of a field as cause and remedy."""
    if code == "unknown_field":
        return "there is no such key", detail.partition("; ")[2].rstrip(".") or "leave it out"
    if code == "required":
        return "it is missing", "give it a value"
    if code == "type" and (found := re.fullmatch(r"Expected `(.+)`, got `(.+)`\.?", detail)):
        wanted, given = (" or ".join(_TOML.get(part, part) for part in side.split(" | ")) for side in found.groups())
        return f"it is {given}", f"write {wanted.removesuffix(' or nothing')}"
    return detail.rstrip(".").replace("`", "").replace(";", ","), "give another value"


def _description(hint: Any) -> str | None:
    for part in (hint, *get_args(hint)):
        for meta in getattr(part, "__metadata__", ()):
            if isinstance(meta, Meta) and meta.description:
                return meta.description
    return None


def _literal(detail: str, hint: Any) -> tuple[str, list[str], str]:
    values = _literal_values(hint)
    given = re.search(r"'([^']*)'", detail)
    return given[1] if given else "", values, f"use {listed(values)}"


def _literal_values(hint: Any) -> list[str]:
    found = []
    for part in get_args(hint):
        found += [part] if isinstance(part, str) else _literal_values(part)
    return found
