"""The deployment's topics: made, widened and told how long they keep what is in them, by ``marketplace migrate``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.admin import NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from marketplace_core.adapters.kafka.client import MESSAGE_BYTES
from marketplace_core.adapters.kafka.kind import KafkaSettings
from marketplace_core.ports.servers import MigrationError

__all__ = ["Change", "changes", "make"]

_EXISTS = 36
_DEFAULT_REPLICATION = -1


class Change:
    """What is to be done to one topic; ``says`` it."""

    def __init__(
        self, name: str, *, partitions: int = 0, fresh: bool = False, configs: Mapping[str, str] | None = None
    ) -> None:
        self.name, self.partitions, self.fresh, self.configs = name, partitions, fresh, dict(configs or {})

    @property
    def widens(self) -> bool:
        return bool(self.partitions) and not self.fresh

    @property
    def says(self) -> str:
        if self.fresh:
            return f"topic {self.name} with {self.partitions} partitions"
        if self.widens:
            return f"{self.partitions} partitions for topic {self.name}"
        return f"retention of topic {self.name}"


async def changes(admin: Any, names: Sequence[str], settings: KafkaSettings) -> list[Change]:
    """What the topics lack. One that is wider than is wished stays so.

    :raises MigrationError: none of it can be done.
    """
    # All are listed: a question about one that is not there would make it, at some brokers.
    known = set(await admin.list_topics())
    there = [name for name in names if name in known]
    wide = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics(there)} if there else {}
    configs = await _configs(admin, there) if there else {}
    wanted = {"retention.ms": str(settings.retention_ms), "max.message.bytes": str(MESSAGE_BYTES)}
    found = [Change(name, partitions=settings.partitions, fresh=True, configs=wanted) for name in names if name not in known]
    found += [Change(name, partitions=settings.partitions) for name in there if wide[name] < settings.partitions]
    for name in there:
        if {key: configs[name].get(key) for key in wanted} != wanted:
            # What is told replaces all that was told before, and somebody else may have told more.
            found.append(Change(name, configs={**configs[name], **wanted}))
    return found


async def _configs(admin: Any, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """What was told of each topic, defaults left out."""
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found: dict[str, dict[str, str]] = {}
    for answer in await admin.describe_configs(asked):
        for code, message, _, name, entries in answer.resources:
            if code:
                raise MigrationError(f"Kafka does not tell how {name} is set up: {message}", "let this user describe it")
            # name, value, read-only, default (or where it comes from: 1 is the topic's own), …
            own = [entry for entry in entries if entry[3] is False or (entry[3] is not True and entry[3] == 1)]
            found[name] = {entry[0]: entry[1] for entry in own}
    return found


async def make(admin: Any, change: Change, settings: KafkaSettings) -> None:
    """:raises MigrationError: it was refused."""
    if change.fresh:
        replication = settings.replication or _DEFAULT_REPLICATION
        # The client takes the default for a mistake without it.
        by_hand: dict[int, list[int]] | None = None if settings.replication else {}
        topic = NewTopic(change.name, change.partitions, replication, by_hand, change.configs)
        answer = await admin.create_topics([topic])
        for name, code, *message in answer.topic_errors:
            if code not in (0, _EXISTS):
                cause = message[0] if message else for_code(code).__name__
                raise MigrationError(f"Kafka does not make {name}: {cause}", "let this user create topics")
    elif change.widens:
        await admin.create_partitions({change.name: NewPartitions(change.partitions)})
    else:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, change.name, change.configs)])
