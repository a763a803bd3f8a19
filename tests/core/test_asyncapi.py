"""The catalogue of events: complete, sound by itself, and true of what is really sent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from marketplace_core._plugins.asyncapi import document
from marketplace_core.deployment import DEFAULT_FILE, Loaded, load_all
from marketplace_core.events import EVENTS
from marketplace_core.testing._forks import command
from marketplace_core.testing.compat.subjects import event_subject

KEY = re.compile(r"^[\w.\-]+$")


@pytest.fixture(scope="module")
def made() -> Loaded:
    return load_all(DEFAULT_FILE, secrets=False)


@pytest.fixture(scope="module")
def described(made: Loaded) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(msgspec.json.encode(document(made)))
    return found


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from (value for key, value in part.items() if key == "$ref")
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def _resolved(whole: dict[str, Any], reference: str) -> Any:
    found: Any = whole
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


@pytest.mark.behaviour("events-4")
def test_it_is_an_asyncapi_document(described: dict[str, Any]) -> None:
    """As the specification has it: these fields and keys, and operations that name messages of their own channel."""
    assert described["asyncapi"] == "3.0.0"
    assert set(described) == {"asyncapi", "info", "defaultContentType", "channels", "operations", "components"}
    assert set(described["info"]) == {"title", "version", "description"}
    for group in (described["channels"], described["operations"], *described["components"].values()):
        assert all(KEY.match(key) for key in group)
    for channel in described["channels"].values():
        assert set(channel) == {"address", "description", "messages"}
    for operation in described["operations"].values():
        assert set(operation) == {"action", "channel", "messages", "tags"}
        assert operation["action"] in {"send", "receive"}
        assert operation["messages"]
        for message in operation["messages"]:
            assert message["$ref"].startswith(operation["channel"]["$ref"] + "/messages/")
    for reference in _references(described):
        assert _resolved(described, reference)


@pytest.mark.behaviour("events-4")
def test_it_tells_of_every_event_and_of_every_reader(made: Loaded, described: dict[str, Any]) -> None:
    ours = {type_ for type_, cls in EVENTS.items() if cls.__module__.startswith("marketplace_core.capabilities.")}
    assert set(described["components"]["messages"]) == ours
    heard = {
        (operation["tags"][0]["name"], message["$ref"].rsplit("/", 1)[1])
        for operation in described["operations"].values()
        for message in operation["messages"]
        if operation["action"] == "receive"
    }
    declared = {(name, type_) for name, own in made.declared.items() for types in own.subscriptions.values() for type_ in types}
    sinks = [(name, sink) for name, own in made.declared.items() for sink in own.work.sinks]
    declared |= {
        (name, type_) for name, sink in sinks for type_ in ours if not sink.topics or EVENTS[type_].topic in sink.topics
    }
    assert heard == declared
    assert {("orders", "payments.changed"), ("recommendations", "catalog.stock_changed")} <= heard
    assert described["operations"]["orders.publish"]["channel"] == {"$ref": "#/channels/orders"}


@pytest.mark.behaviour("events-1", "events-4")
def test_what_is_sent_is_what_it_says(described: dict[str, Any]) -> None:
    for type_, message in described["components"]["messages"].items():
        schema = {**message["payload"], "components": described["components"]}
        validator = jsonschema.Draft202012Validator(schema)
        subject = event_subject(EVENTS[type_])
        for values in subject.samples():
            sent = json.loads(subject.pack(values))
            assert [error.message for error in validator.iter_errors(sent)] == []
            assert not validator.is_valid(sent | {"type": "another.type"})
            if EVENTS[type_].key_field in sent["data"]:
                del sent["data"][EVENTS[type_].key_field]
                assert not validator.is_valid(sent)


def test_the_command_writes_it(tmp_path: Path, described: dict[str, Any]) -> None:
    done = command("events", "catalogue", "--file", DEFAULT_FILE)
    assert (done.returncode, json.loads(done.stdout)) == (0, described)
    (tmp_path / "bad.toml").write_text("[deployment]\n")
    bad = command("events", "catalogue", "--file", tmp_path / "bad.toml")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert "deployment" in bad.stderr and "Traceback" not in bad.stderr
