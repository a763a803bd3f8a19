"""The bus on Kafka: a topic per topic, its partitions by key, a consumer group per group.

Anybody may read them: a record is an event's envelope as JSON under its aggregate's key, with its type, sequence and writer as
headers. Its topics are ``<deployment>.<topic>``, its groups ``<deployment>.<group>``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any

from marketplace_core.adapters.kafka import messages as records
from marketplace_core.adapters.kafka.client import Cluster, Shared
from marketplace_core.adapters.kafka.consumer import KafkaConsumer
from marketplace_core.adapters.kafka.lag import Lag
from marketplace_core.adapters.kafka.publisher import Publisher
from marketplace_core.adapters.kafka.topics import Change, changes, make
from marketplace_core.ports import Bus, Consumer, Message
from marketplace_core.ports.servers import MigrationError, Step

__all__ = ["KafkaBus"]

MIGRATE_SECONDS = 60.0


class KafkaBus(Bus):
    public = True

    def __init__(
        self,
        cluster: Cluster,
        prefix: str,
        *,
        groups: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """``prefix``: the deployment's name. ``groups`` are those that the whole deployment declares, with their topics: while
        one of them reads, no topic is widened."""
        self._cluster, self._prefix = cluster, prefix
        self._groups = dict(groups or {})

    # Made when first used: a process that only publishes, or only reads, has no more.

    @cached_property
    def _publisher(self) -> Publisher:
        return Publisher(self._cluster, self._prefix)

    @cached_property
    def _admin(self) -> Shared:
        return Shared(self._cluster, self._cluster.admin)

    @cached_property
    def _lag(self) -> Lag:
        return Lag(self._cluster, self._prefix, self._admin)

    async def publish(self, messages: Sequence[Message]) -> None:
        if messages:
            await self._publisher.publish(messages)

    def consume(self, group: str, topics: Sequence[str]) -> Consumer:
        return KafkaConsumer(self._cluster, self._prefix, group, topics)

    def read(self, topic: str, raw: bytes) -> Message:
        return records.read(topic, raw)

    async def lag(self, groups: Mapping[str, Sequence[str]]) -> int:
        return sum((await self.lags(groups)).values())

    async def lags(self, groups: Mapping[str, Sequence[str]]) -> dict[str, int]:
        return await self._lag.of(groups)

    async def missing(self, topics: Collection[str]) -> list[Step]:
        names = [records.topic_name(self._prefix, topic) for topic in sorted(topics)]
        found = await self._admin.ask(lambda admin: changes(admin, names, self._cluster.settings), MIGRATE_SECONDS)
        return _steps(found)

    async def prepare(self, topics: Collection[str]) -> list[Step]:
        names = [records.topic_name(self._prefix, topic) for topic in sorted(topics)]
        settings = self._cluster.settings
        found = await self._admin.ask(lambda admin: changes(admin, names, settings), MIGRATE_SECONDS)
        if wider := [change.name for change in found if change.widens]:
            await self._check_at_rest(wider)

        async def all_of_them(admin: Any) -> None:
            for change in found:
                await make(admin, change, settings)

        await self._admin.ask(all_of_them, MIGRATE_SECONDS)
        return _steps(found)

    async def _check_at_rest(self, names: Sequence[str]) -> None:
        """A key moves to another partition where there are more of them: what is in the old one must have been read by then.

        :raises MigrationError: somebody reads, or has still to.
        """
        groups = {
            group: [topic for topic in topics if records.topic_name(self._prefix, topic) in names]
            for group, topics in self._groups.items()
        }
        readers = {group: topics for group, topics in groups.items() if topics}
        if not readers:
            return
        asked = [records.topic_name(self._prefix, group) for group in readers]
        for answer in await self._admin.ask(lambda admin: admin.describe_consumer_groups(asked)):
            for _, group, _, _, _, members, *_ in answer.groups:
                if members:
                    raise MigrationError(f"{names[0]} cannot get more partitions while {group} reads it", _REMEDY)
        behind = sum((await self._lag.of(readers)).values())
        if behind:
            raise MigrationError(f"{names[0]} cannot get more partitions while {behind} messages wait to be read", _REMEDY)

    async def close(self) -> None:
        for name in ("_publisher", "_lag", "_admin"):
            if name in self.__dict__:
                await self.__dict__[name].close()


def _steps(found: Sequence[Change]) -> list[Step]:
    return [Step("bus", number, change.says) for number, change in enumerate(found, 1)]


_REMEDY = "stop the gateways, wait until /admin/v1/quiesce says that nothing is under way, stop the workers, and migrate again"
