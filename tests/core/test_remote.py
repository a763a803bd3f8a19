"""A port across processes: what arrives, what is asked again, what is told at once; over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from msgspec import Struct

from marketplace_core import calls
from marketplace_core._rpc.client import Breaker, Target, far_port
from marketplace_core._rpc.server import Allowed, InternalApplication
from marketplace_core._runtime.serve import serving
from marketplace_core.errors import Conflict, Invalid, MarketplaceError, NotFound, Problem, Unavailable
from marketplace_core.ports import mutation, patient, query
from marketplace_core.values import Audience, Caller

KEY = b"k" * 32


class Thing(Struct, frozen=True):
    id: str
    count: int


class Things(ABC):
    @abstractmethod
    @query
    async def get(self, ids: list[str]) -> list[Thing]: ...

    @abstractmethod
    @mutation(retriable=True)
    async def add(self, id_: str, count: int = 1) -> Thing: ...

    @abstractmethod
    @mutation(retriable=False)
    async def spend(self, id_: str) -> None: ...

    @abstractmethod
    @patient(seconds=20.0)
    @query
    async def wait(self, seconds: float) -> str: ...


class Service(Things):
    """``calls`` are what arrived: the call, and the method."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, calls.Call]] = []
        self.fail: Exception | None = None

    async def get(self, ids: list[str]) -> list[Thing]:
        await self._note("get")
        return [Thing(id_, 1) for id_ in ids]

    async def add(self, id_: str, count: int = 1) -> Thing:
        await self._note("add")
        return Thing(id_, count)

    async def spend(self, id_: str) -> None:
        await self._note("spend")

    async def wait(self, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "waited"

    async def _note(self, name: str) -> None:
        self.calls.append((name, calls.current()))
        if self.fail is not None:
            raise self.fail


class Losing:
    """A server between that takes a request and closes the connection without an answer, ``lose`` times."""

    def __init__(self, target: str) -> None:
        self.lose = 0
        self._host, _, port = target.removeprefix("http://").partition(":")
        self._port = int(port)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, out = await asyncio.open_connection(self._host, self._port)
        back = asyncio.create_task(_pass_on(there, writer))
        while data := await reader.read(65536):
            if self.lose:
                self.lose -= 1
                break
            out.write(data)
        back.cancel()
        for each in (out, writer):
            each.close()
            with contextlib.suppress(OSError):
                await each.wait_closed()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)


@pytest.fixture
def service() -> Service:
    return Service()


@contextlib.asynccontextmanager
async def _served(service: Service, listen: str = "127.0.0.1:0") -> AsyncIterator[str]:
    async def ready() -> dict[str, str]:
        return {"main": "ok"}

    async with serving(InternalApplication({"things": (Things, service)}, {KEY: Allowed("other")}, ready), listen) as url:
        yield url


@pytest.fixture
async def url(service: Service) -> AsyncIterator[str]:
    async with _served(service) as found:
        yield found


@pytest.fixture
async def far(url: str) -> AsyncIterator[Things]:
    target = Target("things", url, KEY)
    yield far_port("things", Things, target)
    await target.close()


async def test_values_come_back_as_their_own_types(far: Things) -> None:
    assert await far.get(["a", "b"]) == [Thing("a", 1), Thing("b", 1)]
    assert await far.add("a", count=3) == Thing("a", 3)
    assert await far.add("a") == Thing("a", 1)
    assert await far.spend("a") is None  # type: ignore[func-returns-value]


async def test_the_call_goes_with_it(far: Things, service: Service) -> None:
    caller = Caller(audience="seller", account_id="a1", roles=("shop:owner",), seller_id="s1")
    call = calls.Call(caller=caller, key="k/1", guest="g", request_id="r", trace="00-ab-cd-01", origin="import")
    with calls.scope(call):
        await far.add("a")
    [(_, arrived)] = service.calls
    assert arrived.deadline is not None and 0 < arrived.deadline - time.monotonic() <= 30
    assert arrived == calls.Call(
        caller=caller, key="k/1", guest="g", request_id="r", trace="00-ab-cd-01", origin="import", deadline=arrived.deadline
    )


