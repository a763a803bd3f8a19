"""The limits of the deployment on a whole marketplace, with nobody exempt."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from msgspec.structs import replace

from marketplace_core._runtime.serve import application, serving
from marketplace_core.deployment import Limits, Rate
from marketplace_core.testing.client import Answer, Client
from marketplace_core.testing.marketplace import Marketplace

RATES = {
    "general": Rate(40, 60),
    "login": Rate(8, 60),
    "register": Rate(3, 3600),
    "refresh": Rate(3, 60),
    "password": Rate(2, 3600),
}
PASSWORD = "a fine password"


class Town:
    """A marketplace behind two gateways of the same limits, and people at any address."""

    def __init__(self, market: Marketplace, session: aiohttp.ClientSession, urls: list[str]) -> None:
        self.market = market
        self._session, self._urls = session, urls
        self._turn = 0

    def at(self, address: str) -> Client:
        """A client there; each new one goes to the other gateway."""
        self._turn += 1
        url = self._urls[self._turn % len(self._urls)]
        client = Client(self._session, f"{url}/buyer/v1", "buyer")
        client.headers["X-Forwarded-For"] = f"10.1.1.1, {address}"
        return client


@pytest_asyncio.fixture
async def town(marketplace: Callable[..., Awaitable[Marketplace]]) -> AsyncIterator[Town]:
    market = await marketplace(["auth"], settings={"auth": "hash_time = 1\nhash_memory = 1"}, worker=False)
    process = market.process
    await market.clock.advance(3600 - market.clock.now().timestamp() % 3600)  # so that no window ends within a test
    limits = Limits(rates=RATES)
    process.deployment = replace(process.deployment, limits=limits, trusted_proxies=("127.0.0.0/8",))
    async with (
        serving(application(process), limits=limits) as one,
        serving(application(process), limits=limits) as other,
        aiohttp.ClientSession() as session,
    ):
        yield Town(market, session, [one, other])


def _refused(answer: Answer) -> tuple[int, str, bool]:
    return answer.status, answer.body["code"], int(answer.headers["retry-after"]) > 0


LIMITED = (429, "http.rate_limited", True)


async def _post(client: Client, path: str, **body: Any) -> Answer:
    return await client.send("POST", f"/auth/{path}", body)


@pytest.mark.behaviour("all-5")
async def test_logins_are_limited_by_address_and_by_account(town: Town) -> None:
    for name in ("ada", "bob"):
        await town.at("203.0.113.1").register(f"{name}@example.org", PASSWORD)
    guesses = [
        await _post(town.at("203.0.113.2"), "login", email=f"nobody{turn}@example.org", password="wrong") for turn in range(9)
    ]
    assert [answer.status for answer in guesses] == [401] * 8 + [429]
    assert [answer.headers["ratelimit-remaining"] for answer in guesses] == [*map(str, range(7, -1, -1)), "0"]
    assert _refused(guesses[8]) == LIMITED
    elsewhere = [await _post(town.at("203.0.113.10"), "login", email="ada@example.org", password="wrong") for _ in range(6)]
    assert [answer.status for answer in elsewhere] == [401] * 5 + [429], "of one e-mail from one address"
    assert _refused(elsewhere[5]) == LIMITED and "ratelimit-limit" in elsewhere[5].headers
    for name in ("ada", "bob"):  # who guesses holds up nobody else
        assert (await _post(town.at("203.0.113.3"), "login", email=f"{name}@example.org", password=PASSWORD)).status == 200
    await town.market.clock.advance(120)
    assert (await _post(town.at("203.0.113.2"), "login", email="ada@example.org", password=PASSWORD)).status == 200


@pytest.mark.behaviour("all-5")
async def test_registering_is_limited_by_address_and_by_e_mail(town: Town) -> None:
    body = {"password": PASSWORD, "name": "Ada"}
    same = [await _post(town.at("203.0.113.1"), "register", email=f"a{turn}@example.org", **body) for turn in range(4)]
    assert [answer.status for answer in same] == [201, 201, 201, 429]
    spelt = ["eve@example.org", "EVE@example.org", "Eve@example.org", "eve@Example.org"]
    others = [
        await _post(town.at(f"203.0.113.{2 + turn}"), "register", email=email, **body) for turn, email in enumerate(spelt)
    ]
    assert [answer.status for answer in others] == [201, 409, 409, 429]
    invalid = [await _post(town.at("203.0.113.9"), "register", email="x") for _ in range(5)]
    assert [answer.status for answer in invalid] == [422] * 3 + [429] * 2, "it counts before its body is read"


@pytest.mark.behaviour("all-5")
async def test_refreshing_is_limited_by_session(town: Town) -> None:
    client = town.at("203.0.113.1")
    token = (await client.register("ada@example.org", PASSWORD))["session"]["refresh_token"]
    client.headers.pop("Authorization")
    statuses = []
    for turn in range(4):
        there = town.at(f"203.0.113.{20 + turn}")
        answer = await _post(there, "refresh", refresh_token=token)
        statuses.append(answer.status)
        token = answer.body.get("refresh_token", token)
    assert statuses == [200, 200, 200, 429]
    await town.market.clock.advance(120)
    assert (await _post(town.at("203.0.113.1"), "refresh", refresh_token=token)).status == 200, (
        "the refused one used nothing up"
    )
    guesses = [await _post(town.at("203.0.113.5"), "refresh", refresh_token=f"{turn}.x") for turn in range(4)]
    assert [answer.status for answer in guesses] == [401, 401, 401, 429]


@pytest.mark.behaviour("all-5")
async def test_changing_a_password_is_limited_by_account(town: Town) -> None:
    client = town.at("203.0.113.1")
    await client.register("ada@example.org", PASSWORD)
    answers = []
    for turn in range(3):
        client.headers["X-Forwarded-For"] = f"203.0.113.{30 + turn}"
        answers.append((await _post(client, "password", password="wrong", new_password="another password")).status)
    assert answers == [401, 401, 429]


@pytest.mark.behaviour("all-5")
async def test_an_account_has_one_limit_on_all_its_devices(town: Town) -> None:
    client = town.at("203.0.113.1")
    await client.register("ada@example.org", PASSWORD)
    last = None
    for turn in range(41):
        client.headers["X-Forwarded-For"] = f"203.0.113.{turn}"
        last = await client.send("GET", "/auth/sessions")
    assert last is not None and _refused(last) == LIMITED
    assert (await town.at("203.0.113.7").send("GET", "/nowhere")).status == 404
