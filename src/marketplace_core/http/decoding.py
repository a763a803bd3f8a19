"""From a request to a handler's arguments. What can be known of a route is worked out when it is mounted."""

from __future__ import annotations

import asyncio
import types
import typing
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

import msgspec
from msgspec import NODEFAULT, Struct
from quart import Request as QuartRequest

from marketplace_core.errors import Invalid, MarketplaceError, Problem
from marketplace_core.http.exchange import Exchange
from marketplace_core.http.multipart import read_form
from marketplace_core.http.routing import Route, Upload
from marketplace_core.validation import SEGMENT, Guesses, composed, convert, decode_json, segment

__all__ = ["JSON_TYPES", "body_reader", "parameters", "prefixes_of", "query_reader"]

JSON_TYPES = frozenset({"application/json", "application/merge-patch+json"})
MAX_PARAMETERS = 100
#: Bytes that earn a body another second, but never the right to pause for longer than it is waited for.
SLOWEST = 1024

QueryReader = Callable[[bytes], Any]
BodyReader = Callable[[QuartRequest, Exchange], Awaitable[dict[str, Any]]]


# ── query strings ────────────────────────────────────────────────────────────────────────────────────────────


def query_reader(route: Route) -> QueryReader | None:
    """Reads the query string into the route's struct; None for a route that takes it as it comes (``raw``).

    It raises :class:`Invalid` with pointers of the form ``?name``.
    """
    kind = route.query
    if kind is None:
        return None if route.raw else _no_query
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    prefixes = prefixes_of(kind)
    hints = get_type_hints(kind, include_extras=True)
    many = frozenset(name for name, field in fields.items() if is_list(hints[field.name]))
    known = [f"{name}.*" if name in prefixes else name for name in fields]
    optional = all(field.default is not NODEFAULT or field.default_factory is not NODEFAULT for field in fields.values())
    empty = kind() if optional and kind.__struct_config__.frozen else None

    def read(raw: bytes) -> Any:
        if not raw and empty is not None:
            return empty
        values: dict[str, Any] = {}
        problems: list[Problem] = []
        guesses = Guesses()
        for name, value in parameters(raw):
            prefix, _, rest = name.partition(".")
            if rest and prefix in prefixes:
                place, key, repeated = values.setdefault(prefix, {}), rest, prefixes[prefix]
            else:
                place, key, repeated = values, name, name in many
            if place is values and (name not in fields or name in prefixes):
                problems.append(Problem(f"?{name[:SEGMENT]}", "unknown_field", guesses.did_you_mean(name, known)))
            elif repeated:
                place.setdefault(key, []).append(value)
            elif key in place:
                problems.append(Problem(f"?{name[:SEGMENT]}", "duplicate", "Give this parameter once."))
            else:
                place[key] = value
        try:
            found = convert(values, kind, strict=False)
        except Invalid as error:
            problems += [Problem(_parameter(each.pointer, prefixes), each.code, each.detail) for each in error.errors]
        if problems:
            raise Invalid(problems)
        return found

    return read


def prefixes_of(kind: Any) -> dict[str, bool]:
    """The fields of a query's struct that take all parameters of a prefix, with whether each of those may be repeated."""
    if kind is None:
        return {}
    hints = get_type_hints(kind, include_extras=True)
    bare = {field.encode_name: _bare(hints[field.name]) for field in msgspec.structs.fields(kind)}
    return {name: is_list(get_args(each)[1]) for name, each in bare.items() if get_origin(each) is dict}


def _parameter(pointer: str, prefixes: Mapping[str, bool]) -> str:
    """The parameter that a pointer into the struct is about."""
    name, _, rest = pointer[1:].partition("/")
    return f"?{name}.{rest.replace('~1', '/').replace('~0', '~')}" if rest and name in prefixes else f"?{pointer[1:]}"


def _no_query(raw: bytes) -> None:
    if raw and (names := dict.fromkeys(name for name, _ in parameters(raw))):
        raise Invalid(Problem(f"?{name[:SEGMENT]}", "unknown_field", "There are no parameters here.") for name in names)


def parameters(raw: bytes) -> list[tuple[str, str]]:
    """The decoded pairs of a query string. :raises MarketplaceError: ``http.malformed``."""
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
        return pairs if b"%" not in raw and raw.isascii() else [(composed(name), composed(value)) for name, value in pairs]
    except ValueError:  # also what is not UTF-8
        raise MarketplaceError("http.malformed", "The query string cannot be read.") from None


def is_list(kind: Any) -> bool:
    """Whether a type is that of a parameter which may be repeated."""
    kind = _bare(kind)
    if get_origin(kind) in (typing.Union, types.UnionType):
        return any(is_list(part) for part in get_args(kind))
    return (get_origin(kind) or kind) in (list, tuple)