async def test_a_deadline_is_inherited_and_ends_the_work(far: Things) -> None:
    with calls.scope(calls.Call(deadline=time.monotonic() + 0.2)):
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await far.wait(5.0)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "error",
    [
        NotFound(),
        Conflict("auth.email_taken", "taken"),
        Invalid([Problem("/a", "required", "Give it.")]),
        Unavailable("later", 7),
    ],
)
async def test_a_refusal_is_the_same_exception(far: Things, service: Service, error: MarketplaceError) -> None:
    service.fail = error
    with pytest.raises(type(error)) as caught:
        await far.add("a")
    assert (caught.value.code, caught.value.detail, caught.value.errors) == (error.code, error.detail, error.errors)
    assert caught.value.retry_after == error.retry_after
    assert len(service.calls) == 1  # an answer is not asked for again


async def test_a_mistake_over_there_is_told_without_its_words(far: Things, service: Service) -> None:
    service.fail = ValueError("the password is 1234")
    with pytest.raises(MarketplaceError) as caught:
        await far.add("a")
    assert caught.value.code == "http.internal" and "1234" not in str(caught.value)


async def test_a_stored_answer_is_known_as_one(service: Service) -> None:
    async def replayed(id_: str, count: int = 1) -> Thing:
        calls.mark_replayed()
        return Thing(id_, count)

    service.add = replayed  # type: ignore[method-assign]
    async with _served(service) as url:
        target = Target("things", url, KEY)
        with calls.scope(calls.Call(key="k")) as outcome:
            await far_port("things", Things, target).add("a")
        await target.close()
    assert outcome.replayed


async def test_another_deployments_secret_is_refused(url: str, service: Service) -> None:
    target = Target("things", url, b"x" * 32)
    with pytest.raises(MarketplaceError) as caught:
        await far_port("things", Things, target).add("a")
    await target.close()
    assert caught.value.code == "http.internal" and service.calls == []


async def test_what_is_lost_is_asked_again_with_the_same_key(url: str, service: Service) -> None:
    async with _losing(url) as (between, losing):
        target = Target("things", between, KEY)
        port = far_port("things", Things, target)
        losing.lose = 3
        assert await port.add("a") == Thing("a", 1)
        with calls.scope(calls.Call(key="mine")):
            await port.add("a")
        await target.close()
    keys = [call.key for _, call in service.calls]
    assert keys[0] is not None and keys[1] == "mine"


async def test_what_may_not_be_repeated_is_not(url: str, service: Service) -> None:
    async with _losing(url) as (between, losing):
        target = Target("things", between, KEY)
        losing.lose = 1
        with pytest.raises(Unavailable):
            await far_port("things", Things, target).spend("a")
        await target.close()
    assert service.calls == []


@contextlib.asynccontextmanager
async def _losing(url: str) -> AsyncIterator[tuple[str, Losing]]:
    losing = Losing(url)
    async with await asyncio.start_server(losing.handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", losing


async def test_a_service_that_starts_again_is_waited_for(service: Service) -> None:
    async with _served(service) as url:
        pass
    target = Target("things", url, KEY)
    port = far_port("things", Things, target)
    asked = [asyncio.create_task(port.spend("a")) for _ in range(20)]  # nothing was sent, so even this may be repeated
    await asyncio.sleep(1.0)
    assert target.breaker.is_open
    async with _served(service, url.removeprefix("http://")):
        await asyncio.gather(*asked)
    await target.close()
    assert len(service.calls) == 20 and not target.breaker.is_open


async def test_what_is_under_way_is_finished_when_a_service_ends(service: Service) -> None:
    async with _served(service) as url:
        target = Target("things", url, KEY)
        port = far_port("things", Things, target)
        asked = [asyncio.create_task(port.wait(0.5)) for _ in range(10)]
        await asyncio.sleep(0.2)
    assert await asyncio.gather(*asked) == ["waited"] * 10
    await target.close()


async def test_a_service_that_stays_away_is_told_of_at_once(service: Service) -> None:
    async with _served(service) as url:
        pass
    target = Target("things", url, KEY)
    target.breaker = Breaker(patience=0.3)
    port = far_port("things", Things, target)
    with pytest.raises(Unavailable):
        await port.get(["a"])
    began = time.monotonic()
    for _ in range(10):
        with pytest.raises(Unavailable):
            await port.get(["a"])
    await target.close()
    assert time.monotonic() - began < 3


def test_a_breaker_lets_one_call_try_at_a_time() -> None:
    now = 0.0
    breaker = Breaker(failures=2, pause=1.0, patience=3.0, now=lambda: now)
    breaker.failed()
    assert breaker.admit() and not breaker.is_open
    breaker.failed()
    assert breaker.is_open and not breaker.admit()
    now = 1.5
    assert breaker.admit() and not breaker.admit() and not breaker.hopeless
    now = 4.0
    assert breaker.hopeless and breaker.admit()
    breaker.succeeded()
    assert breaker.admit() and breaker.admit() and not breaker.hopeless


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/_rpc/things/get", b"", {}, 401),
        ("/_rpc/things/nothing", b"\x90", {"authorization": "good"}, 404),
        ("/_rpc/things/get", b"\xc1", {"authorization": "good", "x-marketplace-deadline": "1000"}, 400),
        ("/_rpc/things/get", b"\x91\x90", {"authorization": "good"}, 400),
        ("/_rpc/things/get", b"\x91\x90", {"authorization": "good", "x-marketplace-call": "%%"}, 400),
        ("/else", b"", {}, 404),
    ],
)
async def test_what_is_not_a_call_is_refused(url: str, path: str, body: bytes, headers: dict[str, str], status: int) -> None:
    from marketplace_core._rpc.client import authorization  # noqa: PLC0415

    sent = {name: authorization(KEY) if value == "good" else value for name, value in headers.items()}
    async with aiohttp.ClientSession() as session, session.post(url + path, data=body, headers=sent) as answer:
        assert answer.status == status


