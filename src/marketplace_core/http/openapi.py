"""The OpenAPI 3.1 document of an audience, from the types of its routes."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, get_args, get_origin

import msgspec

from marketplace_core.http.answers import answer_type, is_tagged
from marketplace_core.http.decoding import prefixes_of
from marketplace_core.http.replies import ProblemDetails
from marketplace_core.http.routing import Content, Redirect, Route, Router, ServerSentEvents
from marketplace_core.http.views import MAX_CART_TOKEN
from marketplace_core.values import Audience

__all__ = ["document"]

REFERENCE = "#/components/schemas/{name}"
NOT_JSON = (Content, Redirect, ServerSentEvents)

PROBLEMS: dict[int, str] = {
    400: "The request cannot be read.",
    401: "No access token, or one that is not good here.",
    403: "The caller may not do this.",
    404: "There is nothing here by that id, or it is somebody else's.",
    408: "The body took too long to arrive.",
    409: "The state does not allow it, or a request with this key is going on.",
    412: "It was changed since the version that `If-Match` names.",
    413: "The body is too large.",
    415: "The body is of a type that is not taken here.",
    422: "Some fields are not valid; `errors` names each.",
    429: "Too many requests; `Retry-After` says when to come again.",
    503: "Come again; `Retry-After` says when.",
}


#: What answers carry: of which type, and whether each that names it here has it.
HEADERS: dict[str, tuple[str, bool]] = {
    "X-Request-Id": ("string", True),
    "ETag": ("string", True),
    "Location": ("string", False),
    "Idempotent-Replayed": ("string", False),
    "Retry-After": ("integer", True),
    "WWW-Authenticate": ("string", True),
}
PROBLEM_HEADERS = {401: ["WWW-Authenticate"], 429: ["Retry-After"], 503: ["Retry-After"]}


def document(audience: Audience, routers: Sequence[Router], title: str, version: str) -> dict[str, Any]:
    """Every route of ``audience`` among ``routers``, as plain values that are ready to be encoded."""
    own = [router for router in routers if router.audience == audience]
    routes = [route for router in own for route in router.routes]
    schemas = _Schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": f"{title}: {audience}", "version": version},
        "servers": [{"url": f"/{audience}/v1"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(router.tag for router in own)],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "responses": {f"Problem{status}": _problem(status, text) for status, text in PROBLEMS.items()},
            "headers": {name: {"required": must, "schema": {"type": kind}} for name, (kind, must) in HEADERS.items()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An access token, or an API key."}
            },
        },
    }


class _Schemas:
    """The schemas of all types together, so that each struct is described once."""

    def __init__(self, routes: Sequence[Route]) -> None:
        asked = [kind for route in routes for kind in (route.query, route.body, *_json_parts(route)) if kind is not None]
        unique = list({repr(kind): kind for kind in (ProblemDetails, *asked)}.values())
        found, self.components = msgspec.json.schema_components(unique, ref_template=REFERENCE)
        for schema in (*found, *self.components.values()):
            _write_patterns(schema)
        self._found = {repr(kind): schema for kind, schema in zip(unique, found, strict=True)}
        queries = {repr(route.query): self.of(route.query) for route in routes if route.query is not None}
        self._queries: dict[str, dict[str, Any]] = {key: self.components.pop(_name(schema)) for key, schema in queries.items()}
        sent: set[str] = set()
        for route in routes:
            if route.body is not None:
                self._reach(self.of(route.body), sent)
        for name, schema in self.components.items():
            if name not in sent and "properties" in schema:  # only ever answered, so no field is left out
                schema["required"] = list(schema["properties"])

    def _reach(self, schema: Any, found: set[str]) -> None:
        """Add the names of all that a schema refers to, at any depth."""
        if isinstance(schema, dict):
            if "$ref" in schema and (name := _name(schema)) not in found:
                found.add(name)
                self._reach(self.components[name], found)
            schema = schema.values()
        elif not isinstance(schema, list):
            return
        for part in schema:
            self._reach(part, found)

    def of(self, kind: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._found[repr(kind)]
        return found

    def query(self, kind: Any) -> dict[str, Any]:
        """The object whose properties are the parameters."""
        return self._queries[repr(kind)]


def _write_patterns(schema: Any) -> None:
    """As ECMA 262 has them, where the end is ``$``; in Python that would let a line break stand behind it."""
    if isinstance(schema, dict):
        if isinstance(pattern := schema.get("pattern"), str) and pattern.endswith(r"\Z"):
            schema["pattern"] = pattern.removesuffix(r"\Z") + "$"
        schema = schema.values()
    elif not isinstance(schema, list):
        return
    for part in schema:
        _write_patterns(part)


def _name(schema: dict[str, Any]) -> str:
    return str(schema["$ref"]).rsplit("/", 1)[1]


def _json_parts(route: Route) -> list[Any]:
    """The parts of a route's answer that are JSON."""
    kind = answer_type(route)
    parts = get_args(kind) if get_origin(kind) in (typing.Union, types.UnionType) else (kind,)
    bare = [get_args(part)[0] if getattr(get_origin(part), "__name__", "") == "Answer" else part for part in parts]
    return [part for part in bare if part not in (None, type(None), *NOT_JSON)]


