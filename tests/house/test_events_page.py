"""docs/reference/events.md tells of every event what its class and the embedded deployment say."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import msgspec

from marketplace_core._plugins.asyncapi import publishers
from marketplace_core.deployment import DEFAULT_FILE, Loaded, load_all
from marketplace_core.events import EVENTS, Event

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "events.md"
BEGIN, END = "<!-- generated: events -->", "<!-- end: events -->"


def generated() -> str:
    made = load_all(DEFAULT_FILE, secrets=False)
    return "\n".join([BEGIN, "", *_topics(made), END])


def _topics(made: Loaded) -> Iterator[str]:
    for topic, sender in sorted(publishers(made).items()):
        events = [cls for type_, cls in sorted(EVENTS.items()) if cls.topic == topic]
        if events:
            yield from [f"## {topic}", "", f"Published by {sender}.", ""]
            for cls in events:
                yield from _event(cls, _handlers(made, cls.type))


def _handlers(made: Loaded, type_: str) -> list[str]:
    return [name for own in made.declared.values() for name, types in own.subscriptions.items() if type_ in types]


def _event(cls: type[Event], handlers: list[str]) -> Iterator[str]:
    yield from [f"### {cls.type}", ""]
    if cls.__doc__:
        yield from [inspect.cleandoc(cls.__doc__).replace("``", "`"), ""]
    fields = [f"`{field.name}`" + ("" if field.required else "?") for field in msgspec.structs.fields(cls)]
    yield f"- key `{cls.key_field}`, version {cls.version}"
    yield f"- fields: {', '.join(fields)}"
    yield f"- applied by: {', '.join(f'`{name}`' for name in handlers) or 'nobody here'}"
    yield ""


def written() -> str:
    return PAGE.read_text()


def test_the_page_is_up_to_date() -> None:
    text = written()
    found = text[text.index(BEGIN) : text.index(END) + len(END)]
    assert found == generated(), f"write it anew: python {Path(__file__).relative_to(ROOT)}"


if __name__ == "__main__":
    before = written()
    PAGE.write_text(before[: before.index(BEGIN)] + generated() + before[before.index(END) + len(END) :])
