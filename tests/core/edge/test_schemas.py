"""Schemathesis over the documents of all four audiences: nothing fails, and no answer is outside of what is described.

``MARKETPLACE_EXAMPLES`` are the cases of each operation and ``MARKETPLACE_SEED`` is what they are made from; a fault is printed
with both, and as a line for curl. ``MARKETPLACE_OPERATION="buyer POST /orders"`` runs one operation again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Any

import aiohttp
import msgspec
import pytest
import requests
import structlog
from schemathesis import Case, Response

from marketplace_core._plugins.openapi import describe
from marketplace_core.deployment import DEFAULT_FILE
from marketplace_core.testing.shop import Shop
from marketplace_core.values import AUDIENCES, Audience
from tests.core.edge.schemas.fuzz import Fuzz, Operation, generated, operations_of, wrong
from tests.core.edge.schemas.world import World

WITH = ("analytics",)

EXAMPLES = int(os.environ.get("MARKETPLACE_EXAMPLES", "5"))
SEED = int(os.environ.get("MARKETPLACE_SEED", "1"))
ONLY = os.environ.get("MARKETPLACE_OPERATION")
ANSWERED = 0.9
SHOWN = 20

Cases = list[tuple[Operation, list[Case]]]


@pytest.fixture
def settings() -> dict[str, str]:
    return {"auth": "hash_time = 1\nhash_memory = 1"}  # there are some thousand logins


@pytest.fixture
def quiet() -> Iterator[None]:
    """No line for each of some thousand requests; what fails is still told."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR), cache_logger_on_first_use=False)
    yield
    structlog.reset_defaults()


@pytest.fixture
def document(audience: Audience) -> Any:
    return msgspec.json.decode(msgspec.json.encode(describe(DEFAULT_FILE, audience)))


@pytest.fixture
def cases(audience: Audience, document: Any) -> Cases:
    """To be had before the marketplace is opened."""
    operations = operations_of(document)
    wanted = [each for each in operations if ONLY is None or f"{audience} {each.label}" == ONLY]
    return [(operation, generated(operation, EXAMPLES, SEED)) for operation in wanted]


@pytest.mark.costly("every operation of an audience on one marketplace; 200 cases each in tox -e edge")
@pytest.mark.timeout(120 + 4 * EXAMPLES)
@pytest.mark.parametrize("audience", AUDIENCES)
async def test_no_answer_is_outside_of_its_document(
    audience: str, quiet: None, document: Any, cases: Cases, shop: Shop
) -> None:
    assert (await (shop.admin if audience == "admin" else shop.make(audience)).get("/openapi.json"))["paths"] == document[
        "paths"
    ]
    world = await World.made(shop)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        fuzz = Fuzz(world, audience, session, SEED)
        for operation, its_cases in cases:
            await fuzz.run(operation, its_cases)
    never = [label for label, count in fuzz.answered.items() if not count]
    print(f"{audience}: {fuzz.sent} requests to {len(fuzz.answered)} operations, never answered 2xx: {never}")
    again = f"MARKETPLACE_SEED={SEED} MARKETPLACE_EXAMPLES={EXAMPLES}"
    shown = "\n".join(map(str, fuzz.faults[:SHOWN]))
    assert not fuzz.faults, f"{len(fuzz.faults)} of {fuzz.sent} answers, {again}:\n{shown}"
    assert len(never) <= (1 - ANSWERED) * len(fuzz.answered), f"never answered 2xx, {again}: {never}"


GOOD = {
    "id": "1",
    "email": "",
    "email_verified": True,
    "name": "",
    "locale": None,
    "preferences": {},
    "roles": [],
    "created_at": "",
}
JSON, PROBLEM = "application/json", "application/problem+json"


@pytest.mark.parametrize("audience", ["buyer"])
@pytest.mark.parametrize(
    ("status", "body", "media_type", "headers", "title"),
    [
        (200, GOOD, JSON, {"etag": ['"1"']}, None),
        (200, {**GOOD, "id": 1}, JSON, {"etag": ['"1"']}, "Response violates schema"),
        (200, {"id": "1"}, JSON, {"etag": ['"1"']}, "Response violates schema"),
        (200, GOOD, JSON, {}, "Missing required response headers"),
        (200, GOOD, "text/html", {"etag": ['"1"']}, "Undocumented Content-Type"),
        (418, {}, PROBLEM, {}, "Undocumented status code"),
        (503, {}, PROBLEM, {"retry-after": ["1"]}, "Server error"),
    ],
)
def test_what_is_wrong_is_seen(
    document: Any, status: int, body: Any, media_type: str, headers: dict[str, list[str]], title: str | None
) -> None:
    operation = next(each for each in operations_of(document) if each.label == "GET /me")
    request = requests.Request("GET", "http://localhost/buyer/v1/me").prepare()
    all_headers = {"content-type": [media_type], "x-request-id": ["1"], **headers}
    response = Response(status, all_headers, msgspec.json.encode(body), request, 0.0, verify=False)
    titles = [each for each, _ in wrong(operation.Case(), response)]
    assert titles == [] if title is None else title in titles
