"""A cursor that nobody gave out is refused, whatever is in it."""

from __future__ import annotations

import base64
from datetime import datetime

import msgspec
import pytest

from marketplace_core.errors import BadCursor, Invalid
from marketplace_core.validation import convert
from marketplace_core.values import PageQuery


def forged(*key: object) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode([PageQuery()._signature(), *key])).decode()


@pytest.mark.behaviour("all-3", "all-8")
@pytest.mark.parametrize(
    ("cursor", "types"),
    [
        (base64.urlsafe_b64encode(b"\x91" * 1500).decode(), (str,)),
        (base64.urlsafe_b64encode(b"\x81\xa1a" * 500).decode(), (str,)),
        (forged(float("nan")), (float,)),
        (forged(float("inf")), (float,)),
        (forged("a\0b"), (str,)),
        (forged(2**64 - 1), (int,)),
        (forged([[[]]]), (str,)),
        ("é", (str,)),
        ("====", (str,)),
    ],
)
def test_a_forged_cursor(cursor: str, types: tuple[type, ...]) -> None:
    with pytest.raises(BadCursor):
        PageQuery(cursor=cursor).position(*types)


def test_a_cursor_is_no_longer_than_any_that_is_given_out() -> None:
    with pytest.raises(Invalid):
        convert({"cursor": "a" * 2049}, PageQuery)


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_a_time_that_is_in_no_calendar_in_utc(at: str) -> None:
    with pytest.raises(Invalid) as caught:
        convert(at, datetime)
    assert [problem.code for problem in caught.value.errors] == ["range"]
