"""What comes over a socket that no HTTP library would send: endless headers, bodies that trickle, connections that idle."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from http_serving import app_of
from msgspec import Struct

from marketplace_core._runtime.serve import serving
from marketplace_core.deployment import Limits
from marketplace_core.http import _bodies
from marketplace_core.http.app import HttpOptions
from marketplace_core.http.routing import Router, Upload

SECONDS = 1
shop = Router("buyer", "edge")


class Note(Struct, forbid_unknown_fields=True):
    text: str = ""


@shop.get("/ok", access="open")
async def ok() -> str:
    return "ok"


@shop.post("/notes", access="open", status=200)
async def note(body: Note) -> str:
    return body.text


@shop.post("/raw", access="open", status=200)
async def raw(raw: bytes) -> int:
    return len(raw)


@shop.post("/pictures", access="open", status=200)
async def pictures(files: list[Upload]) -> int:
    return len(files)


class Socket:
    """A connection to the server, by bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, raw: bytes) -> None:
        self.writer.write(raw)
        with contextlib.suppress(ConnectionError):
            await self.writer.drain()

    async def answer(self, seconds: float = 20) -> tuple[int, dict[str, str], bytes]:
        """Of one request."""
        async with asyncio.timeout(seconds):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            lines = head.split("\r\n")[1:-2]
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return int(head.split(" ")[1]), headers, body

    async def ended(self, seconds: float = 20) -> float:
        """Until the server closes: after how many seconds."""
        now = asyncio.get_running_loop().time
        begun = now()
        async with asyncio.timeout(seconds):
            with contextlib.suppress(ConnectionError):
                while await self.reader.read(65536):
                    pass
        return now() - begun


class Server:
    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = str(parts.hostname), int(parts.port or 0)
        self.open: list[Socket] = []

    async def connect(self) -> Socket:
        self.open.append(Socket(*await asyncio.open_connection(self.host, self.port)))
        return self.open[-1]

    async def ask(self, raw: bytes) -> tuple[int, dict[str, str], bytes]:
        socket = await self.connect()
        await socket.send(raw)
        return await socket.answer()


def request(path: str, *headers: str, body: bytes = b"", method: str = "GET") -> bytes:
    head = [f"{method} /buyer/v1{path} HTTP/1.1", "host: shop.test", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


def post(path: str, media_type: str, length: int, body: bytes = b"") -> bytes:
    return request(path, f"content-type: {media_type}", f"content-length: {length}", body=body, method="POST")


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    app = app_of(shop, options=HttpOptions(body_seconds=SECONDS))
    limits = Limits(header_seconds=SECONDS, body_seconds=SECONDS, connections=300)
    async with serving(app, limits=limits) as url:
        made = Server(url)
        yield made
        for socket in made.open:
            socket.writer.close()
        await asyncio.gather(*(socket.writer.wait_closed() for socket in made.open), return_exceptions=True)


# ── headers ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("count", [101, 10_000])
async def test_too_many_headers(server: Server, count: int) -> None:
    status, headers, _ = await server.ask(request("/ok", *["a: b"] * count))
    assert (status, headers["connection"]) == (431, "close")


@pytest.mark.parametrize("kib", [64, 2048])
async def test_too_long_a_header(server: Server, kib: int) -> None:
    socket = await server.connect()
    await socket.send(request("/ok", "a: " + "b" * kib * 1024))
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):  # closed while we still send: no answer is read
        status, _, _ = await socket.answer()
        assert status == 431
    assert await socket.ended() < 5


async def test_what_a_browser_sends_is_not_too_much(server: Server) -> None:
    status, _, _ = await server.ask(request("/ok", *[f"x-{n}: {'v' * 250}" for n in range(50)], "cookie: " + "c" * 8192))
    assert status == 200


async def test_headers_that_never_end(server: Server) -> None:
    socket = await server.connect()

    async def trickle() -> None:
        for byte in request("/ok", "a: " + "b" * 1000):
            await socket.send(bytes([byte]))
            await asyncio.sleep(0.05)

    task = asyncio.create_task(trickle())
    assert SECONDS * 0.5 < await socket.ended() < SECONDS + 8
    task.cancel()


async def test_an_idle_connection_is_closed(server: Server) -> None:
    fresh, used = await server.connect(), await server.connect()
    await used.send(request("/ok"))
    assert (await used.answer())[0] == 200
    assert max(await asyncio.gather(fresh.ended(), used.ended())) < SECONDS + 8


async def test_half_open_connections_leave_room_for_others(server: Server) -> None:
    """By itself the server would take 128 connections and no more, whatever these do."""
    for _ in range(250):
        await (await server.connect()).send(b"GET /buyer/v1/ok HT")
    status, _, _ = await server.ask(request("/ok"))
    assert status == 200


async def test_when_all_connections_are_taken_the_next_waits_for_the_idle_to_go(server: Server) -> None:
    for _ in range(300):
        await (await server.connect()).send(b"GET /buyer/v1/ok HT")
    begun = asyncio.get_running_loop().time()
    status, _, _ = await server.ask(request("/ok"))
    assert status == 200 and asyncio.get_running_loop().time() - begun < SECONDS + 10


# ── bodies ───────────────────────────────────────────────────────────────────────────────────────────────────


def problem(body: bytes) -> Any:
    return json.loads(body)["code"]


