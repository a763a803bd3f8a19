"""Webhooks are sent to real servers, which answer or not, until they have arrived or are given up."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from marketplace_core import calls, webhooks
from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres.units import PostgresUnits
from marketplace_core.adapters.postgres.webhooks_out import PostgresWebhookOutbox
from marketplace_core.adapters.redis.clock import RedisClock
from marketplace_core.errors import Unavailable
from marketplace_core.http.egress import Egress
from marketplace_core.http.sending import TRIES, WebhookSender, pause
from marketplace_core.ports import Endpoint, UnitOfWork, WebhookDelivery, WebhookMessage
from marketplace_core.ports.webhooks_out import LEASE
from marketplace_core.testing.contracts import Happened, eventually, running
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import SystemClock, new_id
from tests.core.http.servers import OK, Server, Start, answering, endless, silent, start

__all__ = ["start"]

PROGRAM = str(Path(__file__).with_name("sending_process.py"))
KEY = bytes(range(32))
OWNER = "seller-1"
DATA = '{"name": "Zoë"}'.encode()


class Post:
    """The plugin's part: who wants what, and what happens."""

    def __init__(self, database: Database, clock: RedisClock, egress: Egress) -> None:
        self.database, self.clock, self.egress = database, clock, egress
        self.units = PostgresUnits(database, clock, "contract", frozenset({"contract"}))
        self.outbox = PostgresWebhookOutbox(database, clock, "contract")
        self.off: list[Endpoint] = []
        self.sender = self.make_sender(KEY)

    def make_sender(self, *keys: bytes, clock: Any = None) -> WebhookSender:
        return WebhookSender(self.units, self.outbox, self.egress, keys, clock or self.clock, self.notice)

    async def notice(self, uow: UnitOfWork, endpoint: Endpoint) -> None:
        uow.emit(Happened(thing=endpoint.id, note="off"))
        self.off.append(endpoint)

    async def add(self, url: str, events: tuple[str, ...] = ("contract.*",)) -> Endpoint:
        return await self.units.run(lambda uow: self.outbox.add_endpoint(uow, new_id(), OWNER, url, events))

    async def tell(self, type_: str = "contract.happened") -> WebhookMessage:
        message = WebhookMessage(id=new_id(), type=type_, at=self.clock.now(), data=msgspec.Raw(DATA))
        await self.units.run(lambda uow: self.outbox.send(uow, OWNER, message))
        return message

    async def delivery(self, endpoint: Endpoint) -> WebhookDelivery:
        [found] = await self.outbox.deliveries(OWNER, endpoint.id, 10)
        return found


@pytest.fixture
async def post(database: Database, movable_clock: RedisClock) -> AsyncIterator[Post]:
    egress = Egress("test", private=True, seconds=1.0)
    yield Post(database, movable_clock, egress)
    await egress.close()


def url_of(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}/hook"


def headers_of(head: bytes) -> dict[str, str]:
    lines = head.decode().split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}


async def test_it_arrives_signed(post: Post, start: Start) -> None:
    server = await start(reads_body=True)
    endpoint = await post.add(url_of(server))
    with calls.scope(calls.Call(trace="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")):
        message = await post.tell()
    assert await post.sender.send_due() == 1
    [head] = server.seen
    headers = headers_of(head)
    assert head.startswith(b"POST /hook HTTP/1.1\r\n")
    assert (headers["webhook-id"], headers["content-type"]) == (message.id, "application/json")
    key = webhooks.secret_key(post.sender.secret(endpoint))
    assert webhooks.verify([key], headers, server.bodies[0], post.clock.now()) == message.id
    told = msgspec.json.decode(server.bodies[0])
    assert (told["type"], told["id"], told["data"]) == ("contract.happened", message.id, {"name": "Zoë"})
    assert headers["traceparent"].split("-")[1] == "0af7651916cd43dd8448eb211c80319c"
    delivery = await post.delivery(endpoint)
    assert (delivery.state, delivery.status, delivery.tries) == ("delivered", 204, 1)


async def test_secrets_are_each_endpoints_own(post: Post) -> None:
    first, second = await post.add("http://127.0.0.1/a"), await post.add("http://127.0.0.1/b")
    secrets = {post.sender.secret(first), post.sender.secret(second), post.make_sender(bytes(32)).secret(first)}
    renewed = await post.units.run(lambda uow: post.outbox.renew_secret(uow, OWNER, first.id))
    assert renewed is not None
    assert len(secrets | {post.sender.secret(renewed)}) == 4
    assert post.sender.secret(first) == post.make_sender(KEY).secret(first)


