"""A Kafka cluster as one process uses it, and the role that it plays there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from marketplace_core.adapters.kafka.bus import KafkaBus
from marketplace_core.adapters.kafka.client import Cluster, Shared
from marketplace_core.adapters.kafka.kind import KafkaSettings
from marketplace_core.ports.servers import Opening, Server

__all__ = ["KafkaServer", "bus", "open_server"]

#: Less than those who ask whether we are ready wait for: an answer that does not come begins a new connection.
READY_SECONDS = 1.5


class KafkaServer(Server):
    def __init__(self, url: str, settings: KafkaSettings, deployment: str) -> None:
        self._cluster, self._deployment = Cluster(url, settings), deployment
        self._asked = Shared(self._cluster, self._cluster.admin)
        self._made: list[KafkaBus] = []

    @property
    def connection(self) -> Cluster:
        return self._cluster

    def bus(self, groups: Mapping[str, Sequence[str]]) -> KafkaBus:
        self._made.append(KafkaBus(self._cluster, self._deployment, groups=groups))
        return self._made[-1]

    async def ready(self) -> None:
        async def cluster(admin: Any) -> Any:
            return await admin.describe_cluster()

        await self._asked.ask(cluster, READY_SECONDS)

    async def close(self) -> None:
        for made in self._made:
            await made.close()
        await self._asked.close()
        await self._cluster.close()


def open_server(opening: Opening) -> KafkaServer:
    settings = opening.settings
    if not isinstance(settings, KafkaSettings):
        raise TypeError(f"the settings of {opening.name!r} are {type(settings).__name__}")
    return KafkaServer(opening.url, settings, opening.deployment)


def bus(server: KafkaServer, groups: Mapping[str, Sequence[str]]) -> KafkaBus:
    return server.bus(groups)
