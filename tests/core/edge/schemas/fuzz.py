"""Schemathesis against one audience: what its document allows and what it does not, by every caller.

Cases are made from the seed before any is sent, so a seed, a number of examples and one operation give the same cases again.
Each is then mixed with what is in the world, or no id would ever be found; and with samples, which have to succeed.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import aiohttp
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode, Response
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi import checks as openapi
from yarl import URL

from tests.core.edge.schemas import samples_discovery, samples_operators, samples_reviews  # noqa: F401 - known once they are imported
from tests.core.edge.schemas.samples import STANDING, Sample, sample_of
from tests.core.edge.schemas.world import RIGHT, World

__all__ = ["Fault", "Fuzz", "Operation", "generated", "operations_of", "wrong"]

CHECKS = [
    not_a_server_error,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_headers_conformance,
    openapi.response_schema_conformance,
    openapi.negative_data_rejection,
]
RIGHT_SHARE, KNOWN_SHARE = 0.6, 0.5
SAMPLED = 8  # every so many cases one is a sample, and another is generated around one
#: What the client library would add, and what says nothing of a case.
OWN_HEADERS = ("Content-Type", "User-Agent", "Accept", "Accept-Encoding")
SILENT_HEADERS = {"content-length", "accept", "accept-encoding", "connection", "user-agent", "x-schemathesis-testcaseid"}

Operation = APIOperation[Any, Any, Any, Any]


@dataclass(frozen=True)
class Fault:
    """``number`` is the case's; ``curl`` sends it again, by whoever is named in angle brackets."""

    operation: str
    number: str
    title: str
    detail: str
    curl: str

    def __str__(self) -> str:
        return f"{self.operation} [{self.number}] {self.title}: {self.detail}\n    {self.curl}"


def operations_of(document: dict[str, Any]) -> list[Operation]:
    """In the order of the document, but what moves the clock at the end: it logs everybody out."""
    schema = schemathesis.openapi.from_dict(document)
    schema.config.generation.update(with_security_parameters=False, database="none")
    found = [result.ok() for result in schema.get_all_operations()]
    return sorted(found, key=lambda operation: operation.label == "POST /clock")


