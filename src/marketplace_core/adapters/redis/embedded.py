"""The embedded Redis of a deployment: one server for what must last, one for what is only a cache."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace_core.adapters.native.server import EmbeddedServer
from marketplace_core.adapters.redis.native import EmbeddedRedis, Role
from marketplace_core.ports.servers import Native

__all__ = ["NativeRedis"]


class NativeRedis(Native):
    def _role(self, resource: str) -> Role:
        return "lasting" if self.deployment.resources[resource].lasting else "cache"

    def url(self, resource: str) -> str:
        return EmbeddedRedis(self.data, self._role(resource)).url

    def servers(self) -> Sequence[tuple[str, EmbeddedServer]]:
        roles = {self._role(resource) for resource in self.resources}
        return [(f"redis-{role}", EmbeddedRedis(self.data, role)) for role in sorted(roles, reverse=True)]
