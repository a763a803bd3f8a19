"""``[limits]``: how often a client may ask, and how long a request may take to arrive."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct, field

from marketplace_core.deployment._problems import Problems, likeliest, listed

if TYPE_CHECKING:
    from marketplace_core.http.routing import Route

__all__ = ["Limits", "LimitsTable", "Rate", "read_limits", "unknown_rates"]

SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
LOOPBACK = ("127.0.0.0/8", "::1/128")
_RATE = re.compile(r"([1-9]\d{0,8})/(second|minute|hour|day)").fullmatch
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}").fullmatch


class Rate(Struct, frozen=True):
    """So many requests in any so many seconds."""

    requests: int
    seconds: int


#: What is limited without a word in the file. Addresses are shared by offices and by whole mobile networks.
RATES = {
    "general": Rate(600, 60),
    "login": Rate(30, 60),
    "register": Rate(30, 3600),
    "refresh": Rate(120, 60),
    "password": Rate(20, 3600),
    "carts": Rate(600, 3600),
}


class Limits(Struct, frozen=True, kw_only=True):
    """``rates`` by name; a route says which it is under. ``exempt`` are networks that no rate holds for.

    ``header_seconds`` is the time for a request's header, and how long an idle connection may keep us waiting for the next
    one. ``body_seconds`` is that for a body, and for each part of it; a KiB that has come adds a second to the whole.
    ``connections`` are open at once on a listener.
    """

    rates: dict[str, Rate] = field(default_factory=lambda: dict(RATES))
    exempt: tuple[str, ...] = ()
    header_seconds: int = 30
    body_seconds: float = 20.0
    connections: int = 4096


class LimitsTable(Struct):
    """Rates stand beside these, each as ``"600/minute"``."""

    exempt: list[str] | None = None
    header_seconds: Annotated[int, Meta(ge=1, le=300, description="give whole seconds, 1 to 300")] = 30
    body_seconds: Annotated[float, Meta(ge=1, le=300, description="give seconds, 1 to 300")] = 20.0
    connections: Annotated[int, Meta(ge=16, le=100_000, description="give 16 to 100000 connections")] = 4096


def read_limits(table: LimitsTable, raw: Any, profile: str, problems: Problems) -> Limits:
    """The section, with defaults for what it does not name."""
    rates = dict(RATES)
    for name, value in raw.items() if isinstance(raw, dict) else ():
        if name not in LimitsTable.__struct_fields__:
            rates[name] = _rate(name, value, problems) or RATES.get(name, RATES["general"])
    exempt: tuple[str, ...] = LOOPBACK if profile in ("embedded", "test") else ()
    if table.exempt is not None:
        exempt = tuple(table.exempt)
        for index, network in enumerate(exempt):
            if not is_network(network):
                cause = f"{network!r} is no network of addresses"
                problems.add(f"limits.exempt[{index}]", cause, 'write it as "10.0.0.0/8"')
    return Limits(
        rates=rates,
        exempt=tuple(network for network in exempt if is_network(network)),
        header_seconds=table.header_seconds,
        body_seconds=table.body_seconds,
        connections=table.connections,
    )


def is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _rate(name: str, value: Any, problems: Problems) -> Rate | None:
    if not _NAME(name):
        problems.add(f"limits.{name}", "this cannot be a name", "use small letters, digits and _, beginning with a letter")
        return None
    found = _RATE(value) if isinstance(value, str) else None
    if found is None:
        remedy = 'write it as "600/minute"; a second, minute, hour or day'
        problems.add(f"limits.{name}", f"{value!r} is no rate", remedy)
        return None
    return Rate(int(found[1]), SECONDS[found[2]])


def unknown_rates(limits: Limits, routes: Iterable[Route], problems: Problems) -> None:
    """A rate that no route is under, and a route under none of the rates."""
    asked = {route.rate: f"{route.method} /{route.audience}/v1{route.path}" for route in routes}
    for name in limits.rates.keys() - RATES.keys() - asked.keys():
        known = {*RATES, *asked, *LimitsTable.__struct_fields__}
        remedy = likeliest(name, known, f"use {listed(known)}")
        if not problems.at(f"limits.{name}"):
            problems.add(f"limits.{name}", "there is no such limit, and no route is under it", remedy)
    for name in sorted(asked.keys() - limits.rates.keys()):
        problems.add(f"limits.{name}", f"{asked[name]} is under it, and it is not set", f'write {name} = "60/minute"')
