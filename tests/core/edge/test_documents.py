"""The OpenAPI documents themselves: valid, whole, and the same from the command line as from the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from marketplace_core._plugins.openapi import describe
from marketplace_core.deployment import DEFAULT_FILE
from marketplace_core.testing.shop import Shop
from marketplace_core.values import AUDIENCES, Audience


@pytest.fixture(params=AUDIENCES)
def audience(request: pytest.FixtureRequest) -> Audience:
    found: Audience = request.param
    return found


@pytest.fixture
def document(audience: Audience) -> Any:
    return msgspec.json.decode(msgspec.json.encode(describe(DEFAULT_FILE, audience)))


def operations(document: Any) -> list[dict[str, Any]]:
    return [operation for path in document["paths"].values() for operation in path.values()]


def test_a_document_is_valid_openapi(document: Any) -> None:
    assert document["openapi"].startswith("3.1.")
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_every_operation_says_how_it_is_refused(document: Any) -> None:
    told = operations(document)
    assert len(told) > 20
    assert len({operation["operationId"] for operation in told}) == len(told)
    for operation in told:
        responses = operation["responses"]
        assert {"400", "401", "422", "429", "503"} <= responses.keys(), operation["operationId"]
        assert any(status.startswith("2") for status in responses), operation["operationId"]
        assert operation["summary"], operation["operationId"]
        is_closed = operation["security"] == [{"bearer": []}]
        assert not is_closed or "403" in responses, operation["operationId"]


def test_examples_and_defaults_are_what_they_are_given_for(document: Any) -> None:
    given = list(_given(document))
    assert given
    for schema, value in given:
        validator = Draft202012Validator({**schema, "components": document["components"]})
        assert [error.message for error in validator.iter_errors(value)] == [], schema


def _given(part: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """Every schema that gives values, with each of them."""
    if isinstance(part, list):
        for each in part:
            yield from _given(each)
    elif isinstance(part, dict):
        if {"type", "anyOf", "enum", "$ref"} & part.keys():
            yield from ((part, part[name]) for name in ("default", "example") if name in part)
            yield from ((part, value) for value in part.get("examples", ()))
        for each in part.values():
            yield from _given(each)


def test_no_answer_may_leave_out_a_field(document: Any) -> None:
    """As long as no request has the same shape: what is only answered is whole."""
    page = document["components"]["schemas"]["Page_SessionView_"]
    assert page["required"] == ["items", "next"]
    assert document["components"]["schemas"]["ProblemDetails"]["required"] == [
        *("type", "title", "status", "code", "detail", "request_id", "errors", "more")
    ]
    assert "phone" in document["components"]["schemas"]["Address"]["required"], "the one that is asked for is another"
    assert "phone" not in document["components"]["schemas"].get("AddressInput", {}).get("required", ())


async def test_gateways_serve_what_the_command_prints(shop: Shop) -> None:
    for audience in AUDIENCES:
        printed = msgspec.json.decode(msgspec.json.encode(describe(shop.market.file, audience)))
        assert await (shop.admin if audience == "admin" else shop.make(audience)).get("/openapi.json") == printed
