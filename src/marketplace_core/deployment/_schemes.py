"""Which address is which kind of server. A new adapter is one line here."""

from __future__ import annotations

from urllib.parse import urlsplit

from msgspec import Struct

__all__ = ["BY_PREFIX", "ONE_PROCESS", "Scheme", "prefix_of"]


class Scheme(Struct, frozen=True):
    """``settings`` are the keys that a resource's table may have beside ``url``."""

    kind: str
    embedded: bool = False
    installed: bool = True
    settings: tuple[str, ...] = ()


_REDIS = Scheme("redis", settings=("role",))
_POSTGRES = Scheme("postgres", settings=("pool",))
_FOLDER = Scheme("folder")

BY_PREFIX: dict[str, Scheme] = {
    "embedded:postgres": Scheme("postgres", embedded=True, settings=("database", "pool")),
    "embedded:redis": Scheme("redis", embedded=True, settings=("role",)),
    "embedded:folder": Scheme("folder", embedded=True),
    "postgres": _POSTGRES,
    "postgresql": _POSTGRES,
    "redis": _REDIS,
    "rediss": _REDIS,
    "unix": _REDIS,
    "folder": _FOLDER,
    "file": _FOLDER,
    "mongodb": Scheme("mongo", installed=False),
    "kafka": Scheme("kafka", installed=False, settings=("partitions", "retention")),
    "elasticsearch": Scheme("elasticsearch", installed=False, settings=("flavor",)),
    "clickhouse": Scheme("clickhouse", installed=False),
    "s3": Scheme("s3", installed=False),
    "temporal": Scheme("temporal", installed=False),
}

#: Stores that one process must own: a service that keeps its truth in one cannot be replicated.
ONE_PROCESS = frozenset({"tantivy", "chdb"})


def prefix_of(url: str) -> str:
    """The key into :data:`BY_PREFIX`."""
    return url if url.startswith("embedded:") else urlsplit(url).scheme