# ── operations ───────────────────────────────────────────────────────────────────────────────────────────────


def _operation(route: Route, schemas: _Schemas) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "tags": [route.tag],
        "summary": route.summary or _words(route),
        "security": _security(route),
        "parameters": _parameters(route, schemas),
        "responses": _responses(route, schemas),
    }
    if route.description:
        operation["description"] = route.description
    body = _request_body(route, schemas)
    if body is not None:
        operation["requestBody"] = body
    return operation


def _security(route: Route) -> list[dict[str, list[str]]]:
    if route.access == "open":
        return [{}]
    return [{"bearer": []}] if route.access in ("account", "shop", "staff") else [{}, {"bearer": []}]


def _words(route: Route) -> str:
    """A summary for a handler without a docstring: its name as a sentence."""
    return route.name.rsplit(".", 1)[-1].replace("_", " ").strip().capitalize() + "."


def _parameters(route: Route, schemas: _Schemas) -> list[dict[str, Any]]:
    found = [_parameter("path", name, {"type": "string"}, required=True) for name in route.params]
    if route.query is not None:
        query = schemas.query(route.query)
        required, prefixes = query.get("required", []), prefixes_of(route.query)
        found += [
            _prefixed(name, schema) if name in prefixes else _parameter("query", name, schema, required=name in required)
            for name, schema in query.get("properties", {}).items()
        ]
    if route.method != "GET" and route.key != "ignored":
        key = {"type": "string", "minLength": 1, "maxLength": 255}
        found.append(_parameter("header", "Idempotency-Key", key, required=route.key == "required"))
    if route.access in ("open", "guest"):
        found.append(_cart_token(route))
    told = {one["name"] for one in found}
    found += [_parameter("header", name, {"type": "string"}) for name in route.headers if name not in told]
    if is_tagged(route):
        found.append(_parameter("header", "If-None-Match", {"type": "string"}))
    if route.method in ("PATCH", "DELETE"):
        found.append(_parameter("header", "If-Match", {"type": "string"}))
    return found


def _cart_token(route: Route) -> dict[str, Any]:
    if route.access == "open":
        return _parameter("header", "X-Cart-Token", {"type": "string", "maxLength": MAX_CART_TOKEN})
    about = f"Of a guest, at most {MAX_CART_TOKEN} characters; with an access token it is not looked at."
    return {**_parameter("header", "X-Cart-Token", {"type": "string"}), "description": about}


def _parameter(place: str, name: str, schema: dict[str, Any], *, required: bool = False) -> dict[str, Any]:
    return {"in": place, "name": name, "required": required, "schema": schema}


