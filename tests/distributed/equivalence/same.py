"""What two deployments answer, compared: ids are the same one by one, times as far from the beginning, all else as it is.

What one side calls by a name of its own (an id, a token) gets a symbol, ``<id 17>``, when both first say it at the same place.
From then on it has to stand wherever the other side has its own. What acts are made of is what was answered in symbols, so
that no choice depends on an id; :meth:`Names.real` makes of it what is sent to a side.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.distributed.equivalence import rules

__all__ = ["STEP", "Comparison", "Difference", "Names", "Reply"]

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"
#: A payment of the simulator's, and the folder and name of a picture, whose key is its own.
_OTHERS = r"pay_[0-9a-f]{24}|[0-9a-f]{2}/[0-9a-f]{32}"
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)"
_HOST = r"https?://(?:127\.0\.0\.1|[a-z.]*shop\.example)(?::\d+)?(?=/|$)"
_KEY = r"mk_[\w-]{20,}"
_PARTS = re.compile(
    f"(?P<id>{_UUID}|{_OTHERS})|(?P<time>{_TIME})|(?P<host>{_HOST})|(?P<key>{_KEY})|(?P<word>(?:(?!{_UUID})[\\w.+=-]){{8,}})"
)
#: What times are told apart by: the clock is moved by multiples of it, no act takes as long, and it divides what is waited for.
STEP = timedelta(minutes=3)

_SYMBOL = re.compile(r"<[a-z]+ \d+>")


@dataclass(frozen=True)
class Reply:
    """What a side answered. ``body``: decoded JSON, text, bytes, or None where there is none."""

    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Difference:
    """``where``: ``status``, a header's name, or a JSON Pointer into the body. ``request`` is a curl line."""

    act: int
    request: str
    where: str
    left: Any
    right: Any

    def __str__(self) -> str:
        where = self.where or "the body"
        return f"act {self.act}: {self.request}\n    at {where}\n    - {_shown(self.left)}\n    + {_shown(self.right)}"


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) < 400 else f"{text[:400]}… ({len(text)} characters)"


class Names:
    """Symbols of what sides call differently, and of both sides what they stand for."""

    def __init__(self) -> None:
        self._symbols: tuple[dict[str, str], dict[str, str]] = ({}, {})
        self._reals: dict[str, tuple[str, str]] = {}

    def pair(self, kind: str, left: str, right: str) -> str | None:
        """The symbol of both; None if one of them is known as another's."""
        mine, theirs = self._symbols[0].get(left), self._symbols[1].get(right)
        if mine is None and theirs is None:
            mine = theirs = f"<{kind} {len(self._reals) + 1}>"
            self._symbols[0][left] = self._symbols[1][right] = mine
            self._reals[mine] = (left, right)
        return mine if mine == theirs else None

    def symbol(self, side: int, real: str) -> str | None:
        return self._symbols[side].get(real)

    def real(self, value: Any, side: int) -> Any:
        """``value`` as that side has to be asked."""
        if isinstance(value, dict):
            return {self.real(key, side): self.real(part, side) for key, part in value.items()}
        if isinstance(value, list):
            return [self.real(part, side) for part in value]
        if isinstance(value, str):
            return _SYMBOL.sub(lambda found: self._reals.get(found.group(), (found.group(),) * 2)[side], value)
        return value