def generated(operation: Operation, number: int, seed_: int) -> list[Case]:
    """``number`` cases, every other one against the schema; all according to it where nothing can be wrong.

    Not while a marketplace runs: Hypothesis refuses strategies during which somebody else asks for a random number.
    """
    bad = _drawn(operation, GenerationMode.NEGATIVE, number // 2, seed_) if _can_be_wrong(operation) else []
    good = _drawn(operation, GenerationMode.POSITIVE, (number + 1) // 2 if bad else number, seed_)
    if not bad:
        return [good[n % len(good)] for n in range(number)]
    return [bad[n // 2 % len(bad)] if n % 2 else good[n // 2 % len(good)] for n in range(number)]


def _can_be_wrong(operation: Operation) -> bool:
    """Anything is a string in a path or a header. (Schemathesis finds that out too, by trying for half a second.)"""
    raw = operation.definition.raw
    body = raw.get("requestBody", {"content": {}})["content"]
    return bool(body.keys() - {"*/*"}) or any(each["schema"] != {"type": "string"} for each in raw["parameters"])


def _drawn(operation: Operation, mode: GenerationMode, number: int, seed_: int) -> list[Case]:
    cases: list[Case] = []

    @seed(seed_)
    @settings(
        max_examples=number, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), deadline=None
    )
    @given(operation.as_strategy(generation_mode=mode))
    def draw(case: Case) -> None:
        cases.append(case)

    try:
        draw()
    except Unsatisfiable:
        return []
    return cases


class Fuzz:
    """``answered``: how often each operation was answered 2xx. ``faults``: what must not be."""

    def __init__(self, world: World, audience: str, session: aiohttp.ClientSession, seed_: int) -> None:
        self.answered: Counter[str] = Counter()
        self.sent = 0
        self.faults: list[Fault] = []
        self._world = world
        self._audience = audience
        self._session = session
        self._seed = seed_
        self._prefix = world.shop.market.audiences[audience]
        self._samples: dict[str, list[Sample]] = {}

    async def run(self, operation: Operation, cases: Sequence[Case]) -> None:
        await self._world.renew()
        self.answered[operation.label] += 0
        for number, case in enumerate(cases):
            rng = Random(f"{self._seed} {self._audience} {operation.label} {number}")
            if number % SAMPLED == 0:
                sample = await self._sample(operation)
                await self._send(_only(operation, sample), f"{number} sample", self._right(sample)[0])
            if number % SAMPLED == SAMPLED // 2:
                sample = await self._sample(operation)
                await self._send(_around(case, sample), f"{number} mixed", self._right(sample)[0])
            else:
                self._place(case, operation, rng)
                await self._send(case, str(number), self._caller(operation, rng))
        await self._unknown(operation)

    # ── who asks for what ────────────────────────────────────────────────────────────────────────────────────

    async def _sample(self, operation: Operation) -> Sample:
        make, most = sample_of(self._audience, operation.label)
        made = self._samples.setdefault(operation.label, [])
        if len(made) < most:
            made.append(await make(self._world, self._audience))
        return made[-1]

    def _last(self, operation: Operation) -> Sample:
        return self._samples[operation.label][-1]

    def _right(self, sample: Sample) -> list[str]:
        if sample.token is None:
            return ["nobody"]
        if sample.token == STANDING:
            return list(RIGHT[self._audience])
        self._world.tokens["the sample's"] = sample.token
        return ["the sample's"]

    def _caller(self, operation: Operation, rng: Random) -> str:
        right = self._right(self._last(operation))
        if rng.random() < RIGHT_SHARE:
            return rng.choice(right)
        kept = {*right, *RIGHT[self._audience], "the sample's"}  # whoever logs out is needed no more
        return rng.choice([name for name in self._world.tokens if name not in kept])

    def _place(self, case: Case, operation: Operation, rng: Random) -> None:
        """Give it ids that exist, now and then."""
        known = self._last(operation).path
        if known and rng.random() < KNOWN_SHARE:
            case.path_parameters = {**(case.path_parameters or {}), **known}

    async def _unknown(self, operation: Operation) -> None:
        """A field and a parameter that nobody knows are refused by name."""
        sample = await self._sample(operation)
        caller = self._right(sample)[0]
        if not isinstance(sample.body, bytes):
            case = _only(operation, sample)
            case.query = {"no_such_parameter": "1"}
            await self._refused(case, "unknown parameter", caller, "?no_such_parameter")
        if isinstance(sample.body, dict) and operation.body:
            case = _only(operation, await self._sample(operation))
            case.body = {**case.body, "no_such_field": 1}
            await self._refused(case, "unknown field", caller, "/no_such_field")

    async def _refused(self, case: Case, number: str, caller: str, pointer: str) -> None:
        response = await self._send(case, number, caller)
        if response is not None and (response.status_code != 422 or f'"{pointer}"'.encode() not in response.content):
            self._fault(case, number, "not refused", f"{response.status_code} {response.content!r}", response.request, caller)

    # ── the request and its answer ───────────────────────────────────────────────────────────────────────────

    async def _send(self, case: Case, number: str, caller: str) -> Response | None:
        request = requests.Request(**case.as_transport_kwargs(base_url=self._prefix)).prepare()
        token = self._world.tokens[caller]
        if token is not None:
            request.headers["Authorization"] = token
        response = await self._answer(request)
        self.sent += 1
        good = 200 <= response.status_code < 300
        self.answered[case.operation.label] += good
        for title, detail in wrong(case, response):
            self._fault(case, number, title, detail, request, caller)
        if good and _needs_token(case) and not self._may(caller):
            self._fault(case, number, "let in", f"{caller} got {response.status_code}", request, caller)
        return response

    def _may(self, caller: str) -> bool:
        extra = {"seller": {"without a shop"}}.get(self._audience, set())
        return caller in RIGHT[self._audience] or caller == "the sample's" or caller in extra

    async def _answer(self, request: requests.PreparedRequest) -> Response:
        headers = {name: _text(value) for name, value in request.headers.items() if name.lower() != "content-length"}
        body = request.body.encode() if isinstance(request.body, str) else request.body
        async with self._session.request(
            str(request.method),
            URL(str(request.url), encoded=True),
            headers=headers,
            data=body,
            allow_redirects=False,
            skip_auto_headers=OWN_HEADERS,
        ) as answer:
            endless = answer.content_type == "text/event-stream"
            content = await answer.content.readany() if endless else await answer.read()
            names = dict.fromkeys(answer.headers)
            return Response(
                answer.status,
                {name: answer.headers.getall(name) for name in names},
                content,
                request,
                0.0,
                verify=False,
                stream_cut_short=endless,
            )

    def _fault(self, case: Case, number: str, title: str, detail: str, request: requests.PreparedRequest, caller: str) -> None:
        operation = f"{self._audience} {case.operation.label}"
        self.faults.append(Fault(operation, number, title, " ".join(detail.split())[:600], _curl(request, caller)))


def _only(operation: Operation, sample: Sample) -> Case:
    body: dict[str, Any] = {}
    if sample.body is not None and operation.body:
        raw = isinstance(sample.body, bytes)
        body = {"body": sample.body, "media_type": "application/octet-stream" if raw else "application/json"}
    return operation.Case(path_parameters=dict(sample.path), headers=dict(sample.headers), **body)


def _around(case: Case, sample: Sample) -> Case:
    """What was generated, with the sample's fields over it."""
    made = _only(case.operation, sample)
    made.query = case.query
    made.headers = {**(case.headers or {}), **sample.headers}
    if isinstance(made.body, dict) and isinstance(case.body, dict):
        made.body = {**case.body, **made.body}
    return made


def wrong(case: Case, response: Response) -> Iterator[tuple[str, str]]:
    """Title and detail of whatever an answer should not be."""
    try:
        case.validate_response(response, checks=CHECKS)
    except FailureGroup as group:
        for failure in group.exceptions:
            yield failure.title, f"{response.status_code} {failure.message} {response.content[:300]!r}"


def _needs_token(case: Case) -> bool:
    return bool(case.operation.definition.raw.get("security") == [{"bearer": []}])


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _curl(request: requests.PreparedRequest, caller: str) -> str:
    words = ["curl", "-i", "-X", str(request.method)]
    for name, value in request.headers.items():
        if name.lower() not in SILENT_HEADERS:
            words += ["-H", f"{name}: {f'<{caller}>' if name == 'Authorization' else _text(value)}"]
    if request.body is not None:
        words += ["--data-binary", _text(request.body)]
    return shlex.join([*words, str(request.url)])
