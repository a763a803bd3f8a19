"""What requests are refused for, and how: every rule about reading them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator
from datetime import datetime
from io import BytesIO
from tempfile import SpooledTemporaryFile
from typing import Annotated, Any, Literal

import aiohttp
import pytest
from http_serving import app_of, served
from msgspec import UNSET, Meta, Struct, UnsetType
from yarl import URL

from marketplace_core.calls import current
from marketplace_core.http import multipart
from marketplace_core.http.routing import Request, Router, Upload
from marketplace_core.values import PageQuery

MIB = 1 << 20


class Line(Struct, forbid_unknown_fields=True):
    sku: str
    quantity: Annotated[int, Meta(ge=1, le=99)]


class Order(Struct, forbid_unknown_fields=True):
    email: Annotated[str, Meta(pattern="@")]
    lines: Annotated[list[Line], Meta(max_length=2)]
    note: str | None = None


class Reason(Struct, forbid_unknown_fields=True):
    text: str = "none"
    more: int | UnsetType | None = UNSET


class Search(PageQuery, frozen=True, kw_only=True):
    sort: Literal["newest", "price"] = "newest"
    after: datetime | None = None
    tags: tuple[str, ...] = ()
    open: bool | None = None


shop = Router("buyer", "shop")


@shop.post("/orders", access="guest")
async def place(body: Order) -> Order:
    return body


@shop.post("/orders/{id}/cancel", access="guest", status=200)
async def cancel(id: str, body: Reason) -> dict[str, Any]:
    return {"id": id, "text": body.text, "more": "absent" if body.more is UNSET else body.more}


#: What handlers were given, and whether each was on disk while they had it.
given: list[tuple[Upload, bool]] = []


@shop.post("/large", access="guest", limit=12 * MIB)
async def large(files: list[Upload]) -> list[str]:
    given[:] = [(file, bool(getattr(file.file, "_rolled", None))) for file in files]
    return [hashlib.sha256(file.content).hexdigest() for file in files]


@shop.get("/search", access="anyone")
async def search(query: Search) -> Search:
    return query


@shop.get("/slow/{id}", access="anyone")
async def slow(id: str) -> str:
    await asyncio.sleep(0.2)
    return id


@shop.post("/pictures", access="guest", limit=2 * MIB, count=3)
async def pictures(files: list[Upload]) -> list[tuple[str, str, str, int]]:
    return [(file.field, file.name, file.media_type, len(file.content)) for file in files]


@shop.post("/evidence", access="guest")
async def evidence(files: list[Upload], body: Reason) -> tuple[int, str]:
    return len(files), body.text


@shop.post("/webhook", access="guest", key="ignored")
async def webhook(raw: bytes) -> tuple[int, str | None]:
    return len(raw), current().key


@shop.post("/refund", access="guest", key="required")
async def refund(request: Request) -> tuple[str | None, str | None]:
    return request.call.key, request.call.guest


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with served(app_of(shop)) as session:
        yield session


async def refusal(answer: aiohttp.ClientResponse) -> dict[str, str]:
    """Pointers with their codes; the shape of a problem is checked on the way."""
    problem = json.loads(await answer.read())
    assert answer.content_type == "application/problem+json"
    assert problem["status"] == answer.status
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    assert set(problem) == {"type", "title", "status", "code", "detail", "request_id", "errors", "more"}
    return {"code": problem["code"], **{error["pointer"]: error["code"] for error in problem["errors"]}}


async def post(client: aiohttp.ClientSession, path: str, data: Any, **headers: str) -> aiohttp.ClientResponse:
    return await client.post(
        f"/buyer/v1{path}", data=data, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


async def get(client: aiohttp.ClientSession, path: str) -> aiohttp.ClientResponse:
    return await client.get(URL(f"http://shop.test/buyer/v1{path}", encoded=True))


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.behaviour("all-2")
@pytest.mark.parametrize(
    "raw",
    [b"{", b"not json", b'{"email": "\xff@"}', b"\xef\xbb\xbf{}", b'{"note": ' + b"[" * 20_000, b'{"email":"\\ud800"}'],
    ids=["cut", "text", "latin", "bom", "deep", "surrogate"],
)
async def test_what_is_not_json_is_malformed(client: aiohttp.ClientSession, raw: bytes) -> None:
    answer = await post(client, "/orders", raw, content_type="application/json")
    assert (answer.status, await refusal(answer)) == (400, {"code": "http.malformed"})


@pytest.mark.behaviour("all-2")
async def test_every_bad_field_is_named(client: aiohttp.ClientSession) -> None:
    body = {"lines": [{"sku": 1, "quantity": 0}, {"quantity": 1, "x/y": 1}, {"sku": "a", "quantity": 1}], "note": 2, "nota": ""}
    answer = await post(client, "/orders", json.dumps(body), content_type="application/json")
    assert answer.status == 422
    assert await refusal(answer) == {
        "code": "validation",
        "/email": "required",
        "/lines": "length",
        "/lines/0/sku": "type",
        "/lines/0/quantity": "range",
        "/lines/1/sku": "required",
        "/lines/1/x~1y": "unknown_field",
        "/note": "type",
        "/nota": "unknown_field",
    }


async def test_query_and_body_are_refused_together(client: aiohttp.ClientSession) -> None:
    answer = await post(client, "/orders/1/cancel?force=1", b'{"text": 1}', content_type="application/json")
    assert await refusal(answer) == {"code": "validation", "?force": "unknown_field", "/text": "type"}


async def test_what_no_store_can_hold_is_refused(client: aiohttp.ClientSession) -> None:
    raw = b'{"text": "a\\u0000b", "more": 99999999999999999999}'
    answer = await post(client, "/orders/1/cancel", raw, content_type="application/json")
    assert await refusal(answer) == {"code": "validation", "/text": "format", "/more": "range"}
    assert (await get(client, "/slow/a%00")).status == 404


async def test_a_merge_patch_tells_absent_from_null(client: aiohttp.ClientSession) -> None:
    for raw, more in ((b"{}", "absent"), (b'{"more": null}', None), (b'{"more": 3}', 3)):
        answer = await post(client, "/orders/1/cancel", raw, content_type="application/merge-patch+json")
        assert (await answer.json())["more"] == more


async def test_a_body_may_be_empty_where_no_field_is_required(client: aiohttp.ClientSession) -> None:
    answer = await client.post("/buyer/v1/orders/7/cancel")
    assert await answer.json() == {"id": "7", "text": "none", "more": "absent"}
    answer = await client.post("/buyer/v1/orders")
    assert await refusal(answer) == {"code": "validation", "/email": "required", "/lines": "required"}


@pytest.mark.parametrize("media_type", ["text/plain", "application/json; charset=latin-1", "application/xml"])
async def test_another_type_is_unsupported(client: aiohttp.ClientSession, media_type: str) -> None:
    answer = await post(client, "/orders/1/cancel", b"{}", content_type=media_type)
    assert (answer.status, await refusal(answer)) == (415, {"code": "http.unsupported_media_type"})


async def test_utf_8_may_be_said(client: aiohttp.ClientSession) -> None:
    answer = await post(client, "/orders/1/cancel", b"{}", content_type='Application/JSON; charset="UTF-8"')
    assert answer.status == 200


async def chunks(size: int) -> AsyncIterator[bytes]:
    """A body whose length is not said beforehand."""
    for _ in range(size // 65536):
        yield b" " * 65536
    yield b"{}"


async def test_a_megabyte_is_taken_and_no_more(client: aiohttp.ClientSession) -> None:
    for size, status in ((MIB - 65536, 200), (MIB, 413), (8 * MIB, 413)):
        for data in (BytesIO(b" " * size + b"{}"), chunks(size)):
            answer = await post(client, "/orders/1/cancel", data, content_type="application/json")
            assert answer.status == status
            if status == 413:
                assert await refusal(answer) == {"code": "http.too_large"}


async def test_a_body_that_nobody_reads_does_not_disturb(client: aiohttp.ClientSession) -> None:
    answer = await client.get("/buyer/v1/slow/1", data=chunks(4 * MIB))
    assert (answer.status, await answer.json()) == (200, "1")
    assert (await client.get("/buyer/v1/slow/2")).status == 200


# ── query strings ────────────────────────────────────────────────────────────────────────────────────────────


async def test_parameters_are_read_from_text(client: aiohttp.ClientSession) -> None:
    answer = await get(client, "/search?limit=7&sort=price&after=2026-01-31T12:00:00%2B02:00&tags=a&tags=b&open=true")
    assert await answer.json() == {
        "limit": 7,
        "cursor": None,
        "sort": "price",
        "after": "2026-01-31T12:00:00+02:00",
        "tags": ["a", "b"],
        "open": True,
    }


@pytest.mark.behaviour("all-2", "all-3")
@pytest.mark.parametrize(
    ("query", "problems"),
    [
        ("limit=x&sort=worst", {"?limit": "type", "?sort": "unknown_value"}),
        ("limit=0", {"?limit": "range"}),
        ("limit=1&limit=2", {"?limit": "duplicate"}),
        ("sorted=price&limit=", {"?sorted": "unknown_field", "?limit": "type"}),
        ("after=2026-01-31T12:00:00", {"?after": "format"}),
        ("cursor=%00", {"?cursor": "format"}),
        ("limit=" + "9" * 30, {"?limit": "range"}),
    ],
)
async def test_bad_parameters_are_named(client: aiohttp.ClientSession, query: str, problems: dict[str, str]) -> None:
    answer = await get(client, f"/search?{query}")
    assert (answer.status, await refusal(answer)) == (422, {"code": "validation", **problems})


async def test_parameters_where_there_are_none(client: aiohttp.ClientSession) -> None:
    assert await refusal(await get(client, "/slow/1?a=1&a=2")) == {"code": "validation", "?a": "unknown_field"}
    assert (await post(client, "/webhook?signed=1", b"x")).status == 201


@pytest.mark.parametrize("query", ["limit=%ff", "&".join(f"a{n}=1" for n in range(101))])
async def test_a_query_that_cannot_be_read(client: aiohttp.ClientSession, query: str) -> None:
    answer = await get(client, f"/search?{query}")
    assert (answer.status, await refusal(answer)) == (400, {"code": "http.malformed"})


# ── files and raw bodies ─────────────────────────────────────────────────────────────────────────────────────


def form(*sizes: int, **fields: str) -> aiohttp.FormData:
    data = aiohttp.FormData(quote_fields=False, default_to_multipart=True)
    for number, size in enumerate(sizes):
        data.add_field("file", BytesIO(b"\0\r\n-" * (size // 4)), filename=f"a/b/{number}.png", content_type="image/png")
    for name, value in fields.items():
        data.add_field(name, value)
    return data


async def test_files_arrive_whole(client: aiohttp.ClientSession) -> None:
    answer = await client.post("/buyer/v1/pictures", data=form(4, 2 * MIB, 1 * MIB))
    assert answer.status == 201
    assert await answer.json() == [
        ["file", "0.png", "image/png", 4],
        ["file", "1.png", "image/png", 2 * MIB],
        ["file", "2.png", "image/png", MIB],
    ]


@pytest.mark.parametrize("sizes", [(2 * MIB + 4,), (4, 4, 4, 4), (2 * MIB, 2 * MIB, 2 * MIB, 2 * MIB)])
async def test_too_large_or_too_many_files(client: aiohttp.ClientSession, sizes: tuple[int, ...]) -> None:
    answer = await client.post("/buyer/v1/pictures", data=form(*sizes))
    assert (answer.status, await refusal(answer)) == (413, {"code": "http.too_large"})


async def test_fields_beside_files(client: aiohttp.ClientSession) -> None:
    answer = await client.post("/buyer/v1/evidence", data=form(4, 4, text="why"))
    assert await answer.json() == [2, "why"]
    answer = await client.post("/buyer/v1/evidence", json={"text": "only words"})
    assert await answer.json() == [0, "only words"]
    answer = await client.post("/buyer/v1/evidence", data=form(4, more="x", less="y"))
    assert await refusal(answer) == {"code": "validation", "/more": "type", "/less": "unknown_field"}


async def test_forms_that_are_refused(client: aiohttp.ClientSession) -> None:
    answer = await client.post("/buyer/v1/pictures", json={})
    assert (answer.status, await refusal(answer)) == (415, {"code": "http.unsupported_media_type"})
    answer = await client.post("/buyer/v1/pictures", data=form(text="no file"))
    assert await refusal(answer) == {"code": "validation", "/text": "unknown_field", "/file": "required"}
    twice = form(4, text="a")
    twice.add_field("text", "b")
    answer = await client.post("/buyer/v1/evidence", data=twice)
    assert await refusal(answer) == {"code": "validation", "/text": "duplicate"}
    for content_type, raw in (
        ("multipart/form-data", b"--a\r\n"),
        ("multipart/form-data; boundary=a", b"--b\r\nhello"),
        ("multipart/form-data; boundary=a", b'--a\r\ncontent-disposition: form-data; name="x"\r\n\r\ncut'),
    ):
        answer = await post(client, "/pictures", raw, content_type=content_type)
        assert (answer.status, await refusal(answer)) == (400, {"code": "http.malformed"})


async def test_a_large_file_is_on_disk_while_it_is_looked_at(client: aiohttp.ClientSession) -> None:
    contents = [b"", os.urandom(MIB), os.urandom(MIB + 1), os.urandom(9 * MIB)]
    data = aiohttp.FormData(default_to_multipart=True)
    for number, content in enumerate(contents):
        data.add_field("file", BytesIO(content), filename=f"{number}.bin")
    answer = await client.post("/buyer/v1/large", data=data)
    assert await answer.json() == [hashlib.sha256(content).hexdigest() for content in contents]
    assert [(upload.size, on_disk) for upload, on_disk in given] == [(0, False), (MIB, False), (MIB + 1, True), (9 * MIB, True)]
    assert all(upload.file.closed for upload, _ in given)


async def test_files_of_a_form_that_is_refused_are_closed(
    client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []

    def open_one(*arguments: Any) -> Any:
        opened.append(SpooledTemporaryFile(*arguments))  # noqa: SIM115 - as what is tested does
        return opened[-1]

    monkeypatch.setattr(multipart, "SpooledTemporaryFile", open_one)
    data = aiohttp.FormData(default_to_multipart=True)
    for size in (2 * MIB, 13 * MIB):
        data.add_field("file", BytesIO(b" " * size), filename="a.bin")
    assert (await client.post("/buyer/v1/large", data=data)).status == 413
    assert [file.closed for file in opened] == [True, True]


async def test_raw_bytes_are_left_alone(client: aiohttp.ClientSession) -> None:
    answer = await post(client, "/webhook", b"\xff{", content_type="application/json", idempotency_key="ignored")
    assert await answer.json() == [2, None]
    answer = await post(client, "/webhook", BytesIO(b" " * (MIB + 1)))
    assert answer.status == 413


# ── headers ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.behaviour("all-1")
async def test_the_key_goes_with_the_call(client: aiohttp.ClientSession) -> None:
    answer = await post(client, "/refund", b"", idempotency_key="k 1~", x_cart_token="t" * 200)
    assert await answer.json() == ["shop.refund:k 1~", "t" * 200]


@pytest.mark.parametrize("key", ["k" * 256, "ü", "a\tb", ""])
async def test_a_bad_key_is_refused(client: aiohttp.ClientSession, key: str) -> None:
    answer = await post(client, "/refund", b"", idempotency_key=key)
    assert (answer.status, await refusal(answer)) == (400, {"code": "http.bad_idempotency_key"})


async def test_a_key_may_be_required(client: aiohttp.ClientSession) -> None:
    answer = await client.post("/buyer/v1/refund")
    assert (answer.status, await refusal(answer)) == (400, {"code": "idempotency.key_required"})


async def test_a_cart_token_that_cannot_be_one(client: aiohttp.ClientSession) -> None:
    answer = await post(client, "/refund", b"", idempotency_key="k", x_cart_token="t" * 201)
    assert (answer.status, await refusal(answer)) == (400, {"code": "http.malformed"})
