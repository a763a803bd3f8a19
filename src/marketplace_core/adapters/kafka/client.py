"""Clients of one Kafka cluster, on which nobody waits for ever, and what its errors mean."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Iterator
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    IllegalArgumentError,
    IllegalStateError,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)

from marketplace_core.adapters.kafka.kind import KafkaSettings
from marketplace_core.errors import Unavailable

__all__ = ["ASK_SECONDS", "AWAY", "Cluster", "Shared", "kafka_errors"]

T = TypeVar("T")

AWAY = (KafkaError, OSError)
#: How long an answer to a question may take; and the end of a client that nobody needs any more.
ASK_SECONDS = 5.0
END_SECONDS = 5.0
#: The largest message, and what of a topic is fetched at once.
MESSAGE_BYTES = 8 << 20
_MISTAKES = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidTopicError, IllegalArgumentError, IllegalStateError)


@contextlib.contextmanager
def kafka_errors() -> Iterator[None]:
    """A cluster that is away, or cannot now, becomes :class:`Unavailable`; a mistake of ours stays what it is."""
    try:
        yield
    except _MISTAKES:
        raise
    except AWAY as error:
        raise Unavailable("A store does not answer.") from error


class Cluster:
    """``url``: ``kafka://user:password@host:port,host:port``, with ``kafkas`` over TLS. Making it connects to nothing."""

    def __init__(self, url: str, settings: KafkaSettings) -> None:
        self.settings = settings
        self._url = url
        self._ending: set[asyncio.Task[None]] = set()

    @cached_property
    def _options(self) -> dict[str, Any]:
        parts = urlsplit(self._url)
        login, _, hosts = parts.netloc.rpartition("@")
        user, _, password = login.partition(":")
        tls = parts.scheme == "kafkas"
        options: dict[str, Any] = {
            "bootstrap_servers": [host if ":" in host else f"{host}:9092" for host in hosts.split(",")],
            "security_protocol": ("SASL_" if user else "") + ("SSL" if tls else "PLAINTEXT"),
            # Who joins a group is answered when the others have come, or their sessions are over.
            "request_timeout_ms": round(self.settings.session * 1000) + 2000,
        }
        if tls:
            options["ssl_context"] = ssl.create_default_context()
        if user:
            options |= {
                "sasl_mechanism": self.settings.sasl,
                "sasl_plain_username": unquote(user),
                "sasl_plain_password": unquote(password),
            }
        return options

    def producer(self, transactional_id: str, transaction_ms: int) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **self._options,
            transactional_id=transactional_id,
            transaction_timeout_ms=transaction_ms,
            max_request_size=MESSAGE_BYTES,
            max_batch_size=1 << 20,
        )

    def consumer(self, *topics: str, **options: Any) -> AIOKafkaConsumer:
        """One that commits nothing by itself, and that is woken by what comes, not by the clock."""
        return AIOKafkaConsumer(
            *topics,
            **self._options,
            **{
                "enable_auto_commit": False,
                "auto_offset_reset": "earliest",
                "isolation_level": "read_committed",
                "max_partition_fetch_bytes": MESSAGE_BYTES,
                "consumer_timeout_ms": 60_000,
                "max_poll_interval_ms": 2**31 - 1,
                **options,
            },
        )

    def admin(self) -> AIOKafkaAdminClient:
        return AIOKafkaAdminClient(**self._options)

    def end_later(self, client: Any) -> None:
        """Nobody waits for the end of one that failed."""
        task = asyncio.create_task(ended(client))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        if self._ending:
            await asyncio.wait(self._ending)


class Shared:
    """A client that is started when first asked for, kept, and begun anew once a question failed. One asks at a time."""

    def __init__(self, cluster: Cluster, make: Callable[[], Any]) -> None:
        self._cluster, self._make = cluster, make
        self._client: Any = None
        self._turn = asyncio.Lock()

    async def ask(self, question: Callable[[Any], Awaitable[T]], seconds: float = ASK_SECONDS) -> T:
        """What the client answers. :raises Unavailable: it does not."""
        with kafka_errors():
            async with asyncio.timeout(seconds), self._turn:
                client, self._client = self._client, None
                try:
                    if client is None:
                        client = self._make()
                        await client.start()
                    answer = await question(client)
                except BaseException:
                    self._cluster.end_later(client)
                    raise
                self._client = client
                return answer

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await ended(client)


async def ended(client: Any) -> None:
    """Its end takes no longer than it may, whatever the cluster says. What a producer has begun is given up first."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(END_SECONDS):
            if isinstance(client, AIOKafkaProducer):
                with contextlib.suppress(Exception):
                    await client.abort_transaction()
            await (client.close if isinstance(client, AIOKafkaAdminClient) else client.stop)()
    _cut(client)


def _cut(client: Any) -> None:
    """The connections that an end which was given up left open: the driver closes them at its last step."""
    for connection in list(getattr(getattr(client, "_client", None), "_conns", {}).values()):
        connection.close()