@pytest.mark.parametrize(
    ("path", "media_type"),
    [("/notes", "application/json"), ("/raw", "application/octet-stream"), ("/pictures", "multipart/form-data; boundary=b")],
)
async def test_a_body_that_trickles(server: Server, path: str, media_type: str) -> None:
    socket = await server.connect()
    await socket.send(post(path, media_type, 1000))

    async def trickle() -> None:
        while True:
            await socket.send(b" ")
            await asyncio.sleep(0.1)

    task = asyncio.create_task(trickle())
    status, headers, body = await socket.answer()
    assert (status, headers["content-type"], problem(body)) == (408, "application/problem+json", "http.timeout")
    assert await socket.ended() < 2
    task.cancel()


async def test_a_body_that_stops(server: Server) -> None:
    """What came fast earns no right to stop for long."""
    socket = await server.connect()
    await socket.send(post("/raw", "application/octet-stream", 600_000, b"x" * 500_000))
    status, _, body = await socket.answer(SECONDS + 10)
    assert (status, problem(body)) == (408, "http.timeout")


async def test_a_body_that_is_slow_and_goes_on(server: Server) -> None:
    socket = await server.connect()
    await socket.send(post("/raw", "application/octet-stream", 60_000))
    for _ in range(15):  # for longer than a short one may take
        await socket.send(b"x" * 4000)
        await asyncio.sleep(0.1)
    status, _, body = await socket.answer()
    assert (status, body) == (200, b"60000")


@pytest.mark.behaviour("all-2")
@pytest.mark.parametrize("path", ["/notes", "/raw", "/pictures"])
@pytest.mark.parametrize(
    "media_type", ["application/json", "text/plain", "application/octet-stream", "multipart/form-data; boundary=b"]
)
@pytest.mark.parametrize("declared", [True, False])
async def test_too_large_a_body_of_any_type(server: Server, path: str, media_type: str, declared: bool) -> None:
    form = path == "/pictures"
    mib = 1 << 20
    socket = await server.connect()
    if declared:
        await socket.send(post(path, media_type, 212 * mib if form else 2 * mib))
    else:
        await socket.send(request(path, f"content-type: {media_type}", "transfer-encoding: chunked", method="POST"))
        chunk = b'--b\r\ncontent-disposition: form-data; name="file"; filename="x"\r\n\r\n'
        for _ in range(0, 12 * mib if form else 2 * mib, 64 << 10):
            await socket.send(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            chunk = b"x" * (64 << 10)
    status, _, body = await socket.answer()
    assert (status, problem(body)) == (413, "http.too_large")
    assert await socket.ended() < SECONDS + 8


# ── answers that come before their body ──────────────────────────────────────────────────────────────────────


async def test_a_body_that_comes_soon_after_leaves_the_connection_open(server: Server) -> None:
    socket = await server.connect()
    await socket.send(post("/nothing", "application/json", 4000))
    await asyncio.sleep(0.05)
    await socket.send(b"x" * 4000)
    status, headers, _ = await socket.answer()
    assert status == 404 and "connection" not in headers
    await socket.send(request("/ok"))
    assert (await socket.answer())[0] == 200


async def test_whoever_has_not_sent_the_body_is_told_that_the_connection_ends(server: Server) -> None:
    socket = await server.connect()
    await socket.send(post("/nothing", "application/json", 4000, b"x"))
    status, headers, body = await socket.answer()
    assert (status, headers.get("connection"), problem(body)) == (404, "close", "http.not_found")
    assert await socket.ended() < 5


async def test_no_request_meets_a_connection_that_the_answer_before_it_left_to_be_closed(server: Server) -> None:
    async with aiohttp.ClientSession(f"http://{server.host}:{server.port}") as session:
        for _ in range(300):
            async with session.post("/buyer/v1/nothing", data=b"x" * 500_000) as answer:
                assert answer.status == 404


#: What Quart refuses, and what is refused before it.
REFUSED = pytest.mark.parametrize(
    ("path", "status", "code"), [("/nothing", 404, "http.not_found"), ("/docs", 405, "http.method_not_allowed")]
)


async def sent(socket: Socket, path: str, size: int, pause: float = 0) -> None:
    """All of it, before anything of the answer is read."""
    await socket.send(post(path, "application/octet-stream", size))
    part = b"x" * (64 << 10)
    for _ in range(0, size, len(part)):
        socket.writer.write(part)
        await socket.writer.drain()
        await asyncio.sleep(pause)


@REFUSED
async def test_whoever_reads_only_after_all_is_sent_gets_the_answer(server: Server, path: str, status: int, code: str) -> None:
    socket = await server.connect()
    await sent(socket, path, 16 << 20)
    found, _, body = await socket.answer()
    assert (found, problem(body)) == (status, code)


@REFUSED
async def test_so_does_whoever_needs_seconds_for_it(server: Server, path: str, status: int, code: str) -> None:
    socket = await server.connect()
    await sent(socket, path, 4 << 20, pause=0.05)  # some three seconds
    found, headers, body = await socket.answer()
    assert (found, problem(body)) == (status, code) and "connection" not in headers


@pytest.mark.parametrize("path", ["/nothing", "/docs"])
async def test_the_rest_of_a_body_is_not_taken_for_ever(server: Server, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Several, since a connection was once left open by what happened to hold it."""
    monkeypatch.setattr(_bodies, "LONGEST", 0.6)

    async def endless() -> None:
        socket = await server.connect()
        sending = asyncio.create_task(sent(socket, path, 1 << 40, pause=0.01))
        assert 0.5 < await socket.ended() < 8
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(sending, 5)

    await asyncio.gather(*(endless() for _ in range(10)))
