"""Requests to addresses that others give: real servers on this machine, some of which mean ill."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest

from marketplace_core.errors import Invalid
from marketplace_core.http.egress import Egress, Unreached, is_public
from tests.core.http.servers import Behaviour, Start, answering, endless, silent, start

__all__ = ["start"]


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., Egress]]:
    made: list[Egress] = []

    def build(**how: Any) -> Egress:
        made.append(Egress("test", **how))
        return made[-1]

    yield build
    for each in made:
        await each.close()


def leading_to(*answers: Sequence[str]) -> Any:
    """A resolver that gives these in turn, the last one ever after, and counts."""

    async def resolve(host: str) -> Sequence[str]:
        resolve.asked += 1  # type: ignore[attr-defined]
        return answers[min(resolve.asked, len(answers)) - 1]  # type: ignore[attr-defined]

    resolve.asked = 0  # type: ignore[attr-defined]
    return resolve


async def unreached(reason: str, asked: Awaitable[Any]) -> None:
    with pytest.raises(Unreached) as caught:
        await asked
    assert caught.value.reason == reason, caught.value


# ── which addresses ──────────────────────────────────────────────────────────────────────────────────────────

REFUSED = [
    "127.0.0.1", "127.8.8.8", "0.0.0.1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "169.254.1.1", "100.64.0.1", "100.100.100.200", "192.0.0.192", "192.0.2.1", "198.18.0.1", "203.0.113.5", "168.63.129.16",
    "192.88.99.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:8.8.8.8",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1",
    "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "2001::1", "2002:7f00:1::", "3fff::1", "100::1",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111", "2a00:1450::1", "64:ff9b::8.8.8.8"]


def test_an_address_is_of_the_internet_or_not() -> None:
    assert [each for each in REFUSED if is_public(ipaddress.ip_address(each))] == []
    assert [each for each in PUBLIC if not is_public(ipaddress.ip_address(each))] == []


@pytest.mark.parametrize("address", REFUSED)
async def test_neither_an_address_nor_a_name_leads_there(make: Any, address: str) -> None:
    literal = f"https://[{address}]/" if ":" in address else f"https://{address}/"
    await unreached("address_refused", make().request("POST", literal))
    with pytest.raises(Invalid):
        make().check(literal)
    for found in ([address], ["8.8.8.8", address]):
        await unreached("address_refused", make(resolve=leading_to(found)).request("POST", "https://shop.example/"))


@pytest.mark.parametrize("host", ["localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost.", "[::1%25lo]"])
async def test_nor_does_any_other_way_to_write_it(make: Any, start: Start, host: str) -> None:
    server = await start()
    with pytest.raises(Unreached):
        await make().request("POST", f"https://{host}:{server.port}/")
    assert server.seen == []


@pytest.mark.parametrize("host", ["2130706433", "127.1", "0177.0.0.1", "1.2.3.4.5", "[::1%25lo]"])
def test_what_is_half_an_address_is_none(make: Any, host: str) -> None:
    with pytest.raises(Invalid):
        make().check(f"https://{host}/")


@pytest.mark.parametrize(
    "url",
    ["", "shop.example", "//shop.example/", "ftp://shop.example/", "file:///etc/passwd", "http://shop.example/", "https:///a",
     "https://user:word@shop.example/", "https://user@shop.example/", "https://shop.example:99999/", "https://a b/",
     "https://shop.example/\r\nx: y", f"https://shop.example/{'a' * 2000}"],
)  # fmt: skip
async def test_what_is_no_url_of_a_server(make: Any, url: str) -> None:
    with pytest.raises(Invalid) as caught:
        make().check(url, "/target")
    assert [(each.pointer, each.code) for each in caught.value.errors] == [("/target", "egress.bad_url")]
    await unreached("address_refused", make().request("POST", url))


async def test_in_the_embedded_profile_any_address_will_do(make: Any, start: Start) -> None:
    server = await start()
    egress = make(private=True)
    for host in ("127.0.0.1", "localhost"):
        egress.check(f"http://{host}:{server.port}/")
        assert (await egress.request("POST", f"http://{host}:{server.port}/hook?a=1", body=b"{}")).status == 204
    assert [head.split(b"\r\n")[0] for head in server.seen] == [b"POST /hook?a=1 HTTP/1.1"] * 2


async def test_a_name_is_resolved_once_and_the_connection_goes_there(make: Any, start: Start) -> None:
    """Rebinding: a name server that tells an address that is allowed when it is looked at, and another one afterwards."""
    good = await start(host="127.0.0.1")
    bad = await start(host="127.0.0.2", port=good.port)
    resolve = leading_to(["127.0.0.1"], ["127.0.0.2"])

    def allow(address: Any) -> bool:
        return str(address) == "127.0.0.1"

    egress = make(resolve=resolve, allow=allow, schemes=("http",))
    url = f"http://shop.example:{good.port}/"
    assert (await egress.request("POST", url)).status == 204
    assert (resolve.asked, len(good.seen), len(bad.seen)) == (1, 1, 0)
    assert b"Host: shop.example" in good.seen[0]
    await unreached("address_refused", egress.request("POST", url))  # and the next request is judged anew
    assert (resolve.asked, len(good.seen), len(bad.seen)) == (2, 1, 0)


async def test_a_name_without_an_address(make: Any) -> None:
    async def nobody(host: str) -> Sequence[str]:
        raise OSError("no such name")

    await unreached("unresolved", make(resolve=nobody).request("POST", "https://shop.example/"))
    await unreached("unresolved", make(resolve=leading_to([])).request("POST", "https://shop.example/"))
    await unreached("unresolved", make().request("POST", "https://no-such-name.invalid/"))


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(make: Any, start: Start, status: int) -> None:
    other = await start()
    head = f"HTTP/1.1 {status} Elsewhere\r\nLocation: http://127.0.0.1:{other.port}/\r\nContent-Length: 0\r\n\r\n"
    server = await start(answering(head.encode()))
    assert (await make(private=True).request("POST", f"http://127.0.0.1:{server.port}/")).status == status
    assert other.seen == []


async def test_who_never_answers_is_left(make: Any, start: Start) -> None:
    server = await start(silent)
    began = time.monotonic()
    await unreached("timeout", make(private=True, seconds=0.3).request("POST", f"http://127.0.0.1:{server.port}/"))
    assert time.monotonic() - began < 3
    await asyncio.wait_for(server.ended.wait(), 5)  # the connection was closed

    async def slow(host: str) -> Sequence[str]:
        await asyncio.sleep(60)
        return ["8.8.8.8"]

    await unreached("timeout", make(resolve=slow, seconds=0.3).request("POST", "https://shop.example/"))


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"


async def test_of_an_endless_answer_the_beginning_is_read(make: Any, start: Start) -> None:
    server = await start(endless(HEAD, b"x" * 65_536))
    egress = make(private=True, seconds=5)
    answer = await egress.request("POST", f"http://127.0.0.1:{server.port}/", most=1000)
    assert (answer.status, answer.body, answer.whole) == (200, b"x" * 1000, False)
    await asyncio.wait_for(server.ended.wait(), 5)


async def test_of_who_answers_drop_by_drop_the_status_can_be_had(make: Any, start: Start) -> None:
    server = await start(endless(HEAD, b"x", 0.05))
    egress = make(private=True, seconds=0.5)
    await unreached("timeout", egress.request("POST", f"http://127.0.0.1:{server.port}/"))
    assert (await egress.request("POST", f"http://127.0.0.1:{server.port}/", most=0)).status == 200


@pytest.mark.parametrize(
    "behave",
    [endless(b"HTTP/1.1 200 OK\r\n", b"x-a: b\r\n"), endless(b"HTTP/1.1 200 OK\r\nx-a: ", b"b" * 1000),
     endless(b"", b"x" * 1000), answering(b"no HTTP at all\r\n\r\n")],
    ids=["headers", "a header", "a line", "another protocol"],
)  # fmt: skip
async def test_an_endless_head_is_no_answer(make: Any, start: Start, behave: Behaviour) -> None:
    server = await start(behave)
    await unreached("unreadable", make(private=True, seconds=5).request("POST", f"http://127.0.0.1:{server.port}/"))


async def test_what_is_packed_stays_packed(make: Any, start: Start) -> None:
    """A thousand bytes can be a million."""
    packed = b"\x1f\x8b" + bytes(100)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    server = await start(answering(head + packed))
    answer = await make(private=True).request("GET", f"http://127.0.0.1:{server.port}/")
    assert (answer.body, answer.whole) == (packed, True)
    assert b"gzip" not in server.seen[0]


async def test_who_hangs_up_gives_no_answer(make: Any, start: Start) -> None:
    server = await start(answering(b""))
    await unreached("no_connection", make(private=True).request("POST", f"http://127.0.0.1:{server.port}/"))
    cut = await start(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"))
    with pytest.raises(Unreached):
        await make(private=True).request("POST", f"http://127.0.0.1:{cut.port}/")
    with pytest.raises(Unreached):
        await make(private=True).request("POST", "http://127.0.0.1:1/")


async def test_no_cookie_and_nothing_of_the_environment_goes_along(
    make: Any, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = await start()
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{other.port}")
    server = await start(answering(b"HTTP/1.1 204 No Content\r\nSet-Cookie: a=b; Path=/\r\n\r\n"))
    egress = make(private=True)
    for _ in range(2):
        await egress.request("POST", f"http://localhost:{server.port}/", headers={"x-a": "b"})
    assert len(server.seen) == 2 and other.seen == []
    assert all(b"ookie" not in head and b"x-a: b" in head for head in server.seen)