def _bare(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is typing.Annotated else kind


# ── bodies ───────────────────────────────────────────────────────────────────────────────────────────────────


def body_reader(route: Route, seconds: float) -> BodyReader | None:
    """Reads the body into the arguments ``body``, ``files`` or ``raw``; None for a route without.

    ``seconds``: how long is waited for it; each KiB that has come adds one.
    """
    if route.raw:
        return _raw_reader(route, seconds)
    if route.files:
        return _form_reader(route, seconds)
    return None if route.body is None else _json_reader(route, seconds)


def _raw_reader(route: Route, seconds: float) -> BodyReader:
    async def read(request: QuartRequest, exchange: Exchange) -> dict[str, Any]:
        return {"raw": await read_bytes(request, exchange, route.limit, seconds)}

    return read


def _json_reader(route: Route, seconds: float) -> BodyReader:
    async def read(request: QuartRequest, exchange: Exchange) -> dict[str, Any]:
        raw = await read_bytes(request, exchange, route.limit, seconds)
        if raw:
            media_type = media_type_of(exchange)
            if media_type not in JSON_TYPES:
                raise unsupported(media_type, "application/json")
        return {"body": decode_body(raw, route.body)}

    return read


def _form_reader(route: Route, seconds: float) -> BodyReader:
    async def read(request: QuartRequest, exchange: Exchange) -> dict[str, Any]:
        fields: list[tuple[str, str]]
        files: list[Upload]
        media_type = media_type_of(exchange)
        if media_type in JSON_TYPES and route.body is not None:
            raw = await read_bytes(request, exchange, route.limit, seconds)
            return {"body": decode_body(raw, route.body), "files": []}
        if media_type != "multipart/form-data":
            if await read_bytes(request, exchange, route.limit, seconds):
                raise unsupported(media_type, "multipart/form-data")
            fields, files = [], []
        else:
            if exchange.body is not None:
                exchange.body.pace()
            chunks = chunks_of(request, exchange, route.ceiling, seconds)
            fields, files = await read_form(exchange.header(b"content-type") or "", chunks, route.limit, route.count)
            exchange.files += [upload.file for upload in files]
        if route.body is None:
            problems = [Problem(f"/{segment(name)}", "unknown_field", "There is no such field.") for name, _ in fields]
            if not files:
                problems.append(Problem("/file", "required", "A file is required."))
            if problems:
                raise Invalid(problems)
            return {"files": files}
        return {"files": files, "body": convert({name: composed(value) for name, value in fields}, route.body, strict=False)}

    return read


def decode_body(raw: bytes, kind: Any) -> Any:
    """An empty body is one without fields."""
    if not raw:
        if isinstance(kind, type) and issubclass(kind, Struct):
            raw = b"{}"
        elif type(None) in get_args(kind):
            return None
    try:
        return decode_json(raw, kind)
    except msgspec.DecodeError as error:
        raise MarketplaceError("http.malformed", f"The body is not JSON: {error}.") from None


def media_type_of(exchange: Exchange) -> str:
    """The type without its parameters; empty where none is given, or where it is not in UTF-8."""
    value = exchange.headers.get(b"content-type", b"").lower()
    bare, _, options = value.partition(b";")
    if b"charset" in options and b"utf-8" not in options and b"utf8" not in options:
        return ""
    return bare.strip().decode("latin-1")


def unsupported(media_type: str, expected: str) -> MarketplaceError:
    got = f"not {media_type}" if media_type else "in UTF-8"
    return MarketplaceError("http.unsupported_media_type", f"The body must be {expected}, {got}.")


def too_large(limit: int) -> MarketplaceError:
    return MarketplaceError("http.too_large", f"At most {limit} bytes are taken here.")


async def read_bytes(request: QuartRequest, exchange: Exchange, limit: int, seconds: float) -> bytes:
    return b"".join([chunk async for chunk in chunks_of(request, exchange, limit, seconds)])


async def chunks_of(request: QuartRequest, exchange: Exchange, limit: int, seconds: float) -> typing.AsyncIterator[bytes]:
    """The body as it arrives. :raises MarketplaceError: ``http.too_large``, as soon as that is known; ``http.timeout``."""
    declared = exchange.headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > limit:
        raise too_large(limit)
    size = 0
    now = asyncio.get_running_loop().time
    begun = now()
    chunks = aiter(request.body)
    while True:
        try:
            async with asyncio.timeout_at(min(begun + size / SLOWEST, now()) + seconds):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise MarketplaceError("http.timeout", "The body took too long to arrive.") from None
        size += len(chunk)
        if size > limit:
            raise too_large(limit)
        yield chunk
        if exchange.body is not None:
            exchange.body.take(len(chunk))
