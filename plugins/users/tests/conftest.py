"""users beside auth, in a marketplace of the test's own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from marketplace_core.capabilities.auth import Account, Auth, Client, Registration
from marketplace_core.testing.marketplace import Marketplace

QUICK = {"auth": "hash_time = 1\nhash_memory = 1"}
PASSWORD = "a fine password"


class Browser:
    """One person's requests. ``headers`` go with each."""

    def __init__(self, session: ClientSession, url: str) -> None:
        self._session, self._url = session, url
        self.headers: dict[str, str] = {}

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, Any]:
        """Status, headers and the decoded body. Names of headers are written with ``_`` for ``-``."""
        sent = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        sends: dict[str, Any] = {"json": body}
        if isinstance(body, bytes):  # JSON as it stands
            sends, sent = {"data": body}, sent | {"content-type": "application/json"}
        async with self._session.request(method, self._url + path, headers=sent, **sends) as response:
            content = await response.json(content_type=None) if await response.read() else None
            return response.status, response.headers, content

    async def register(self, email: str = "ada@example.org", audience: str = "buyer") -> str:
        """Register and stay logged in; gives the account's id."""
        body = {"email": email, "password": PASSWORD, "name": "Ada"}
        status, _, answer = await self("POST", f"/{audience}/v1/auth/register", body)
        assert status == 201, answer
        return self._keep(answer)

    async def log_in(self, email: str, audience: str) -> str:
        body = {"email": email, "password": PASSWORD}
        status, _, answer = await self("POST", f"/{audience}/v1/auth/login", body)
        assert status == 200, answer
        return self._keep(answer)

    def _keep(self, answer: Any) -> str:
        self.headers["authorization"] = f"Bearer {answer['session']['access_token']}"
        id_: str = answer["user"]["id"]
        return id_


Open = Callable[..., Awaitable[Marketplace]]


@pytest.fixture(params=["wire"])
def runner(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest_asyncio.fixture
async def market(marketplace: Open, runner: str) -> Marketplace:
    """Ports only, on either runner; its worker does not run until a test starts it."""
    return await marketplace(["auth", "users"], runner=runner, settings=QUICK, worker=False)


@pytest_asyncio.fixture
async def served(marketplace: Open) -> Marketplace:
    return await marketplace(["auth", "users"], settings=QUICK, http=True)


@pytest_asyncio.fixture
async def browser(served: Marketplace) -> AsyncIterator[Callable[[], Browser]]:
    """``browser()``: somebody who has not logged in yet."""
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(ClientSession())
        yield lambda: Browser(session, served.url)


@pytest.fixture
def person(market: Marketplace) -> Callable[..., Awaitable[Account]]:
    async def make(email: str = "ada@example.org", *roles: str) -> Account:
        auth, registration = market.port(Auth), Registration(email, PASSWORD, "Ada")
        if roles:
            return await auth.ensure_account(registration, roles)
        registered = await auth.register(registration, Client("buyer"))
        return (await auth.get_accounts([registered.user.id]))[0]

    return make
