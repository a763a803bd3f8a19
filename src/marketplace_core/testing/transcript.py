"""What a client asked and was answered, without what differs from run to run: so that two deployments can be compared."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

__all__ = ["Transcript", "TranscriptDiffers"]

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|pay_[0-9a-f]{24}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00))?")
_HOST = re.compile(r"http://127\.0\.0\.1:\d+")
#: An order's, with which those of its packages begin.
_NUMBER = re.compile(r"^\d{6,}")
#: Fields whose values are made by chance, whatever they look like.
_CHANCE = frozenset(
    {
        "token",
        "access_token",
        "refresh_token",
        "device_token",
        "tracking_token",
        "tracking_number",
        "request_id",
        "next",
        "slug",
    }
)
#: Headers that belong to an answer as its client sees it.
_HEADERS = ("Location", "Idempotent-Replayed", "Allow", "Retry-After", "Content-Type")


class TranscriptDiffers(AssertionError):
    """Shows where the answers part."""


class Transcript:
    """Ids, times and tokens are replaced by what they are and when they were first seen: ``<id 3>``, ``<time>``.

    ``rest`` waits until nothing is under way: what a client waited for is noted as it is then. A timeline is noted in
    alphabetical order: what comes by the bus and what a saga does overtake each other.

    Of a marketplace that others use too, ``mark`` is what the names of this test's people and shops have and those of others
    have not, and ``numbered`` how many orders had a number before.
    """

    def __init__(self, rest: Callable[[], Awaitable[None]], mark: str = "", numbered: int = 0) -> None:
        self.rest = rest
        self._mark, self._numbered = mark, numbered
        self.exchanges: list[dict[str, Any]] = []
        self._seen: dict[str, str] = {}

    def add(self, audience: str, method: str, path: str, sent: Any, status: int, headers: Any, body: Any) -> None:
        shown = {name: self._text(headers[name]) for name in _HEADERS if name in headers}
        if isinstance(body, bytes):
            body = "<bytes>" if body else None
        exchange = {"asked": f"{method} {audience} {self._text(path)}", "sent": self._value(sent)}
        self.exchanges.append({**exchange, "status": status, "headers": shown, "answer": self._value(body)})

    def compare(self, file: Path) -> None:
        """With what was recorded. ``MARKETPLACE_RECORD=1`` records anew.

        :raises TranscriptDiffers: the answers are others, or there is nothing yet to compare them with.
        """
        now = msgspec.json.format(msgspec.json.encode(self.exchanges), indent=1).decode() + "\n"
        if os.environ.get("MARKETPLACE_RECORD") == "1":
            file.parent.mkdir(exist_ok=True)
            file.write_text(now)
            return
        if not file.exists():
            raise TranscriptDiffers(f"{file.name} was never recorded: set MARKETPLACE_RECORD=1, look at it and commit it")
        before = file.read_text()
        if now != before:
            lines = difflib.unified_diff(before.splitlines(), now.splitlines(), "recorded", "now", lineterm="", n=4)
            raise TranscriptDiffers("\n".join([file.name, *lines]))

    def _value(self, value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {self._text(key): self._value(part, key) for key, part in value.items()}
        if isinstance(value, list):
            ordered = sorted(value, key=lambda part: str(part["type"])) if name == "timeline" else value
            return [self._value(part) for part in ordered]
        if name in {"number", "order_number"} and isinstance(value, str):
            return _NUMBER.sub(lambda found: f"{int(found.group()) - self._numbered:06}", value)
        if isinstance(value, str):
            return self._named("token", value) if name in _CHANCE else self._text(value)
        return value

    def _text(self, text: str) -> str:
        text = _HOST.sub("<host>", text.replace(self._mark, "") if self._mark else text)
        text = _ID.sub(lambda found: self._named("id", found.group()), text)
        for token, name in self._seen.items():
            if name.startswith("<token") and token in text:
                text = text.replace(token, name)
        return _TIME.sub("<time>", text)

    def _named(self, kind: str, text: str) -> str:
        return self._seen.setdefault(text, f"<{kind} {len(self._seen) + 1}>")