@dataclass
class Comparison:
    """Of one answer of both.

    ``began``: the deployment's time when the acts began, which both have in common. ``chance``: further fields whose values are
    made by chance.
    """

    names: Names
    began: datetime
    path: str
    chance: frozenset[str] = frozenset()
    found: list[tuple[str, Any, Any]] = field(default_factory=list)

    def reply(self, left: Reply, right: Reply) -> Reply:
        """The left one in symbols; what differs is in ``found``."""
        if left.status != right.status:
            self.found.append(("status", [left.status, left.body], [right.status, right.body]))
        headers = {}
        for name in rules.HEADERS:
            both = left.headers.get(name), right.headers.get(name)
            if name in rules.PRESENT:
                both = (both[0] and "present"), (both[1] and "present")
            headers[name] = self._value(*both, f"header {name}", name)
        body = self._value(left.body, right.body, "", "")
        return Reply(left.status, {name: value for name, value in headers.items() if value is not None}, body)

    def _differ(self, where: str, left: Any, right: Any) -> Any:
        self.found.append((where, left, right))
        return left

    def _value(self, left: Any, right: Any, where: str, name: str) -> Any:
        if type(left) is not type(right):
            return self._differ(where, left, right)
        if isinstance(left, dict):
            return self._dict(left, right, where)
        if isinstance(left, list):
            return self._list(left, right, where)
        if isinstance(left, str):
            return self._text(left, right, where, name)
        if isinstance(left, bytes) and left.startswith(b"%PDF"):
            return self._text(left.decode("latin-1"), right.decode("latin-1"), where, name)
        return left if left == right else self._differ(where, left, right)

    def _dict(self, left: dict[str, Any], right: dict[str, Any], where: str) -> dict[str, Any]:
        """Names stand in the same order."""
        if len(left) != len(right):
            return self._differ(where, left, right)  # type: ignore[no-any-return]
        made = {}
        for (mine, one), (theirs, other) in zip(left.items(), right.items(), strict=True):
            key = self._text(mine, theirs, where, "")
            made[key] = self._value(one, other, f"{where}/{key}", key)
        return made

    def _list(self, left: list[Any], right: list[Any], where: str) -> list[Any]:
        if (rule := rules.order_of(self.path, where)) is not None:
            left, right = rule(left, right, self.names.symbol, self.path)
        if len(left) != len(right):
            return self._differ(where, left, right)  # type: ignore[no-any-return]
        both = enumerate(zip(left, right, strict=True))
        return [self._value(one, other, f"{where}/{index}", "") for index, (one, other) in both]

    def _text(self, left: str, right: str, where: str, name: str) -> str:
        if name in rules.CHANCE or name in self.chance:
            return self.names.pair("token", left, right) or str(self._differ(where, left, right))
        if name in rules.SLUGS and left.rpartition("-")[0] == right.rpartition("-")[0]:
            return self.names.pair("slug", left, right) or str(self._differ(where, left, right))
        mine, theirs = list(_PARTS.finditer(left)), list(_PARTS.finditer(right))
        kinds = [found.lastgroup for found in mine]
        if kinds != [found.lastgroup for found in theirs] or _PARTS.sub("\0", left) != _PARTS.sub("\0", right):
            return str(self._differ(where, left, right))
        made = []
        for one, other in zip(mine, theirs, strict=True):
            part = self._part(str(one.lastgroup), one.group(), other.group())
            if part is None:
                return str(self._differ(where, self._known(0, left), self._known(1, right)))
            made.append(part)
        return _PARTS.sub(lambda _: made.pop(0), left)

    def _part(self, kind: str, left: str, right: str) -> str | None:
        if kind == "host":
            return "<host>"
        if kind == "time":
            both = self._time(left), self._time(right)
            return both[0] if both[0] == both[1] else None
        if kind == "word":
            both = self.names.symbol(0, left) or left, self.names.symbol(1, right) or right
            return both[0] if both[0] == both[1] else None
        return self.names.pair(kind, left, right)

    def _time(self, text: str) -> str:
        steps = (datetime.fromisoformat(text) - self.began) // STEP
        return f"<before {text[:10]}>" if steps < 0 else f"<time {steps}>"

    def _known(self, side: int, text: str) -> str:
        """For a reader: what has a symbol already, by it."""

        def shown(found: re.Match[str]) -> str:
            if found.lastgroup == "time":
                return self._time(found.group())
            return self.names.symbol(side, found.group()) or found.group()

        return _PARTS.sub(shown, text)
