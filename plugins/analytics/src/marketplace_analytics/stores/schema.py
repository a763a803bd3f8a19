"""Tables in ClickHouse, made from the event catalogue: one for each type of event, a column for each of its fields.

A later release has more fields, and never others: tables only grow. What an older row lacks is its type's default.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Struct

from marketplace_analytics.retention import PersonMark, retained
from marketplace_core.events import Event

__all__ = ["FORGOTTEN", "OWN", "columns_of", "erasing", "making", "table_of"]

_SCALARS = {str: "String", int: "Int64", float: "Float64", bool: "Bool", PersonMark: "String"}
_SCALARS |= {datetime: "DateTime64(3, 'UTC')", date: "Date32"}
_ENVELOPE = {
    "_at": "DateTime64(3, 'UTC')",
    "_id": "UUID",
    "_origin": "LowCardinality(String)",
    "_version": "UInt16",
    "_sequence": "UInt64",
}

FORGOTTEN = """CREATE TABLE IF NOT EXISTS _forgotten (mark String) ENGINE = ReplacingMergeTree ORDER BY mark"""
UNREAD = """CREATE TABLE IF NOT EXISTS _unread (id String, type String, version UInt16, error String)
    ENGINE = ReplacingMergeTree ORDER BY id"""

#: Tables that are of no event.
OWN = (FORGOTTEN, UNREAD)


def table_of(event_type: str) -> str:
    return event_type.replace(".", "_")


def columns_of(cls: type[Event]) -> dict[str, str]:
    """The type of each column of an event's table, by its name."""
    own = {field.encode_name: _column(field.type) for field in msgspec.structs.fields(retained(cls))}
    return {**_ENVELOPE, **own}


def making(cls: type[Event], there: Mapping[str, str] | None) -> Iterator[str]:
    """Statements after which an event's table has all of its columns. ``there``: those that it has; None: there is no table."""
    table, columns = table_of(cls.type), columns_of(cls)
    if there is None:
        listed = ", ".join(f"`{name}` {kind}" for name, kind in columns.items())
        # Sorted by time, which reports are about; a row that comes again falls in the same partition, and on itself.
        yield (
            f"CREATE TABLE IF NOT EXISTS {table} ({listed}) ENGINE = ReplacingMergeTree "
            "PARTITION BY toYYYYMM(_at) ORDER BY (_at, _id)"
        )
        return
    for name, kind in columns.items():
        if name not in there:
            yield f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS `{name}` {kind}"
        elif _fields(kind) - _fields(there[name]):
            yield f"ALTER TABLE {table} MODIFY COLUMN `{name}` {kind}"


def erasing(cls: type[Event]) -> Iterator[str]:
    """Statements that take the person ``{mark:String}`` out of an event's rows."""
    table = table_of(cls.type)
    for field in msgspec.structs.fields(retained(cls)):
        name = f"`{field.encode_name}`"
        if _is_person(field.type):
            yield f"ALTER TABLE {table} UPDATE {name} = '' WHERE {name} = {{mark:String}}"
        inner = _struct(field.type)
        for part in msgspec.structs.fields(inner) if inner is not None else ():
            if _is_person(part.type):
                whole = ", ".join("''" if each is part else f"{name}.`{each.encode_name}`" for each in _same(inner, part))
                cast = f"CAST(tuple({whole}), '{_quoted(_column(field.type))}')"
                yield f"ALTER TABLE {table} UPDATE {name} = {cast} WHERE {name}.`{part.encode_name}` = {{mark:String}}"


def _same(cls: type[Struct] | None, part: Any) -> list[Any]:
    fields = [] if cls is None else msgspec.structs.fields(cls)
    return [part if each.name == part.name else each for each in fields]


def _quoted(kind: str) -> str:
    return kind.replace("'", "\\'")


def _is_person(kind: Any) -> bool:
    return kind is PersonMark or PersonMark in get_args(kind)


def _struct(kind: Any) -> type[Struct] | None:
    return kind if isinstance(kind, type) and issubclass(kind, Struct) else None


def _column(kind: Any, nullable: bool = False) -> str:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        others = [part for part in arguments if part is not type(None)]
        return _column(others[0], nullable=len(others) < len(arguments)) if len(others) == 1 else "String"
    if origin is Literal:
        return _or_null("String", nullable)
    if origin is list:
        return f"Array({_column(arguments[0])})"
    if origin is dict:
        return f"Map(String, {_column(arguments[1])})"
    if isinstance(kind, type) and issubclass(kind, Struct) and msgspec.structs.fields(kind):
        # A tuple is never null as a whole, so its parts are.
        parts = ", ".join(f"`{field.encode_name}` {_column(field.type, nullable)}" for field in msgspec.structs.fields(kind))
        return f"Tuple({parts})"
    found = _SCALARS.get(kind)
    return "String" if found is None else _or_null(found, nullable)


def _or_null(kind: str, nullable: bool) -> str:
    return f"Nullable({kind})" if nullable else kind


def _fields(kind: str) -> set[str]:
    """The names within a type, which only become more."""
    return set(kind.replace("`", " ").replace("(", " ").replace(")", " ").replace(",", " ").split())
