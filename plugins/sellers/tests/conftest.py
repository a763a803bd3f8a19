"""sellers beside catalog (and auth, over HTTP), in a marketplace of the test's own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from marketplace_core.capabilities.auth import Auth, Registration
from marketplace_core.capabilities.catalog import Catalog, MoneyInput, ProductDraft, SellerProduct, VariantDraft
from marketplace_core.capabilities.sellers import ApplicationDraft, RequirementValue, Sellers
from marketplace_core.testing.marketplace import Marketplace

PASSWORD = "a fine password"
QUICK = {"auth": "hash_time = 1\nhash_memory = 1"}

Open = Callable[..., Awaitable[Marketplace]]


def draft(name: str = "Kettle & Sons", **changes: str) -> ApplicationDraft:
    fields = {"name": name, "legal_name": "Kettle Ltd", "country": "DE", "contact_email": "k@example.org"} | changes
    return ApplicationDraft(**fields)


class Trade:
    """The ports of one marketplace, and what tests do over and over."""

    def __init__(self, market: Marketplace) -> None:
        self.market = market
        self.sellers: Sellers = market.port(Sellers)
        self.catalog: Catalog = market.port(Catalog)
        self.database = market.process.resources.database("main")

    async def apply(self, account_id: str = "ada", name: str = "Kettle & Sons", **changes: str) -> str:
        """An application with nothing left to submit; gives its id."""
        application = await self.sellers.apply(account_id, draft(name, **changes))
        await self.sellers.submit_requirement(account_id, "terms", RequirementValue("accepted"))
        await self.sellers.submit_requirement(account_id, "identity", RequirementValue("passport 1"))
        return application.id

    async def open_shop(self, account_id: str = "ada", name: str = "Kettle & Sons", **changes: str) -> str:
        """Gives the seller's id."""
        await self.sellers.accept(await self.apply(account_id, name, **changes))
        membership = await self.sellers.get_membership(account_id)
        assert membership is not None
        return membership.seller_id

    async def publish(self, seller_id: str, sku: str = "pot") -> SellerProduct:
        variant = VariantDraft(sku=sku, price=MoneyInput(1000, "EUR"), stock=5)
        product = await self.catalog.create_product(seller_id, ProductDraft(title="Tea pot", variants=(variant,)))
        return await self.catalog.publish_product(seller_id, product.id)

    async def events(self) -> list[tuple[str, str, int]]:
        """``sellers.changed`` so far: name, status, version."""
        rows = await self.database.fetch(
            "SELECT payload::jsonb->'data'->>'name' AS name, payload::jsonb->'data'->>'status' AS status,"
            " (payload::jsonb->'data'->>'version_number')::int AS version FROM marketplace.outbox"
            " WHERE type = 'sellers.changed' ORDER BY id"
        )
        return [(row["name"], row["status"], row["version"]) for row in rows]


class Browser:
    """One person's requests. ``headers`` go with each; paths are below ``prefix``."""

    def __init__(self, session: ClientSession, url: str, audience: str) -> None:
        self._session, self._url, self.audience = session, url, audience
        self.headers: dict[str, str] = {}
        self.account_id = ""

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, Any]:
        """Status, headers and the decoded body. Names of headers are written with ``_`` for ``-``."""
        sent = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"{self._url}/{self.audience}/v1{path}"
        async with self._session.request(method, url, json=body, headers=sent) as response:
            content = await response.json(content_type=None) if await response.read() else None
            return response.status, response.headers, content

    async def sign_in(self, action: str, email: str, **fields: str) -> None:
        """``register`` or ``login``."""
        status, _, answer = await self("POST", f"/auth/{action}", {"email": email, "password": PASSWORD} | fields)
        assert status in {200, 201}, answer
        self.headers["authorization"] = f"Bearer {answer['session']['access_token']}"
        self.account_id = answer["user"]["id"]


class Street:
    """Everybody on one marketplace with HTTP."""

    def __init__(self, market: Marketplace, session: ClientSession) -> None:
        self.market, self._session = market, session

    def shopper(self) -> Browser:
        return Browser(self._session, self.market.url, "buyer")

    async def applicant(self, email: str) -> Browser:
        browser = Browser(self._session, self.market.url, "seller")
        await browser.sign_in("register", email, name="Ada")
        return browser

    async def staff(self, role: str = "admin") -> Browser:
        email = f"{role}@example.org"
        await self.market.port(Auth).ensure_account(Registration(email, PASSWORD, "Root"), (role,))
        browser = Browser(self._session, self.market.url, "admin")
        await browser.sign_in("login", email)
        return browser

    async def seller(self, admin: Browser, email: str, name: str) -> Browser:
        """Somebody with a shop of that name."""
        browser = await self.applicant(email)
        body = {"name": name, "legal_name": name, "country": "DE", "contact_email": email}
        _, _, application = await browser("POST", "/applications", body)
        for key, value in (("terms", "accepted"), ("identity", "passport")):
            assert (await browser("POST", f"/applications/current/requirements/{key}", {"value": value}))[0] == 202
        status, _, _ = await admin("POST", f"/sellers/applications/{application['id']}/accept")
        assert status == 202
        return browser


@pytest.fixture(params=["wire"])
def runner(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest_asyncio.fixture
async def trade(marketplace: Open, runner: str) -> Trade:
    """On either runner; its worker does not run until a test starts it."""
    return Trade(await marketplace(["catalog", "sellers"], runner=runner, worker=False))


@pytest_asyncio.fixture
async def street(marketplace: Open) -> AsyncIterator[Street]:
    market = await marketplace(["auth", "catalog", "sellers"], settings=QUICK, http=True)
    async with contextlib.AsyncExitStack() as stack:
        yield Street(market, await stack.enter_async_context(ClientSession()))
