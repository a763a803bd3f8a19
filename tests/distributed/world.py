"""``examples/distributed.toml`` on servers of this machine: clients reach it by their hosts, and its stores are looked into."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
import psqlpy
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from motor.motor_asyncio import AsyncIOMotorClient
from redis.asyncio import Redis

from marketplace_core._supervisor.state import running
from marketplace_core.deployment import outline
from marketplace_core.deployment._kinds import address_of
from marketplace_core.testing.client import Client
from marketplace_core.testing.deployments import Running
from marketplace_core.testing.shop import People
from tests.scenarios.nginx import Here

#: In one process of it a message may be read, and told on, by the time of this many seconds.
PATIENCE = 30.0
_HOSTS = {"buyer": "web", "seller": "web", "logistics": "web", "admin": "operators"}


class Distributed:
    """One that runs: ``people`` go through nginx; every other method looks into a server, past all of it."""

    def __init__(self, up: Running, data: Path, people: People, mark: str, session: aiohttp.ClientSession) -> None:
        self.up, self.data, self.people, self.mark, self._session = up, data, people, mark, session
        state = running(data)
        assert state is not None
        self.deployment = outline(state.file)

    async def sql(self, resource: str, query: str, *values: Any) -> list[dict[str, Any]]:
        """Rows of a PostgreSQL database."""
        async with await psqlpy.connect(self.url(resource)) as connection:
            return (await connection.fetch(query, list(values))).result()

    @asynccontextmanager
    async def redis(self, resource: str) -> AsyncIterator[Redis]:
        client: Redis = Redis.from_url(self.url(resource))
        try:
            yield client
        finally:
            await client.aclose()

    @asynccontextmanager
    async def mongo(self, resource: str) -> AsyncIterator[Any]:
        client: Any = AsyncIOMotorClient(self.url(resource))
        try:
            yield client.get_default_database()
        finally:
            client.close()

    async def hits(self, word: str) -> list[str]:
        """The ids of the documents of every index of the search server that a word is in."""
        address = urlsplit(self.url("index"))
        where = f"http://{address.hostname}:{address.port}/{address.path.strip('/')}*/_search"
        async with self._session.get(where, params={"q": word, "size": "50"}) as answer:
            found = await answer.json()
        return [hit["_id"] for hit in found["hits"]["hits"]]

    async def record(self, topic: str, good: Callable[[Any], bool]) -> ConsumerRecord:
        """The first record of a topic, from its beginning, whose event is good; read as anybody may read it."""
        reader = AIOKafkaConsumer(
            f"{self.deployment.name}.{topic}",
            bootstrap_servers=self.url("bus").removeprefix("kafka://"),
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        async with asyncio.timeout(PATIENCE), reader:
            async for record in reader:
                if good(msgspec.json.decode(record.value)):
                    return record
        raise AssertionError("unreachable")

    def url(self, resource: str) -> str:
        return address_of(self.deployment, self.data, resource)

    async def simulator(self, name: str, method: str, path: str, body: Any = None) -> Any:
        async with self._session.request(method, self.up.said["simulators"][name] + path, json=body) as answer:
            assert answer.status < 300, (path, answer.status, await answer.text())
            return await answer.json() if answer.content_type == "application/json" else None


@asynccontextmanager
async def opened(up: Running, data: Path, mark: str) -> AsyncIterator[Distributed]:
    """As one test meets it; ``mark`` is in the names of its people and shops."""
    edge: dict[str, str] = up.said["edge"]
    trusting = ssl.create_default_context()
    for name in edge:
        trusting.load_verify_locations(cafile=str(data / "edge" / f"{name}.pem"))
    connector = aiohttp.TCPConnector(resolver=Here(), ssl=trusting, limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as session:

        def make(audience: str) -> Client:
            prefix = f"{edge[_HOSTS[audience]]}/{audience}/v1"
            return Client(session, prefix, audience, own=lambda email: email.replace("@", f".{mark}@"))

        admin, courier = make("admin"), make("logistics")
        for client, account in ((admin, "admin"), (courier, "courier")):
            client._signed_in(await client.post("/auth/login", up.said["accounts"][account]))
        people = People(make=make, admin=admin, courier=courier, mark=f" {mark}", page="https://www.shop.example/paid")
        yield Distributed(up, data, people, mark, session)