async def test_the_secret_before_is_good_for_a_day(post: Post, start: Start) -> None:
    server = await start(reads_body=True)
    endpoint = await post.add(url_of(server))
    renewed = await post.units.run(lambda uow: post.outbox.renew_secret(uow, OWNER, endpoint.id))
    assert renewed is not None
    old, new = (webhooks.secret_key(post.sender.secret(each)) for each in (endpoint, renewed))
    await post.tell()
    await post.sender.send_due()
    for key in (old, new):
        webhooks.verify([key], headers_of(server.seen[0]), server.bodies[0], post.clock.now())
    await post.clock.advance(25 * 3600)
    await post.tell()
    await post.sender.send_due()
    webhooks.verify([new], headers_of(server.seen[1]), server.bodies[1], post.clock.now())
    with pytest.raises(Exception, match="No active secret"):
        webhooks.verify([old], headers_of(server.seen[1]), server.bodies[1], post.clock.now())


async def test_both_roots_sign_while_one_is_changed(post: Post, start: Start) -> None:
    server = await start(reads_body=True)
    endpoint = await post.add(url_of(server))
    await post.tell()
    await post.make_sender(bytes(32), KEY).send_due()
    key = webhooks.secret_key(post.sender.secret(endpoint))
    webhooks.verify([key], headers_of(server.seen[0]), server.bodies[0], post.clock.now())