def _prefixed(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """All parameters of a prefix: an object that is taken apart into its properties, whose names have the prefix."""
    kept = {key: value for key, value in schema.items() if key in {"type", "minProperties", "maxProperties"}}
    own = kept | {"patternProperties": {rf"^{name}\..": schema["additionalProperties"]}, "additionalProperties": False}
    about = {"style": "form", "explode": True, "description": f"`{name}.NAME`, of any name."}
    return _parameter("query", name, own) | about


def _request_body(route: Route, schemas: _Schemas) -> dict[str, Any] | None:
    if route.raw:
        return {"required": True, "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}
    content: dict[str, Any] = {}
    if route.body is not None:
        content["application/json"] = {"schema": schemas.of(route.body)}
    if route.files:
        one = {"type": "string", "format": "binary"}
        files: dict[str, Any] = one if route.count == 1 else {"type": "array", "items": one, "maxItems": route.count}
        form: dict[str, Any] = {"type": "object", "properties": {"file": files}}
        if route.body is not None:
            form = {"allOf": [form, schemas.of(route.body)]}
        content["multipart/form-data"] = {"schema": form}
    return {"required": not _may_be_empty(route), "content": content} if content else None


def _may_be_empty(route: Route) -> bool:
    try:
        msgspec.convert({}, route.body)
    except (msgspec.ValidationError, TypeError):
        return False
    return route.body is not None


def _responses(route: Route, schemas: _Schemas) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    kinds = {answer_type(route), *get_args(answer_type(route))}
    parts = _json_parts(route)
    content: dict[str, Any] = {}
    if parts:
        one = [schemas.of(part) for part in parts]
        content["application/json"] = {"schema": one[0] if len(one) == 1 else {"anyOf": one}}
    if Content in kinds:
        content[route.media_type] = {"schema": {"type": "string", "format": "binary"}}
    if ServerSentEvents in kinds:
        content["text/event-stream"] = {}  # of 3.1 no schema says what an event is
    if content:
        for status in (200 if route.status == 204 else route.status, *route.also):
            responses[str(status)] = _answer(route, status) | {"content": content}
    if Redirect in kinds:
        responses["301"] = _described("It is elsewhere now.", "Location")
    if not content and not responses:
        status = 204 if route.status in (200, 201) else route.status
        responses[str(status)] = _answer(route, status)
    if is_tagged(route):
        responses["304"] = _described("The client has it already.", "ETag")
    responses |= {str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in _statuses(route)}
    return responses


def _answer(route: Route, status: int) -> dict[str, Any]:
    headers = []
    if is_tagged(route) and status == 200 and ServerSentEvents not in {route.answer, *get_args(route.answer)}:
        headers.append("ETag")
    if status in (201, 202):
        headers.append("Location")
    if route.method != "GET" and route.key != "ignored":
        headers.append("Idempotent-Replayed")
    return _described(HTTPStatus(status).phrase, *headers)


def _described(text: str, *headers: str) -> dict[str, Any]:
    names = ("X-Request-Id", *headers)
    return {"description": text, "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names}}


def _statuses(route: Route) -> list[int]:
    has_body = route.body is not None or route.files or route.raw
    possible = {
        400: True,
        401: True,
        403: route.access in ("open", "account", "shop", "staff"),  # for account: an API key will not do
        404: bool(route.params),
        408: has_body,
        409: route.method != "GET",
        412: route.method in ("PATCH", "DELETE"),
        413: has_body,
        415: has_body and not route.raw,
        422: True,
        429: True,
        503: True,
    }
    return [status for status, is_possible in possible.items() if is_possible]


def _problem(status: int, text: str) -> dict[str, Any]:
    schema = {"$ref": REFERENCE.format(name=re.sub(r"\W", "_", ProblemDetails.__name__))}
    described = _described(text, *PROBLEM_HEADERS.get(status, ()))
    return described | {"content": {"application/problem+json": {"schema": schema}}}
