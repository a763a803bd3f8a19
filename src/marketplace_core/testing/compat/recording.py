"""A release's recording: ``schemas.json`` and ``samples.jsonl`` of its subjects in a folder, and reading them with later code.

A sample is what the release wrote: MessagePack in base64 under ``msgpack``, or the JSON itself under ``json``. Arguments have
the ``digest`` by which the request is known under an idempotency key.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import msgspec

from marketplace_core.errors import CODES
from marketplace_core.testing.compat.subjects import Subject

__all__ = ["changes", "lost", "record"]

SCHEMAS, SAMPLES = "schemas.json", "samples.jsonl"
_REFS = "#/$defs/{name}"


def record(folder: Path, subjects: Mapping[str, Subject]) -> None:
    """Write what these subjects are today."""
    folder.mkdir(parents=True, exist_ok=True)
    schemas = msgspec.json.encode(_schemas(subjects), order="deterministic")
    (folder / SCHEMAS).write_bytes(msgspec.json.format(schemas, indent=1) + b"\n")
    lines = [_line(subject, values) for subject in subjects.values() for values in subject.samples()]
    (folder / SAMPLES).write_bytes(b"".join(lines))


def _schemas(subjects: Mapping[str, Subject]) -> dict[str, Any]:
    types = [part for subject in subjects.values() for part in subject.parts]
    made, defs = msgspec.json.schema_components(types, ref_template=_REFS, schema_hook=_anything)
    remaining = iter(made)
    described = {
        name: {"parts": [next(remaining) for _ in subject.parts], "required": subject.required}
        for name, subject in subjects.items()
    }
    return {"subjects": described, "errors": dict(sorted(CODES.items())), "$defs": defs}


def _anything(type_: type) -> dict[str, Any]:
    """What is annotated as ``object`` holds anything. :raises NotImplementedError: what else msgspec does not know."""
    if type_ is object:
        return {"description": "anything"}
    raise NotImplementedError


def _line(subject: Subject, values: Sequence[Any]) -> bytes:
    raw = subject.pack(values)
    binary = subject.look is msgspec.msgpack.decode
    sample = {"msgpack": base64.b64encode(raw).decode()} if binary else {"json": msgspec.Raw(raw)}
    known = {} if subject.digest is None else {"digest": subject.digest(values).hex()}
    return msgspec.json.encode({"of": subject.name} | sample | known) + b"\n"


def changes(folder: Path, subjects: Mapping[str, Subject]) -> list[str]:
    """What keeps these subjects from living beside those recorded in ``folder``, with what to do; nothing, if all is well."""
    recorded = msgspec.json.decode((folder / SCHEMAS).read_bytes())
    found = [
        f"{name} is gone; keep it for as long as a process of {folder.name} may run"
        for name in recorded["subjects"]
        if name not in subjects
    ]
    found += _errors(recorded["errors"])
    found += [f"{cause}; {_KEEP}" for cause in _read(folder, subjects)]
    for name, old in recorded["subjects"].items():
        if name in subjects:
            found += [f"{cause}; {_KEEP_OLD}" for cause in _read_by_old(subjects[name], old, recorded["$defs"], folder.name)]
    return list(dict.fromkeys(found))


_KEEP = "keep the name and the type, and give what is new a default"
_KEEP_OLD = "tell what is new by a new event type, a new method, or a field with a default"


def _errors(recorded: Mapping[str, int]) -> Iterator[str]:
    for code, status in recorded.items():
        if CODES.get(code) != status:
            yield f"the error code {code} of status {status} is {CODES.get(code, 'gone')}; keep it: clients switch on it"


def _read(folder: Path, subjects: Mapping[str, Subject]) -> Iterator[str]:
    """Today's code on what the release wrote: it is read, and nothing of it is lost."""
    for line in (folder / SAMPLES).read_bytes().splitlines():
        sample = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
        name = msgspec.json.decode(sample["of"], type=str)
        if name not in subjects:
            continue
        subject = subjects[name]
        raw = bytes(sample["json"]) if "json" in sample else msgspec.json.decode(sample["msgpack"], type=bytes)
        try:
            values = subject.unpack(raw)
            again = subject.pack(values)
        except (msgspec.DecodeError, TypeError, ValueError) as error:
            yield f"{name}: what {folder.name} wrote is not read any more: {error}"
        else:
            before, after = subject.look(raw), subject.look(again)
            if name.startswith("arguments "):
                after = after[: len(before)]
            for pointer in lost(before, after):
                yield f"{name}: of what {folder.name} wrote {pointer or 'all'} is lost"
            if subject.digest is not None and subject.digest(values).hex() != msgspec.json.decode(sample["digest"]):
                yield f"{name}: a request that {folder.name} has answered is another one now, under its idempotency key"


def lost(before: Any, after: Any, pointer: str = "") -> Iterator[str]:
    """Pointers of what is not there any more, or is something else."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key, value in before.items():
            if key in after:
                yield from lost(value, after[key], f"{pointer}/{key}")
            else:
                yield f"{pointer}/{key}"
    elif isinstance(before, Sequence) and isinstance(after, Sequence) and not isinstance(before, str | bytes):
        if len(before) != len(after):
            yield pointer
        for number, (one, other) in enumerate(zip(before, after, strict=False)):
            yield from lost(one, other, f"{pointer}/{number}")
    elif before != after:
        yield pointer


def _read_by_old(subject: Subject, old: Mapping[str, Any], defs: Any, version: str) -> Iterator[str]:
    """A process of the release on what today's code writes."""
    if len(subject.parts) < old["required"]:
        yield f"{subject.name}: a process of {version} needs {old['required']} arguments and gets {len(subject.parts)}"
        return
    readers = [jsonschema.Draft202012Validator({**part, "$defs": defs}) for part in old["parts"]]
    for values in subject.samples():
        for reader, value in zip(readers, values, strict=False):
            for error in reader.iter_errors(msgspec.json.decode(msgspec.json.encode(value))):
                where = "".join(f"/{part}" for part in error.absolute_path)
                yield f"{subject.name}: a process of {version} would not read {where or 'it'}: {_brief(error)}"


def _brief(error: jsonschema.ValidationError) -> str:
    """The message without the whole value in it, which may be long."""
    return error.message if len(error.message) < 200 else f"{error.validator} {error.validator_value}"[:200]
