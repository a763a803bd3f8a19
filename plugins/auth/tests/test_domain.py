"""Rules of accounts and sessions."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marketplace_auth.config import AuthConfig
from marketplace_auth.domain import (
    OWN,
    device_of,
    device_token,
    email_digest,
    may_enter,
    new_refresh_token,
    normal_email,
    pause,
    pause_left,
    session_of,
    weakness,
)
from marketplace_auth.passwords import Passwords

from marketplace_core._runtime.pools import ThreadPool

KEY = b"k" * 32
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@given(st.text())
def test_the_normal_form_of_an_email_is_its_own(email: str) -> None:
    assert normal_email(normal_email(email)) == normal_email(email)


@given(st.text(st.characters(codec="ascii")))
def test_case_does_not_tell_emails_apart(email: str) -> None:
    assert normal_email(email.upper()) == normal_email(email.lower()) == normal_email(email.swapcase())
    assert email_digest(email.upper()) == email_digest(email.lower())


@given(st.text())
def test_how_letters_are_composed_does_not_tell_emails_apart(email: str) -> None:
    assert normal_email(unicodedata.normalize("NFD", email)) == normal_email(unicodedata.normalize("NFC", email))


def test_other_letters_tell_emails_apart() -> None:
    forms = {normal_email(email) for email in ("a@x.org", "ä@x.org", "b@x.org", "a.@x.org", "a+b@x.org")}
    assert len(forms) == 5


@pytest.mark.parametrize("password", ["", "7 chars", "ADA@example.org", *sorted(OWN)])
def test_weak(password: str) -> None:
    assert weakness(password, "ada@Example.org")


@pytest.mark.parametrize("password", ["8 chars.", "password of mine", "ada@example.com", "密码密码密码密码"])
def test_not_weak(password: str) -> None:
    assert weakness(password, "ada@example.org") is None


@pytest.mark.parametrize(
    "password", ["password", "PassWord123", "Iloveyou1", "12345678", "trustno1", "zaq12wsx", "QWERTYUIOP", "superman"]
)
def test_common_passwords_are_those_of_a_kept_list(password: str) -> None:
    common = Passwords(AuthConfig(hash_memory=1, hash_time=1), ThreadPool("hash", 1)).common
    assert len(common) > 20_000
    assert weakness(password, "ada@example.org", common)


def test_a_device_is_known_by_its_email_and_key() -> None:
    token = device_token(KEY, "ada@example.org")
    device = device_of([b"n" * 32, KEY], " ADA@example.org", token)
    assert device is not None and device_token(KEY, "ada@example.org", device) == token
    assert device_token(KEY, "ada@example.org") != token
    changed = token[:-2] + ("AA" if token[-2:] != "AA" else "BB")
    for keys, email, wrong in (
        ([b"n" * 32], "ada@example.org", token),
        ([KEY], "eve@example.org", token),
        ([KEY], "ada@example.org", changed),
        ([KEY], "ada@example.org", ""),
        ([KEY], "ada@example.org", "é.ü"),
    ):
        assert device_of(keys, email, wrong) is None


def test_pauses_double_up_to_a_minute() -> None:
    assert [pause(n) for n in range(14)] == [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert pause(10**9) == 60


@pytest.mark.parametrize(
    ("failures", "after", "left"), [(4, 0, 0), (5, 0, 1), (5, 0.4, 1), (5, 1, 0), (7, 0.5, 4), (7, 1.5, 3), (7, 99, 0)]
)
def test_what_is_left_of_a_pause(failures: int, after: float, left: int) -> None:
    assert pause_left(failures, NOON, NOON + timedelta(seconds=after)) == left


def test_closed_audiences_need_a_role() -> None:
    assert may_enter("buyer", ()) and may_enter("seller", ())
    assert not may_enter("logistics", ("admin", "courier")) and may_enter("logistics", ("courier:c1",))
    assert not may_enter("admin", ("courier:c1",))
    assert may_enter("admin", ("moderator",)) and may_enter("admin", ("courier:c1", "admin"))


def test_a_refresh_token_names_its_session() -> None:
    one, other = new_refresh_token(KEY, "s-1"), new_refresh_token(KEY, "s-1")
    assert one != other
    assert session_of([b"n" * 32, KEY], one) == session_of([b"n" * 32, KEY], other) == "s-1"
    assert session_of([b"x" * 32], one) is None


@given(st.integers(min_value=0), st.characters())
def test_a_changed_refresh_token_is_nobodys(place: int, letter: str) -> None:
    token = new_refresh_token(KEY, "s-1")
    place %= len(token)
    changed = token[:place] + letter + token[place + 1 :]
    assert changed == token or session_of([b"n" * 32, KEY], changed) is None


@given(st.text())
def test_what_is_no_refresh_token_is_nobodys(text: str) -> None:
    assert session_of([b"n" * 32, KEY], text) is None
    assert session_of([b"n" * 32, KEY], f"s-1.{text}") is None
