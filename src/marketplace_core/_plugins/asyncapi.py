"""The events of a deployment as an AsyncAPI 3 document: a channel per topic, a message per event, who sends, who receives."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any

import msgspec

from marketplace_core.deployment import Loaded, load_all
from marketplace_core.events import EVENTS, Envelope, Event

__all__ = ["describe", "document", "publishers"]

_SCHEMA = "#/components/schemas/{name}"
DESCRIPTION = (
    "A message is an envelope in JSON, with the event under `data`. It comes at least once, and in order per aggregate: `key`"
    " is the aggregate's id, and beside the envelope travels its sequence number, from 1 and without gaps. Fields are only ever"
    " added, with defaults: a reader ignores what it does not know."
)


def describe(file: str | os.PathLike[str]) -> dict[str, Any]:
    """:raises DeploymentErrors: the file has problems."""
    return document(load_all(file, secrets=False))


def publishers(made: Loaded) -> dict[str, str]:
    """The plugin that publishes each topic: the capability's provider, else the first that says that it does."""
    topics = {cls.topic for cls in EVENTS.values()}
    found: dict[str, str] = {}
    for name, info in made.registry.infos.items():
        if info.provides in topics and (info.provides not in found or made.deployment.plugins[name].pick):
            found[info.provides] = name
    for name, info in made.registry.infos.items():
        for topic in sorted(info.topics & topics):
            found.setdefault(topic, name)
    return found


def document(made: Loaded) -> dict[str, Any]:
    """Of the events that some plugin of the deployment publishes. The same deployment gives the same document."""
    senders = publishers(made)
    events = {type_: cls for type_, cls in sorted(EVENTS.items()) if cls.topic in senders}
    schemas = _schemas(events)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": f"Events of {made.deployment.name}",
            "version": metadata.version("marketplace-core"),
            "description": DESCRIPTION,
        },
        "defaultContentType": "application/json",
        "channels": {topic: _channel(topic, senders[topic], events) for topic in sorted(senders) if _of(topic, events)},
        "operations": dict(_operations(made, senders, events)),
        "components": {
            "messages": {type_: _message(cls) for type_, cls in events.items()},
            "schemas": dict(sorted(schemas.items())),
        },
    }


def _of(topic: str, events: Mapping[str, type[Event]]) -> list[str]:
    return [type_ for type_, cls in events.items() if cls.topic == topic]


def _channel(topic: str, sender: str, events: Mapping[str, type[Event]]) -> dict[str, Any]:
    return {
        "address": topic,
        "description": f"What {sender} tells.",
        "messages": {type_: {"$ref": f"#/components/messages/{type_}"} for type_ in _of(topic, events)},
    }


def _operations(
    made: Loaded, senders: Mapping[str, str], events: Mapping[str, type[Event]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """One for each topic that is sent, and one for each handler or sink and topic that it hears."""
    for topic, sender in sorted(senders.items()):
        if told := _of(topic, events):
            yield f"{sender}.publish", _operation("send", topic, sender, told)
    for plugin, declared in made.declared.items():
        for handler, types in declared.subscriptions.items():
            topics = sorted({type_.split(".", 1)[0] for type_ in types if type_ in events})
            for topic in topics:
                heard = [type_ for type_ in types if type_ in events and events[type_].topic == topic]
                yield (handler if len(topics) == 1 else f"{handler}.{topic}"), _operation("receive", topic, plugin, heard)

        for sink in declared.work.sinks:
            for topic in sorted(senders):
                if (not sink.topics or topic in sink.topics) and (told := _of(topic, events)):
                    yield f"{sink.name}.{topic}", _operation("receive", topic, plugin, told)


def _operation(action: str, topic: str, plugin: str, types: list[str]) -> dict[str, Any]:
    messages = [{"$ref": f"#/channels/{topic}/messages/{type_}"} for type_ in types]
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic}"},
        "messages": messages,
        "tags": [{"name": plugin}],
    }


def _message(cls: type[Event]) -> dict[str, Any]:
    told = inspect.cleandoc(cls.__doc__) if cls.__doc__ else ""
    message = {
        "name": cls.type,
        "title": cls.__name__,
        "description": re.sub(r"``", "`", told),
        "contentType": "application/json",
        "payload": {
            "allOf": [
                {"$ref": _SCHEMA.format(name="Envelope")},
                {
                    "type": "object",
                    "properties": {
                        "type": {"const": cls.type},
                        "version": {"const": cls.version},
                        "key": {"description": f"The event's `{cls.key_field}`."},
                        "data": {"$ref": _SCHEMA.format(name=cls.__name__)},
                    },
                },
            ]
        },
    }
    return message if told else {key: value for key, value in message.items() if key != "description"}


def _schemas(events: Mapping[str, type[Event]]) -> dict[str, Any]:
    """Of the events and of the envelope, by name. :raises ValueError: two events have one class name."""
    types: list[type] = [Envelope, *events.values()]
    made, components = msgspec.json.schema_components(types, ref_template=_SCHEMA)
    names = [schema["$ref"].rsplit("/", 1)[1] for schema in made]
    if names != [cls.__name__ for cls in types]:
        raise ValueError(f"two events have one class name, so their schemas are named {names}")
    return components
