"""Decoding that names every bad field, for the shapes that no route of the other tests has."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import UNSET, Meta, Struct, UnsetType

from marketplace_core.errors import Invalid
from marketplace_core.validation import convert, decode_json


class Card(Struct, tag="card", tag_field="method", forbid_unknown_fields=True):
    token: str


class Transfer(Struct, tag="transfer", tag_field="method", forbid_unknown_fields=True):
    iban: Annotated[str, Meta(min_length=4)]


class Span(Struct):
    first: int
    last: int

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise ValueError("first comes after last")


class Everything(Struct, forbid_unknown_fields=True, rename="camel"):
    pay_by: Card | Transfer | None = None
    span: Span | None = None
    pair: tuple[int, str] | None = None
    counts: dict[str, Annotated[int, Meta(ge=0)]] = {}
    either: str | list[int] | None = None
    many: Annotated[list[int], Meta(min_length=1, max_length=2)] | UnsetType = UNSET
    kind: Literal["a", "b"] = "a"
    at: datetime | None = None
    free: Any = None


@pytest.mark.behaviour("all-2")
@pytest.mark.parametrize(
    ("raw", "problems"),
    [
        ('{"payBy": {"method": "card"}}', {"/payBy/token": "required"}),
        ('{"payBy": {"method": "transfer", "iban": "1", "x": 1}}', {"/payBy/iban": "length", "/payBy/x": "unknown_field"}),
        ('{"payBy": {"method": "cash"}}', {"/payBy/method": "unknown_value"}),
        ('{"payBy": {"method": []}}', {"/payBy/method": "unknown_value"}),
        ('{"payBy": {}, "kind": "c"}', {"/payBy/method": "required", "/kind": "unknown_value"}),
        ('{"span": {"first": 2, "last": 1}, "kind": 1}', {"/span": "type", "/kind": "type"}),
        ('{"pair": ["a", 1]}', {"/pair/0": "type", "/pair/1": "type"}),
        ('{"pair": [1]}', {"/pair": "length"}),
        ('{"counts": {"a/b": -1, "c": 1, "d~": "x"}}', {"/counts/a~1b": "range", "/counts/d~0": "type"}),
        ('{"either": [1, "x"]}', {"/either/1": "type"}),
        ('{"either": 1}', {"/either": "type"}),
        ('{"many": []}', {"/many": "length"}),
        ('{"many": [1, "x", 2]}', {"/many": "length", "/many/1": "type"}),
        ('{"many": null}', {"/many": "type"}),
        ('{"at": "2026-01-31T12:00:00"}', {"/at": "format"}),
        ('{"at": "yesterday"}', {"/at": "format"}),
        ('{"free": {"a": ["\\u0000"], "\\u0000": 1}}', {"/free": "format"}),
        ('{"free": {"a": ["\\u0000"]}}', {"/free/a/0": "format"}),
        ('{"free": 1e999}', {"/free": "range"}),
        ("[]", {"": "type"}),
        ("null", {"": "type"}),
    ],
)
def test_problems(raw: str, problems: dict[str, str]) -> None:
    with pytest.raises(Invalid) as caught:
        decode_json(raw.encode(), Everything)
    assert {error.pointer: error.code for error in caught.value.errors} == problems
    assert len(caught.value.errors) == len(problems)


def test_what_is_good_is_taken() -> None:
    raw = '{"payBy": {"method": "card", "token": "t"}, "pair": [1, "a"], "many": [1], "either": "x", "at": "2026-01-31T12:00Z"}'
    found = decode_json(raw.replace("12:00Z", "12:00:00Z").encode(), Everything)
    assert (found.pay_by, found.pair, found.many, found.either) == (Card("t"), (1, "a"), [1], "x")
    assert found.at is not None
    assert decode_json(b'{"free": "2026-01-31T12:00:00", "either": "1234567890123456789012"}', Everything).free


def test_numbers_out_of_text() -> None:
    assert convert({"many": ["1", "2"]}, Everything, strict=False).many == [1, 2]
    with pytest.raises(Invalid) as caught:
        convert({"many": ["1", "x"], "kid": 1}, Everything, strict=False)
    assert [(error.pointer, error.code) for error in caught.value.errors] == [("/many/1", "type"), ("/kid", "unknown_field")]
    assert "did you mean 'kind'" in caught.value.errors[1].detail


def test_what_is_not_json() -> None:
    for raw in (b"", b"{", b"\xff", b'{"kind": "\xff"}', b"[" * 100_000):
        with pytest.raises((msgspec.DecodeError, Invalid)):
            decode_json(raw, Everything)
    with pytest.raises(msgspec.DecodeError):
        decode_json(b'{"free": ' + b"[" * 100_000, Everything)
