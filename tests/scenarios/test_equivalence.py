"""What the comparison of two deployments (`tests/distributed/equivalence`) takes for the same, and what it does not."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tests.distributed.equivalence.same import Comparison, Names, Reply

IDS = [f"01900000-0000-7000-8000-{number:012}" for number in range(4)]
BEGAN = datetime.fromisoformat("2030-01-01T00:00:00Z")


def _found(*pairs: tuple[Any, Any]) -> list[str]:
    """Where answers differ that came one after the other."""
    names = Names()
    found = []
    for left, right in pairs:
        comparison = Comparison(names, BEGAN, "GET /things")
        comparison.reply(Reply(200, {}, left), Reply(200, {}, right))
        found += [where for where, _, _ in comparison.found]
    return found


def test_ids_times_and_tokens_are_those_of_each_side() -> None:
    left = {"id": IDS[0], "token": "a", "at": "2030-01-01T00:05:01Z", "url": f"http://127.0.0.1:1/x/{IDS[0]}?y=1"}
    right = {"id": IDS[1], "token": "b", "at": "2030-01-01T00:03:59.1Z", "url": f"http://127.0.0.1:2/x/{IDS[1]}?y=1"}
    assert _found((left, right), ([IDS[0], IDS[2]], [IDS[1], IDS[3]])) == []


@pytest.mark.parametrize(
    ("left", "right", "where"),
    [
        ({"a": 1}, {"a": 2}, "/a"),
        ({"a": 1}, {"a": 1.0}, "/a"),
        ({"a": None}, {}, ""),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, ""),
        ({"a": [1, 2]}, {"a": [2, 1]}, "/a/0"),
        ({"a": "x y"}, {"a": "x  y"}, "/a"),
        ({"a": [IDS[0], IDS[0]]}, {"a": [IDS[1], IDS[2]]}, "/a/1"),
        ({"a": [IDS[0], IDS[1]]}, {"a": [IDS[2], IDS[2]]}, "/a/1"),
        ({"a": "2030-01-01T00:05:59Z"}, {"a": "2030-01-01T00:06:00Z"}, "/a"),
        ({"a": "2030-01-01T00:05:59Z"}, {"a": "2030-01-01"}, "/a"),
        ({"slug": "red-jug-0000000001"}, {"slug": "jug-0000000002"}, "/slug"),
    ],
)
def test_all_else_differs(left: Any, right: Any, where: str) -> None:
    assert where in _found((left, right))


def test_statuses_and_headers_differ() -> None:
    comparison = Comparison(Names(), BEGAN, "GET /things")
    comparison.reply(Reply(200, {"Retry-After": "1"}, None), Reply(201, {"Retry-After": "5", "Allow": "GET"}, None))
    assert [where for where, _, _ in comparison.found] == ["status", "header Allow"]


def test_what_was_answered_is_asked_with_the_ids_of_each_side() -> None:
    names = Names()
    comparison = Comparison(names, BEGAN, "GET /things")
    symbolic = comparison.reply(Reply(200, {}, {"id": IDS[0]}), Reply(200, {}, {"id": IDS[1]})).body
    asked = {"items": [symbolic["id"]], f"x {symbolic['id']}": 1}
    assert [names.real(asked, side) for side in (0, 1)] == [{"items": [id_], f"x {id_}": 1} for id_ in IDS[:2]]
