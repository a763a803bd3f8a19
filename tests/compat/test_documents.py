"""The HTTP API of each release against today's documents; and what their comparison notices, and what it lets pass."""

from __future__ import annotations

import re
from copy import deepcopy
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from marketplace_core.http.openapi import document
from marketplace_core.http.routing import Answer, Content, Redirect, Router, ServerSentEvents, Upload
from marketplace_core.testing.compat.documents import changes, record
from marketplace_core.values import AUDIENCES
from tests.compat.decisions import RECORDED, changed_documents, undecided


@pytest.mark.parametrize("folder", RECORDED, ids=lambda folder: folder.name)
def test_clients_of_the_release_go_on(folder: Path) -> None:
    found = undecided(changed_documents(folder), folder)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("folder", RECORDED, ids=lambda folder: folder.name)
@pytest.mark.parametrize("audience", AUDIENCES)
def test_each_operation_of_the_release_is_compared(folder: Path, audience: str) -> None:
    before = msgspec.json.decode((folder / "openapi" / f"{audience}.json").read_bytes())
    labels = {f"{audience} {method.upper()} {path}" for path, item in before["paths"].items() for method in item}
    without_answers = deepcopy(before)
    for item in without_answers["paths"].values():
        for operation in item.values():
            operation["responses"] = {}
    told = {line.split(": ")[0] for line in changes(folder, {audience: without_answers})}
    assert told - set(AUDIENCES) == labels
    assert len(labels) > 10


# ── what it notices ──────────────────────────────────────────────────────────────────────────────────────────

Field = tuple[str, Any] | tuple[str, Any, Any]


def struct(name: str, *fields: Field, **options: Any) -> Any:
    return msgspec.defstruct(name, fields, kw_only=True, **options)


NAME: Field = ("name", Annotated[str, Meta(min_length=1, max_length=50)])
STATE: Field = ("state", Literal["open", "shut"])
COUNT: Field = ("count", int | None, None)
TAGS: Field = ("tags", list[str], msgspec.field(default_factory=list))
NAMES: Field = ("names", dict[str, Annotated[str, Meta(max_length=9)]], msgspec.field(default_factory=dict))
THING: tuple[Field, ...] = (NAME, STATE, COUNT, TAGS, NAMES)
INSIDE = struct("Inside", ("depth", Annotated[int, Meta(ge=0, le=9)]))
DEEP: Field = ("deep", list[INSIDE], msgspec.field(default_factory=list))


WORDS: Field = ("words", str)
LIMIT: Field = ("limit", int, 20)
FIND, SENT, READ = struct("Find", WORDS, LIMIT), struct("Sent", *THING), struct("Read", *THING)


def api(
    *,
    path: str = "/things/{id}",
    query: Any = FIND,
    body: Any = SENT,
    answer: Any = READ,
    more: bool = False,
    files: bool = False,
    **options: Any,
) -> Any:
    """The document of one operation, with ``files`` beside its fields; ``more``: of another one besides."""
    router = Router("buyer", "things")

    async def change(**given: Any) -> Any: ...

    names = re.findall(r"\{(\w+)\}", path)
    given = {**dict.fromkeys(names, str), "query": query, "body": body, "files": list[Upload] if files else None}
    _declare(change, {name: kind for name, kind in given.items() if kind is not None}, answer)
    router.post(path, **{"status": 200, **options})(change)
    if more:
        router.get("/others", access="anyone")(_others)
    return document("buyer", [router], "Shop", "1.0.0")


async def _others() -> list[str]: ...


def _declare(handler: Any, given: dict[str, Any], answer: Any) -> None:
    """As if it had been written with these parameters."""
    parameters = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, annotation=kind) for name, kind in given.items()]
    handler.__signature__ = Signature(parameters, return_annotation=answer)
    handler.__annotations__ = {**given, "return": answer}


def found(folder: Path, before: Any, after: Any) -> list[str]:
    record(folder / "1.0.0", {"buyer": before})
    return changes(folder / "1.0.0", {"buyer": after})


def sent(*fields: Field, **options: Any) -> Any:
    return api(body=struct("Sent", *fields, **options))


def read(*fields: Field, **options: Any) -> Any:
    return api(answer=struct("Read", *fields, **options))


LONGER: Field = ("name", Annotated[str, Meta(min_length=1, max_length=80)])
SHORTER: Field = ("name", Annotated[str, Meta(min_length=1, max_length=20)])
DEEPER = struct("Inside", ("depth", Annotated[int, Meta(ge=0, le=99)]))
SHALLOWER = struct("Inside", ("depth", Annotated[int, Meta(ge=1, le=9)]))


