"""Which requests are public reads that may be kept encoded, and under which key and tag."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from urllib.parse import quote_plus

import msgspec
from msgspec import Struct

from marketplace_core.adapters.redis.reads import EncodedReads
from marketplace_core.errors import MarketplaceError
from marketplace_core.http.decoding import parameters, prefixes_of
from marketplace_core.http.routing import Route, Router

__all__ = ["PublicReads", "path_pattern"]

MAX_KEY = 1024
QUERIES_REMEMBERED = 2048

Found = tuple[Route, EncodedReads, str, str]


def path_pattern(route: Route) -> re.Pattern[str]:
    """The route's whole path; a parameter is one segment, or a part of one."""
    parts = re.split(r"\{(\w+)\}", f"/{route.audience}/v1{route.path}")
    return re.compile("".join(f"(?P<{part}>[^/]+)" if index % 2 else re.escape(part) for index, part in enumerate(parts)))


class _Public(Struct, frozen=True):
    route: Route
    pattern: re.Pattern[str]
    tag: str
    query: Callable[[bytes], str | None]


class PublicReads:
    """The routes that say ``cached``, by path. A path without parameters goes before one with, as in Quart."""

    def __init__(self, routers: Sequence[Router], reads: EncodedReads | None) -> None:
        self._reads = reads
        self._fixed: dict[str, _Public | None] = {}
        self._patterns: dict[tuple[int, str], list[_Public]] = {}
        for route in (route for router in routers for route in router.routes if route.method == "GET"):
            path = f"/{route.audience}/v1{route.path}"
            public = None if route.cached is None else _Public(route, path_pattern(route), route.cached, _canonical(route))
            if not route.params:
                self._fixed[path] = public
            elif public is not None:
                self._patterns.setdefault(_shape(path), []).append(public)

    def find(self, path: str, query: bytes) -> Found | None:
        """The route, where its answers are kept, key and tag; None for everything else."""
        if self._reads is None:
            return None
        if path in self._fixed:
            public = self._fixed[path]
            return None if public is None else self._found(public, path, query, public.tag)
        for public in self._patterns.get(_shape(path), ()):
            match = public.pattern.fullmatch(path)
            if match is not None:
                return self._found(public, path, query, public.tag.format_map(match.groupdict()))
        return None

    def _found(self, public: _Public, path: str, query: bytes, tag: str) -> Found | None:
        if self._reads is None or len(path) + len(query) > MAX_KEY:
            return None
        if not query:
            return public.route, self._reads, path, tag
        canonical = public.query(query)
        return None if canonical is None else (public.route, self._reads, path + canonical, tag)


def _shape(path: str) -> tuple[int, str]:
    """What most routes differ by already: how long they are, and the first segment after the prefix."""
    parts = path.split("/", 4)
    return path.count("/"), parts[3] if len(parts) > 3 else ""


def _canonical(route: Route) -> Callable[[bytes], str | None]:
    """The query in one spelling, sorted; None for one that the route refuses."""
    prefixes = frozenset(prefixes_of(route.query))
    fields = () if route.query is None else msgspec.structs.fields(route.query)
    known = frozenset(field.encode_name for field in fields) - prefixes

    def is_known(name: str) -> bool:
        prefix, _, rest = name.partition(".")
        return name in known or (prefix in prefixes and rest != "")

    @functools.lru_cache(QUERIES_REMEMBERED)
    def canonical(raw: bytes) -> str | None:
        try:
            pairs = sorted(parameters(raw))
        except MarketplaceError:
            return None
        names = {name for name, _ in pairs}
        if not all(map(is_known, names)) or len(names) != len(pairs):
            return None
        return "?" + "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs)

    return canonical
