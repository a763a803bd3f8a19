"""What Redis is to a deployment: its addresses, its settings, and the roles that it plays."""

from __future__ import annotations

from typing import Literal

from marketplace_core.ports.servers import ServerKind, ServerSettings

__all__ = ["REDIS", "RedisSettings"]


class RedisSettings(ServerSettings, forbid_unknown_fields=True):
    """``role``: ``cache`` is a server without persistence that may evict; ``lasting`` keeps what it is given."""

    role: Literal["lasting", "cache"] = "lasting"

    @property
    def lasting(self) -> bool:
        return self.role == "lasting"


_OPENING = "marketplace_core.adapters.redis.opening"

REDIS = ServerKind(
    name="redis",
    schemes=("redis", "rediss", "unix"),
    open=f"{_OPENING}:open_server",
    roles={
        "bus": f"{_OPENING}:bus",
        "jobs": "marketplace_core.adapters.arq.queue:queue_on",
        "clock": f"{_OPENING}:clock",
        "cache": f"{_OPENING}:connection",
        "sessions": f"{_OPENING}:connection",
        "feed": f"{_OPENING}:feeds",
        "rates": f"{_OPENING}:rates",
    },
    truth="marketplace_core.adapters.redis.truth:RedisTruth",
    keeps=frozenset(),
    settings=RedisSettings,
    native="marketplace_core.adapters.redis.embedded:NativeRedis",
)
