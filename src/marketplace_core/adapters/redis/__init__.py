"""Redis and Valkey: the bus, encoded reads, counts of requests, the deployment's clock, and a server of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketplace_core._runtime.lazy import lazily

if TYPE_CHECKING:
    from marketplace_core.adapters.redis.bus import RedisBus
    from marketplace_core.adapters.redis.server import connect, redis_errors

__all__ = ["RedisBus", "connect", "redis_errors"]

__getattr__ = lazily(__name__, {"RedisBus": "bus", "connect": "server", "redis_errors": "server"})
