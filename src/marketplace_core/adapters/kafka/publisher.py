"""Publishing to Kafka: a publish is one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer

from marketplace_core.adapters.kafka.client import Cluster, ended, kafka_errors
from marketplace_core.adapters.kafka.messages import headers_of, topic_name
from marketplace_core.ports import Message
from marketplace_core.values import new_id

__all__ = ["PUBLISH_SECONDS", "Publisher"]

#: What a publish may take.
PUBLISH_SECONDS = 8.0
#: After which the cluster itself ends a transaction whose publisher was killed: until then its readers wait behind it.
TRANSACTION_MS = 10_000


class Publisher:
    """One transaction at a time. Each process has an id of its own, so none ends another's transaction.

    A transaction that failed may still be decided, either way, when the publish is made again by a new producer: what the old
    one wrote stands before that, is read before that if it is read at all, and is all of it or nothing.
    """

    def __init__(self, cluster: Cluster, prefix: str) -> None:
        self._cluster, self._prefix = cluster, prefix
        self._producer: AIOKafkaProducer | None = None
        self._turn = asyncio.Lock()

    async def publish(self, messages: Sequence[Message]) -> None:
        """:raises Unavailable: the cluster is away, or did not take them in time."""
        with kafka_errors():
            async with asyncio.timeout(PUBLISH_SECONDS), self._turn:
                producer = await self._started()
                try:
                    await self._transact(producer, messages)
                except BaseException:
                    self._producer = None
                    self._cluster.end_later(producer)
                    raise

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            made = self._cluster.producer(f"{self._prefix}.{new_id()}", TRANSACTION_MS)
            try:
                await made.start()
            except BaseException:
                self._cluster.end_later(made)
                raise
            self._producer = made
        return self._producer

    async def _transact(self, producer: AIOKafkaProducer, messages: Sequence[Message]) -> None:
        await producer.begin_transaction()
        sent = [
            await producer.send(
                topic_name(self._prefix, message.topic),
                message.envelope.encode(),
                key=message.key.encode(),
                headers=headers_of(message),
            )
            for message in messages
        ]
        # A record that could not be written in time fails by itself alone, and the transaction could be committed without it.
        await asyncio.gather(*sent)
        await producer.commit_transaction()

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await ended(producer)
