"""auth on a PostgreSQL and a Redis of the test's own, with hashes that are quick to make."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import pytest_asyncio
from marketplace_auth import plugin
from marketplace_auth.allow_list import AllowList
from marketplace_auth.config import AuthConfig
from marketplace_auth.passwords import Passwords
from marketplace_auth.service import AuthService
from marketplace_auth.stores.api_keys import PostgresApiKeyStore
from marketplace_auth.stores.postgres import PostgresAuthStore
from redis.asyncio import Redis

from marketplace_core import tokens
from marketplace_core._runtime.pools import ThreadPool
from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres.units import PostgresUnits
from marketplace_core.adapters.redis.clock import RedisClock
from marketplace_core.capabilities.auth import Client, Credentials, Registration, SignedIn
from marketplace_core.http.gate import SessionGate

ACCESS_KEY = b"access".ljust(32)
REFRESH_KEY = b"refresh".ljust(32)
DEVICE_KEY = b"devices".ljust(32)
API_KEY_KEY = b"api keys".ljust(32)
PASSWORD = "a fine password"
QUICK = AuthConfig(hash_time=1, hash_memory=1)


def hashing(config: AuthConfig) -> ThreadPool:
    """The pool that the plugin asks for."""
    return ThreadPool("auth-hash", config.hash_threads, config.hash_waiting)


class CountedPasswords(Passwords):
    """The real thing, which notes the thread of each verification."""

    def __init__(self, config: AuthConfig) -> None:
        super().__init__(config, hashing(config))
        self.verified_in: list[str] = []

    def _verify(self, hashed: str, password: str) -> bool:
        self.verified_in.append(threading.current_thread().name)
        return super()._verify(hashed, password)


class Bench:
    """Services of one deployment, and what a test asks of them over and over."""

    def __init__(self, database: Database, redis: Redis, clock: RedisClock) -> None:
        self.database = database
        self.redis = redis
        self.clock = clock
        self.units = PostgresUnits(database, clock, "auth")
        self.store = PostgresAuthStore(database)
        self.passwords = CountedPasswords(QUICK)
        self.auth = self.service(redis)

    def service(self, redis: Redis, *, patience: float = 2.0, passwords: Passwords | None = None) -> AuthService:
        return AuthService(
            self.units,
            self.store,
            AllowList(redis, patience=patience),
            passwords or self.passwords,
            self.clock,
            QUICK,
            keys=PostgresApiKeyStore(self.database),
            access_seed=ACCESS_KEY,
            refresh_keys=[REFRESH_KEY],
            device_keys=[DEVICE_KEY],
            api_key_key=API_KEY_KEY,
        )

    def gate(self, redis: Redis | None = None) -> SessionGate:
        return SessionGate([tokens.public_key(ACCESS_KEY)], self.clock, redis or self.redis, self.auth, None)

    async def register(self, email: str = "ada@example.org", password: str = PASSWORD) -> SignedIn:
        return await self.auth.register(Registration(email, password, "Ada"), Client("buyer", "tests"))

    async def log_in(
        self, email: str = "ada@example.org", password: str = PASSWORD, audience: Any = "buyer", **client: Any
    ) -> SignedIn:
        return await self.auth.log_in(Credentials(email, password), Client(audience, **client))

    async def passes(self, access_token: str, audience: Any = "buyer") -> str:
        """The account that a gateway sees behind a token. :raises Unauthorized:"""
        caller = await self.gate().identify(audience, {"authorization": f"Bearer {access_token}"}, {})
        assert caller.account_id is not None
        return caller.account_id

    async def events(self) -> list[tuple[str, dict[str, Any]]]:
        rows = await self.database.fetch("SELECT type, payload FROM marketplace.outbox WHERE kind = 'event' ORDER BY id")
        return [(row["type"], msgspec.json.decode(row["payload"])["data"]) for row in rows]


@pytest_asyncio.fixture
async def bench(
    database_factory: Callable[[Sequence[str]], Awaitable[Database]], redis_cache: Redis, movable_clock: RedisClock
) -> Bench:
    scripts = [migration.script for migration in plugin.migrations()]
    return Bench(await database_factory(["CREATE SCHEMA auth;", *scripts]), redis_cache, movable_clock)
