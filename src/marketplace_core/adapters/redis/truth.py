"""Truth in Redis: what a plugin's scripts do, with an outbox of its own beside it."""

from __future__ import annotations

from functools import cached_property

from marketplace_core.adapters.redis.opening import RedisServer
from marketplace_core.adapters.redis.outbox import RedisOutbox
from marketplace_core.adapters.redis.units import RedisUnits
from marketplace_core.ports.servers import Owner, Server, Truth

__all__ = ["RedisTruth"]


class RedisTruth(Truth):
    """Units and an outbox; there is no parking yet, so that nobody listens here."""

    def __init__(self, server: Server, owner: Owner) -> None:
        if not isinstance(server, RedisServer):
            raise TypeError(f"{type(server).__name__} is no Redis")
        self._server, self._owner = server, owner
        self.place = f"{server.name}.{owner.plugin}"

    @cached_property
    def units(self) -> RedisUnits:
        return RedisUnits(self._server.connection, self._owner.clock, self._owner.plugin, self._owner.topics)

    @cached_property
    def outbox(self) -> RedisOutbox:
        return RedisOutbox(self._server.connection, self._owner.plugin)