@pytest.mark.parametrize(
    ("process", "audience", "status"),
    [
        ("shop", "buyer", 200),
        ("shop", "admin", 403),
        ("shop", None, 403),
        ("office", "admin", 200),
        ("office", "buyer", 403),
        ("service", "buyer", 200),
        ("service", None, 200),
    ],
)
async def test_a_gateway_calls_for_its_own_audience(
    service: Service, process: str, audience: Audience | None, status: int
) -> None:
    """Whoever has a gateway's key has the people of that gateway, and is nobody else's; what operators ask is theirs alone."""
    of = {name: secrets.token_bytes(32) for name in ("shop", "office", "service")}
    callers = {
        of["shop"]: Allowed("shop", ("buyer", "seller")),
        of["office"]: Allowed("office", ("admin",)),
        of["service"]: Allowed("service"),
    }

    async def ready() -> dict[str, str]:
        return {}

    async with serving(InternalApplication({"things": (Things, service), "core": (Things, service)}, callers, ready)) as url:
        target = Target("things", url, of[process])
        with calls.scope(calls.Call(Caller(audience=audience))):
            for port in ("things", "core"):
                expected = 403 if (process, port) == ("shop", "core") else status
                if expected == 200:
                    assert await far_port(port, Things, target).get(["a"]) == [Thing("a", 1)]
                else:
                    with pytest.raises(MarketplaceError) as caught:
                        await far_port(port, Things, target).get(["a"])
                    assert caught.value.status == 500
        await target.close()
    assert len(service.calls) == {("office", 200): 2, ("service", 200): 2, ("shop", 200): 1}.get((process, status), 0)


async def test_health_and_readiness_are_answered_beside(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        for path, expected in (("/healthz", {"status": "ok", "pid": os.getpid()}), ("/readyz", {"main": "ok"})):
            async with session.get(url + path) as answer:
                assert await answer.json() == expected


async def test_a_method_may_have_grown(service: Service) -> None:
    """A caller of an earlier release gives fewer arguments, one of a later release more: both are understood."""

    class Earlier(ABC):
        @abstractmethod
        @mutation(retriable=True)
        async def add(self, id_: str) -> Thing: ...

    class Later(ABC):
        @abstractmethod
        @mutation(retriable=True)
        async def add(self, id_: str, count: int = 1, note: str = "") -> Thing: ...

    async with _served(service) as url:
        target = Target("things", url, KEY)
        earlier: Callable[..., Awaitable[Any]] = far_port("things", Earlier, target).add
        later: Callable[..., Awaitable[Any]] = far_port("things", Later, target).add
        assert await earlier("a") == Thing("a", 1)
        assert await later("a", 4, "well") == Thing("a", 4)
        await target.close()
