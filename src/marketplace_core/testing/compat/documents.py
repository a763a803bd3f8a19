"""A release's HTTP API: the OpenAPI document of each audience in a folder, and what later documents take from its clients.

A client goes on as it was made: what it sends has to be taken as before, and what it reads has to be as it was described. So a
schema is held against another in one direction only: all that is *written* by the one has to be *read* by the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import jsonschema
import msgspec

__all__ = ["changes", "record"]

FOLDER = "openapi"

_LEAST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_MOST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_SAME = ("pattern", "format", "contentEncoding", "multipleOf")

Document = Mapping[str, Any]
#: Where, and what is wrong there.
Found = tuple[str, str]


def record(folder: Path, documents: Mapping[str, Document]) -> None:
    """Write these documents, by audience."""
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    for audience, document in documents.items():
        raw = msgspec.json.encode(document, order="deterministic")
        (folder / FOLDER / f"{audience}.json").write_bytes(msgspec.json.format(raw, indent=1) + b"\n")


def changes(folder: Path, documents: Mapping[str, Document]) -> list[str]:
    """What breaks a client that was made by the documents in ``folder``, with what to do; nothing, if all is well."""
    found: list[str] = []
    for path in sorted((folder / FOLDER).iterdir()):
        audience = path.stem
        if audience in documents:
            comparison = _Comparison(msgspec.json.decode(path.read_bytes()), documents[audience])
            found += [f"{audience} {line}; {_KEEP} {folder.name}" for line in comparison.all()]
        else:
            found.append(f"{audience}: the document is gone; {_KEEP} {folder.name}")
    return found


_KEEP = "keep it, and give what is new a name, a route or an optional field of its own: there are clients of"


class _Comparison:
    def __init__(self, before: Document, after: Document) -> None:
        self._before, self._after = before, after
        self._asked = _Schemas("asked", written=before, read=after)
        self._answered = _Schemas("answered", written=after, read=before)

    def all(self) -> Iterator[str]:
        """By operation; of a schema once, however many use it."""
        if self._before["servers"] != self._after["servers"]:
            yield "servers: the address is another one"
        told: set[Found] = set()
        for label, old, new in self._operations():
            for where, cause in self._operation(old, new) if new is not None else [("", "the operation is gone")]:
                if (where, cause) not in told:
                    yield f"{label}: {where}{' ' * bool(where)}{cause}"
                if where.partition("/")[0] in self._before["components"]["schemas"]:
                    told.add((where, cause))

    def _operations(self) -> Iterator[tuple[str, Document, Document | None]]:
        """Those of before, each as it is now."""
        after = {_shape(path): item for path, item in self._after["paths"].items()}
        for path, item in self._before["paths"].items():
            for method, operation in item.items():
                yield f"{method.upper()} {path}", operation, after.get(_shape(path), {}).get(method)

    def _operation(self, old: Document, new: Document) -> Iterator[Found]:
        if {} in old["security"] and {} not in new["security"]:
            yield "", "an access token is needed now"
        yield from self._parameters(_parameters(old), _parameters(new))
        yield from self._body(old.get("requestBody"), new.get("requestBody"))
        for status, answer in old["responses"].items():
            if status not in new["responses"]:
                if status == "403" and {} in new["security"]:
                    continue  # it is open to all now
                yield f"the answer {status}", "is gone"
            else:
                yield from self._answer(status, answer, new["responses"][status])

    # ── what a client sends ──────────────────────────────────────────────────────────────────────────────────

    def _parameters(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Found]:
        for name, parameter in old.items():
            if name not in new:
                yield f"the parameter {name}", "is not taken any more"
                continue
            if new[name]["required"] and not parameter["required"]:
                yield f"the parameter {name}", "is required now"
            yield from self._asked.unread(parameter["schema"], new[name]["schema"], f"the parameter {name}")
        for name, parameter in new.items():
            if name not in old and parameter["required"]:
                yield f"the parameter {name}", "is new and required"

    def _body(self, old: Document | None, new: Document | None) -> Iterator[Found]:
        if new is not None and new["required"] and not (old is not None and old["required"]):
            yield "the body", "is required now"
        for media_type, content in {} if old is None else old["content"].items():
            if new is None or media_type not in new["content"]:
                yield f"the body as {media_type}", "is not taken any more"
            else:
                yield from self._asked.unread(content["schema"], new["content"][media_type]["schema"], "the body")

    # ── what a client reads ──────────────────────────────────────────────────────────────────────────────────

    def _answer(self, status: str, old: Document, new: Document) -> Iterator[Found]:
        before, after = _resolved(old, self._before), _resolved(new, self._after)
        for name, header in before.get("headers", {}).items():
            must = _resolved(header, self._before)["required"]
            if must and not (name in after.get("headers", {}) and _resolved(after["headers"][name], self._after)["required"]):
                yield f"the answer {status}", f"has the header {name} no longer, or not always"
        for media_type, content in before.get("content", {}).items():
            if media_type not in after.get("content", {}):
                yield f"the answer {status} as {media_type}", "is gone"
            elif "schema" in content:
                schema = after["content"][media_type].get("schema", {})
                yield from self._answered.unread(schema, content["schema"], f"the answer {status}")


def _shape(path: str) -> str:
    """A path by another name of its parameters is the same one."""
    return re.sub(r"\{[^}]*\}", "{}", path)


def _parameters(operation: Document) -> dict[str, Any]:
    """By a name that clients know: of what is in a path they know the place only."""
    found = {}
    for number, parameter in enumerate(operation["parameters"]):
        name = str(number) if parameter["in"] == "path" else parameter["name"]
        found[f"{name.lower() if parameter['in'] == 'header' else name} in {parameter['in']}"] = parameter
    return found


def _resolved(part: Any, document: Document) -> Any:
    while "$ref" in part:
        found: Any = document
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        part = found
    return part


# ── schemas ──────────────────────────────────────────────────────────────────────────────────────────────────


class _Schemas:
    """Schemas in one direction. ``asked``: clients of before write; ``answered``: they read."""

    def __init__(self, direction: Literal["asked", "answered"], *, written: Document, read: Document) -> None:
        self._asked = direction == "asked"
        self._written, self._read = written, read
        self._known: dict[tuple[str, str], list[Found]] = {}

    def unread(self, written: Document, read: Document, where: str) -> Sequence[Found]:
        """What is wrong with it; where both are named, below the name of that schema, and looked at once."""
        if "$ref" not in written or "$ref" not in read:
            return list(self._unread(_whole(written, self._written), _whole(read, self._read), where))
        key = (written["$ref"], read["$ref"])
        if key not in self._known:
            self._known[key] = []  # for a schema that is within itself
            name = (written if self._asked else read)["$ref"].rsplit("/", 1)[1]
            found = self._unread(_whole(written, self._written), _whole(read, self._read), name)
            self._known[key] = list(found)
        return self._known[key]

    def _unread(self, written: Document, read: Document, where: str) -> Iterator[Found]:
        if "anyOf" in written:
            for part in written["anyOf"]:
                yield from self.unread(part, read, where)
        elif "anyOf" in read:
            yield from self._by_none(written, read["anyOf"], where)
        elif "enum" in written:
            valid = jsonschema.Draft202012Validator({**read, "components": self._read["components"]}).is_valid
            yield from ((where, self._say(f"{value!r} {{}}")) for value in written["enum"] if not valid(value))
        elif "enum" in read:
            yield where, self._say("what is not in the list {}")
        elif "type" not in read:
            return  # it reads anything
        elif not _is_read(written.get("type"), read.get("type")):
            yield where, self._say(f"{written.get('type', 'anything')} {{}}")
        else:
            yield from self._limits(written, read, where)
            yield from self._fields(written, read, where)
            yield from self._items(written, read, where)

    def _say(self, text: str) -> str:
        return text.format("is not taken any more" if self._asked else "was never answered before")

    def _by_none(self, written: Document, read: Sequence[Document], where: str) -> Iterator[Found]:
        """Nothing where one of the alternatives reads it; else what the one of the same type says, or that there is none."""
        each = [self.unread(written, part, where) for part in read]
        if not all(each):
            return
        kind = written.get("type")
        same = [found for found, part in zip(each, read, strict=True) if _resolved(part, self._read).get("type") == kind]
        yield from same[0] if len(same) == 1 else [(where, self._say(f"{kind or 'this'} {{}}"))]

    def _limits(self, written: Document, read: Document, where: str) -> Iterator[Found]:
        for name in (*_LEAST, *_MOST, *_SAME):
            if name not in read:
                continue
            limit, value = read[name], written.get(name)
            wider = value is None or (value < limit if name in _LEAST else value > limit if name in _MOST else value != limit)
            if wider:
                yield where, self._say(f"what goes beyond {name} {limit} {{}}")

    def _fields(self, written: Document, read: Document, where: str) -> Iterator[Found]:
        sent, known = written.get("properties", {}), read.get("properties", {})
        for name in sorted(sent.keys() - known.keys() if self._asked else known.keys() - sent.keys()):
            yield f"{where}/{name}", "is not taken any more" if self._asked else "is gone"
        for name in sorted(set(read.get("required", ())) - set(written.get("required", ()))):
            if name in sent or self._asked:
                yield f"{where}/{name}", "is required now" if self._asked else "is not always answered any more"
        others = read.get("additionalProperties", True)
        if others is False and not self._asked:
            for name in sorted(sent.keys() - known.keys()):
                yield f"{where}/{name}", "is new, where a client may forbid what it does not know"
        elif isinstance(others, Mapping):
            yield from self.unread(_values(written), others, f"{where}/*")
        elif isinstance(written.get("additionalProperties"), Mapping):
            yield f"{where}/*", self._say("any name {}")
        for name in sorted(sent.keys() & known.keys()):
            yield from self.unread(sent[name], known[name], f"{where}/{name}")

    def _items(self, written: Document, read: Document, where: str) -> Iterator[Found]:
        if isinstance(read.get("items"), Mapping):
            yield from self.unread(written.get("items") or {}, read["items"], f"{where}/-")
        for number, (one, other) in enumerate(zip(written.get("prefixItems", ()), read.get("prefixItems", ()), strict=False)):
            yield from self.unread(one, other, f"{where}/{number}")


def _is_read(written: str | None, read: str | None) -> bool:
    return read is None or written == read or (written, read) == ("integer", "number")


def _values(schema: Document) -> Document:
    """Of an object that is a mapping."""
    others = schema.get("additionalProperties", {})
    return others if isinstance(others, Mapping) else {}


def _whole(schema: Document, document: Document) -> Document:
    """What is referred to; and an object that is described in parts, a form's file and fields, as one."""
    found: Document = _resolved(schema, document)
    if "allOf" not in found:
        return found
    parts = [_whole(part, document) for part in found["allOf"]]
    properties = {name: field for part in parts for name, field in part.get("properties", {}).items()}
    return {
        "type": "object",
        "properties": properties,
        "required": [name for part in parts for name in part.get("required", ())],
    }