@pytest.mark.parametrize(
    ("before", "after", "cause"),
    [
        (api(more=True), api(), "GET /others: the operation is gone"),
        (api(), api(path="/others/{id}"), "POST /things/{id}: the operation is gone"),
        (api(access="guest"), api(), "an access token is needed now"),
        (api(), api(query=struct("Find", WORDS)), "the parameter limit in query is not taken any more"),
        (api(), api(query=struct("Find", WORDS, LIMIT, ("more", str))), "the parameter more in query is new and required"),
        (api(), api(query=struct("Find", WORDS, ("limit", int))), "the parameter limit in query is required now"),
        (api(), api(query=struct("Find", ("words", int), ("limit", int, 20))), "in query string is not taken any more"),
        (api(), api(key="required"), "the parameter idempotency-key in header is required now"),
        (api(), api(key="ignored"), "the parameter idempotency-key in header is not taken any more"),
        (api(headers=("X-Sign",)), api(), "the parameter x-sign in header is not taken any more"),
        (api(body=None), api(), "the body is required now"),
        (api(body=struct("Sent", COUNT)), api(), "the body is required now"),
        (api(), api(body=None), "the body as application/json is not taken any more"),
        (api(), sent(NAME, STATE, COUNT, TAGS), "Sent/names is not taken any more"),
        (api(), sent(*THING, ("more", int)), "Sent/more is required now"),
        (api(), sent(NAME, STATE, ("count", int | None), TAGS, NAMES), "Sent/count is required now"),
        (api(), sent(SHORTER, *THING[1:]), "Sent/name what goes beyond maxLength 20"),
        (api(), sent(("name", int), *THING[1:]), "Sent/name string is not taken any more"),
        (api(), sent(NAME, ("state", Literal["open"]), *THING[2:]), "Sent/state 'shut' is not taken any more"),
        (sent(("state", str)), sent(STATE), "Sent/state what is not in the list is not taken any more"),
        (api(), sent(NAME, STATE, ("count", int, 0), TAGS, NAMES), "Sent/count null is not taken any more"),
        (api(), sent(NAME, STATE, COUNT, ("tags", list[int], []), NAMES), "Sent/tags/- string is not taken any more"),
        (api(), sent(*THING[:4], ("names", dict[str, int], {})), "Sent/names/* string is not taken any more"),
        (api(), sent(*THING[:4], ("names", INSIDE | None, None)), "Sent/names/* any name is not taken any more"),
        (sent(("deep", Any, None)), sent(("deep", int, 0)), "Sent/deep anything is not taken any more"),
        (sent(DEEP), sent(("deep", list[SHALLOWER], [])), "Inside/depth what goes beyond minimum 1"),
        (api(files=True), api(body=None, files=True), "the body/names is not taken any more"),
        (api(files=True, count=3), api(files=True, count=2), "the body/file what goes beyond maxItems 2"),
        (api(files=True), api(), "the body as multipart/form-data is not taken any more"),
        (api(), read(NAME, STATE, COUNT, TAGS), "Read/names is gone"),
        (api(), read(("name", int), *THING[1:]), "Read/name integer was never answered before"),
        (api(), read(LONGER, *THING[1:]), "Read/name what goes beyond maxLength 50 was never answered"),
        (api(), read(NAME, ("state", Literal["open", "shut", "ajar"]), *THING[2:]), "Read/state 'ajar' was never answered"),
        (read(("count", int)), read(("count", int | None)), "Read/count null was never answered"),
        (read(("count", int | None)), read(("count", str | None)), "Read/count string was never answered"),
        (read(DEEP), read(("deep", list[DEEPER], [])), "Inside/depth what goes beyond maximum 9"),
        (
            api(answer=struct("Read", NAME, forbid_unknown_fields=True)),
            api(answer=struct("Read", NAME, STATE, forbid_unknown_fields=True)),
            "Read/state is new, where a client may forbid",
        ),
        (api(), api(status=202), "the answer 200 is gone"),
        (api(path="/things/{id}"), api(path="/things/{id}", body=None), "the answer 413 is gone"),
        (api(), api(answer=Content), "the answer 200 as application/json is gone"),
        (api(answer=ServerSentEvents), api(), "the answer 200 as text/event-stream is gone"),
        (api(answer=struct("Read", NAME) | Redirect), api(answer=struct("Read", NAME)), "the answer 301 is gone"),
        (api(status=202), api(status=200), "the answer 202 is gone"),
    ],
)
def test_what_would_break_a_client(tmp_path: Path, before: Any, after: Any, cause: str) -> None:
    lines = found(tmp_path, before, after)
    assert any(cause in line for line in lines), lines
    assert all(line.startswith("buyer ") and line.endswith("there are clients of 1.0.0") for line in lines)
    assert found(tmp_path, before, before) == []


