"""Query parameters of a prefix: how they are read, refused and documented."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated

import aiohttp
import pytest
from http_serving import app_of, served
from msgspec import Meta, field
from yarl import URL

from marketplace_core.http.openapi import document
from marketplace_core.http.routing import Router
from marketplace_core.values import PageQuery


class Filtered(PageQuery, frozen=True, kw_only=True):
    option: dict[str, list[str]] = field(default_factory=dict)
    attr: Annotated[dict[Annotated[str, Meta(max_length=8)], Annotated[int, Meta(ge=1)]], Meta(max_length=2)] = field(
        default_factory=dict
    )


shop = Router("buyer", "shop")


@shop.get("/filtered", access="anyone")
async def filtered(query: Filtered) -> tuple[dict[str, list[str]], dict[str, int]]:
    return query.option, query.attr


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


async def get(client: aiohttp.ClientSession, path: str) -> aiohttp.ClientResponse:
    return await client.get(URL(f"http://shop.test/buyer/v1{path}", encoded=True))


@pytest.mark.parametrize(
    ("query", "option", "attr"),
    [
        ("", {}, {}),
        ("option.color=red&option.color=blue&option.size=M&limit=5", {"color": ["red", "blue"], "size": ["M"]}, {}),
        ("attr.watts=5&option.a.b%2F%C3%BC=%26", {"a.b/ü": ["&"]}, {"watts": 5}),
    ],
)
async def test_parameters_of_a_prefix(
    client: aiohttp.ClientSession, query: str, option: dict[str, list[str]], attr: dict[str, int]
) -> None:
    answer = await get(client, f"/filtered?{query}")
    assert await answer.json() == [option, attr]


@pytest.mark.parametrize(
    ("query", "problems"),
    [
        ("option=red", {"?option": "unknown_field"}),
        ("option.=red", {"?option.": "unknown_field"}),
        ("opton.color=red", {"?opton.color": "unknown_field"}),
        ("attr.watts=5&attr.watts=6", {"?attr.watts": "duplicate"}),
        ("attr.watts=x", {"?attr.watts": "type"}),
        ("attr.watts=0", {"?attr.watts": "range"}),
        ("attr.a~b/c=x", {"?attr.a~b/c": "type"}),
        ("limit.x=5", {"?limit.x": "unknown_field"}),
    ],
)
async def test_bad_parameters_of_a_prefix_are_named(
    client: aiohttp.ClientSession, query: str, problems: dict[str, str]
) -> None:
    answer = await get(client, f"/filtered?{query}")
    assert (answer.status, await refusal(answer)) == (422, {"code": "validation", **problems})


def test_a_prefix_in_the_document() -> None:
    paths = document("buyer", [shop], "Shop", "1")["paths"]
    option, attr = (each for each in paths["/filtered"]["get"]["parameters"] if each["name"] in {"option", "attr"})
    assert (option["in"], option["style"], option["explode"], option["required"]) == ("query", "form", True, False)
    of_text = {"type": "array", "items": {"type": "string"}}
    assert option["schema"] == {"type": "object", "patternProperties": {r"^option\..": of_text}, "additionalProperties": False}
    assert attr["schema"]["patternProperties"] == {r"^attr\..": {"type": "integer", "minimum": 1}}
    assert attr["schema"]["maxProperties"] == 2
