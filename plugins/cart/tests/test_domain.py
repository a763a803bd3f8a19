"""Tokens of guests."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st
from marketplace_cart.domain import CartTokens, is_secret

from marketplace_core.values import new_id

TOKENS = CartTokens([b"one key"])


def test_a_token_tells_its_cart_to_nobody_but_us() -> None:
    cart_id = new_id()
    token = TOKENS.issue(cart_id)
    assert len(token) == 56
    assert TOKENS.read(token) == cart_id
    assert CartTokens([b"another key"]).read(token) is None
    assert CartTokens([b"another key", b"one key"]).read(token) == TOKENS.read(token)


@given(st.one_of(st.text(), st.binary(min_size=42, max_size=42).map(lambda raw: base64.urlsafe_b64encode(raw).decode())))
def test_what_we_have_not_issued_is_nothing(token: str) -> None:
    assert TOKENS.read(token) is None


@given(st.integers(0, 55), st.sampled_from("Az09-_"))
def test_no_character_of_a_token_can_be_another(place: int, other: str) -> None:
    token = TOKENS.issue("01890000-0000-7000-8000-000000000001")
    changed = token[:place] + other + token[place + 1 :]
    assert (TOKENS.read(changed) is None) == (changed != token)


def test_a_key_that_others_may_choose_is_no_secret() -> None:
    assert not is_secret("1")
    assert not is_secret("add-to-cart")
    assert is_secret(new_id())