def test_a_field_that_is_not_always_answered_any_more(tmp_path: Path) -> None:
    """A struct that is sent too is described as it is sent: what has a default may be left out."""
    [line] = found(tmp_path, sent_and_read(NAME, STATE), sent_and_read(NAME, ("state", Literal["open", "shut"], "open")))
    assert "Both/state is not always answered any more; " in line


def sent_and_read(*fields: Field) -> Any:
    both = struct("Both", *fields)
    return api(body=both, answer=both)


def test_a_header_that_is_not_always_there_any_more(tmp_path: Path) -> None:
    before, after = api(), api()
    after["components"]["headers"]["X-Request-Id"]["required"] = False
    assert "has the header X-Request-Id no longer, or not always" in found(tmp_path, before, after)[0]


def test_another_address_and_no_document(tmp_path: Path) -> None:
    moved = {**api(), "servers": [{"url": "/buyer/v2"}]}
    [line] = found(tmp_path, api(), moved)
    assert line.startswith("buyer servers: the address is another one; ")
    [line] = changes(tmp_path / "1.0.0", {})
    assert line.startswith("buyer: the document is gone; ")


def test_a_schema_that_many_use_is_told_once(tmp_path: Path) -> None:
    def twice(*fields: Field) -> Any:
        made = api(answer=struct("Read", *fields))
        made["paths"]["/same/{id}"] = deepcopy(made["paths"]["/things/{id}"])
        return made

    [line] = found(tmp_path, twice(NAME, STATE), twice(NAME))
    assert line.startswith("buyer POST /same/{id}: Read/state is gone")


class Tree(msgspec.Struct):
    name: str
    children: list[Tree] = []


class Bush(msgspec.Struct):
    name: Annotated[str, Meta(max_length=5)]
    children: list[Bush] = []


def test_a_schema_within_itself(tmp_path: Path) -> None:
    assert found(tmp_path, api(body=Tree), api(body=Tree)) == []
    [line] = found(tmp_path, api(body=Tree), api(body=Bush))
    assert "Tree/name what goes beyond maxLength 5 is not taken any more" in line


# ── what it lets pass ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (api(), api(more=True)),
        (api(), api(files=True)),
        (api(files=True, count=2), api(files=True, count=3)),
        (api(), api(path="/things/{thing_id}")),
        (api(), api(access="guest")),
        (api(), api(query=struct("Find", WORDS, LIMIT, ("more", str, "")))),
        (api(), api(query=struct("Find", ("words", str, ""), ("limit", int, 20)))),
        (api(key="required"), api()),
        (api(), api(headers=("X-Sign",))),
        (api(), api(body=struct("Sent", *THING, ("more", int, 0)))),
        (sent(NAME, forbid_unknown_fields=True), sent(NAME, COUNT, forbid_unknown_fields=True)),
        (api(), sent(LONGER, *THING[1:])),
        (api(), sent(("name", Annotated[str, Meta(min_length=1, max_length=50)] | None, None), *THING[1:])),
        (api(), sent(NAME, ("state", Literal["open", "shut", "ajar"]), *THING[2:])),
        (sent(("rate", int)), sent(("rate", float))),
        (sent(DEEP), sent(("deep", list[DEEPER], []))),
        (sent(DEEP), sent(("deep", list[Any], []))),
        (sent(("deep", INSIDE)), sent(("deep", Any))),
        (api(), read(*THING, ("more", int))),
        (api(), read(SHORTER, *THING[1:])),
        (api(), read(NAME, ("state", Literal["open"]), *THING[2:])),
        (read(("count", int | None)), read(("count", int))),
        (read(DEEP), read(("deep", list[SHALLOWER], []))),
        (api(), api(answer=Answer[struct("Other", *THING)])),
    ],
)
def test_what_breaks_no_client(tmp_path: Path, before: Any, after: Any) -> None:
    assert found(tmp_path, before, after) == []
