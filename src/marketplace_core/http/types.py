"""What the types of a route are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, get_args, get_origin, get_type_hints

from msgspec import Struct

from marketplace_core.http.answers import answer_type
from marketplace_core.http.routing import Content, Redirect, Router, ServerSentEvents

__all__ = ["check_answers", "structs_in"]


def structs_in(kind: Any, seen: set[Any] | None = None) -> Iterator[type[Struct]]:
    """Every struct that a value of this type may hold, at any depth."""
    seen = set() if seen is None else seen
    for part in get_args(kind):
        yield from structs_in(part, seen)
    bare = get_origin(kind) or kind
    if isinstance(bare, type) and issubclass(bare, Struct) and bare not in seen:
        seen.add(bare)
        yield bare
        for hint in get_type_hints(bare, include_extras=True).values():
            yield from structs_in(hint, seen)


def check_answers(routers: Sequence[Router]) -> None:
    """A known field without a value is null, never absent, so no answer may leave its defaults out.

    :raises TypeError: one does, or what is not JSON is to be kept as an encoded read.
    """
    for route in (route for router in routers for route in router.routes):
        kind = answer_type(route)
        where = f"{route.audience}: {route.method} {route.path}"
        if route.cached is not None and {kind, *get_args(kind)} & {Content, ServerSentEvents}:
            raise TypeError(f"{where}: only JSON can be cached")
        for struct in structs_in(kind):
            if struct.__struct_config__.omit_defaults and struct not in (Content, Redirect, ServerSentEvents):
                raise TypeError(f"{where}: {struct.__name__} leaves its defaults out of the answer")