@pytest.mark.parametrize(
    ("behave", "status", "note"),
    [
        (answering(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"), 500, "It answered 500."),
        (answering(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n"), 302, "It answered 302."),
        (answering(b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"), 410, "It answered 410."),
        (silent, None, "There was no answer within 1 s."),
        (answering(b""), None, "There was no connection, or it ended early."),
    ],
    ids=["error", "redirect", "gone", "silent", "hung up"],
)
async def test_what_does_not_arrive_is_tried_again(post: Post, start: Start, behave: Any, status: Any, note: str) -> None:
    server = await start(behave)
    endpoint = await post.add(url_of(server))
    message = await post.tell()
    assert await post.sender.send_due() == 1
    delivery = await post.delivery(endpoint)
    assert (delivery.state, delivery.tries, delivery.status, delivery.note) == ("waiting", 1, status, note)
    assert await post.sender.send_due() == 0
    server.behave = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    await post.clock.advance(6)
    assert await post.sender.send_due() == 1
    assert (await post.delivery(endpoint)).state == "delivered"
    assert {headers_of(head)["webhook-id"] for head in server.seen} == {message.id}
    assert len(server.seen) == 2


@pytest.mark.parametrize("part", [b"x" * 65_536, b"x"], ids=["endless", "drop by drop"])
async def test_its_status_is_all_that_counts(post: Post, start: Start, part: bytes) -> None:
    server = await start(endless(b"HTTP/1.1 200 OK\r\n\r\n", part, 0.05))
    endpoint = await post.add(url_of(server))
    await post.tell()
    began = time.monotonic()
    await post.sender.send_due()
    assert time.monotonic() - began < 1
    assert (await post.delivery(endpoint)).state == "delivered"


async def test_after_twelve_tries_it_is_off_with_notice(post: Post, start: Start) -> None:
    server = await start(answering(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"))
    endpoint = await post.add(url_of(server))
    await post.tell()
    began, tries = post.clock.now(), 0
    while not post.off:
        tries += await post.sender.send_due()
        at = await post.outbox.next_due()
        if at is not None:
            await post.clock.set(at)
    assert (tries, len(server.seen)) == (TRIES, TRIES)
    assert timedelta(hours=30) < post.clock.now() - began < timedelta(hours=48)
    delivery = await post.delivery(endpoint)
    assert (delivery.state, delivery.tries, delivery.status) == ("failed", TRIES, 503)
    [off] = await post.outbox.endpoints(OWNER)
    assert (off.state, off.note) == ("off", "It answered 503.")
    events = await post.database.fetch("SELECT key FROM marketplace.outbox WHERE kind = 'event'")
    assert [row["key"] for row in events] == [endpoint.id]
    await post.tell()
    assert await post.sender.send_due() == 0


def test_pauses_grow_from_five_seconds_to_a_day() -> None:
    for jitter in (0.0, 0.5, 1.0):
        pauses = [pause(tries, jitter).total_seconds() for tries in range(1, TRIES)]
        assert pauses == sorted(pauses) and len(pauses) == 11
        assert min(pauses) >= 5 and max(pauses) <= 86_400
    assert (pause(1, 0.5), pause(11, 0.5)) == (timedelta(seconds=5), timedelta(days=1))
    assert pause(6, 0.0) < pause(6, 1.0)


async def test_what_was_switched_off_meanwhile_is_not_sent(post: Post, start: Start) -> None:
    server = await start()
    endpoint = await post.add(url_of(server))
    await post.tell()
    await post.units.run(lambda uow: post.outbox.remove_endpoint(uow, OWNER, endpoint.id))
    assert await post.sender.send_due() == 1
    assert server.seen == [] and await post.outbox.next_due() is None


# ── the loop ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_it_is_sent_as_soon_as_it_is_committed(post: Post, start: Start) -> None:
    server = await start()
    await post.add(url_of(server))
    async with running(post.make_sender(KEY, clock=SystemClock()).run()):
        await asyncio.sleep(0.5)  # it sleeps for five seconds
        for n in range(1, 4):
            began = time.monotonic()
            await post.tell()
            await eventually(lambda n=n: len(server.seen) == n)  # type: ignore[misc]
            assert time.monotonic() - began < 2


async def test_what_is_due_later_is_sent_when_it_is_due(post: Post, start: Start) -> None:
    server = await start(answering(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"))
    await post.add(url_of(server))
    async with running(post.sender.run()):
        await post.tell()
        await eventually(lambda: len(server.seen) == 1)
        await asyncio.sleep(0.2)
        await post.clock.advance(6)
        await eventually(lambda: len(server.seen) == 2, within=4.0)


async def test_at_rest_it_asks_for_nothing(post: Post, statements: list[str]) -> None:
    async with running(post.make_sender(KEY, clock=SystemClock()).run()):
        await asyncio.sleep(0.5)
        statements.clear()
        await asyncio.sleep(1.5)
        assert statements == []


async def test_one_that_is_slow_holds_up_no_other(post: Post, start: Start) -> None:
    slow, quick = await start(silent), await start()
    await post.add(url_of(slow), ("contract.slow",))
    await post.add(url_of(quick), ("contract.happened",))
    for _ in range(40):
        await post.tell("contract.slow")
    async with running(post.sender.run()):
        await eventually(lambda: len(slow.seen) >= 4)
        assert len(slow.seen) == 4
        began = time.monotonic()
        await post.tell()
        await eventually(lambda: len(quick.seen) == 1)
        assert time.monotonic() - began < 0.9
        await eventually(lambda: len(slow.seen) >= 8)


async def test_much_is_sent_without_waiting(post: Post, start: Start) -> None:
    server = await start()
    await post.add(url_of(server))
    for _ in range(60):
        await post.tell()
    began = time.monotonic()
    async with running(post.make_sender(KEY, clock=SystemClock()).run()):
        await eventually(lambda: len(server.seen) == 60)
    assert time.monotonic() - began < 5


async def test_what_could_not_be_written_down_is_sent_again(post: Post, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the same id: its receiver can tell."""
    server = await start()
    endpoint = await post.add(url_of(server))
    message = await post.tell()

    async def away(*_: Any) -> None:
        raise Unavailable()

    with monkeypatch.context() as patch:
        patch.setattr(post.outbox, "finish", away)
        await post.sender.send_due()
    assert len(server.seen) == 1 and await post.sender.send_due() == 0
    await post.clock.advance(LEASE.total_seconds() + 1)
    assert await post.sender.send_due() == 1
    assert [headers_of(head)["webhook-id"] for head in server.seen] == [message.id] * 2
    assert (await post.delivery(endpoint)).tries == 2


async def test_what_a_killed_worker_was_sending_is_sent_by_another(post: Post, start: Start) -> None:
    async def kill(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)  # it has arrived, and whoever sent it does not live to know
        worker.kill()

    server = await start(kill)
    endpoint = await post.add(url_of(server))
    message = await post.tell()
    worker = await asyncio.create_subprocess_exec(sys.executable, PROGRAM, post.database.dsn)
    try:
        await asyncio.wait_for(worker.wait(), 20)
    finally:
        if worker.returncode is None:
            worker.kill()
            await worker.wait()
    assert (len(server.seen), (await post.delivery(endpoint)).state) == (1, "waiting")
    server.behave = answering(OK)
    async with running(post.sender.run()):
        await post.clock.advance(LEASE.total_seconds() + 1)
        await eventually(lambda: len(server.seen) == 2)
        await eventually(lambda: _arrived(post, endpoint))
    assert [headers_of(head)["webhook-id"] for head in server.seen] == [message.id] * 2


async def _arrived(post: Post, endpoint: Endpoint) -> bool:
    return (await post.delivery(endpoint)).state == "delivered"


async def test_a_plugin_has_all_of_it_in_its_context(marketplace: Callable[..., Awaitable[Marketplace]], start: Start) -> None:
    market = await marketplace(["auth", "users"], worker=False)
    server = await start()
    context = market.process.context("users")
    outbox, url = context.webhooks, url_of(server)
    context.egress.check(url)
    sender = WebhookSender(context.units, outbox, context.egress, [context.key("users.webhooks")], context.clock)
    await context.units.run(lambda uow: outbox.add_endpoint(uow, new_id(), OWNER, url, ["users.*"]))
    message = WebhookMessage(id=new_id(), type="users.profile_changed", at=context.clock.now(), data=msgspec.Raw(DATA))
    await context.units.run(lambda uow: outbox.send(uow, OWNER, message))
    assert await market.process.context("auth").webhooks.claim(10) == []
    assert await sender.send_due() == 1
    assert len(server.seen) == 1


async def test_two_workers_send_each_once(post: Post, start: Start) -> None:
    server = await start()
    await post.add(url_of(server))
    async with running(post.make_sender(KEY).run(), post.make_sender(KEY).run()):
        told = {(await post.tell()).id for _ in range(20)}
        await eventually(lambda: len(server.seen) >= 20)
        await asyncio.sleep(0.2)
    assert sorted(headers_of(head)["webhook-id"] for head in server.seen) == sorted(told)
