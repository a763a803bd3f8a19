"""Access tokens: what is issued is told, and what is forged is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from marketplace_core import tokens
from marketplace_core.errors import Unauthorized

KEY = b"k" * 32
PUBLIC = tokens.public_key(KEY)
NOW = datetime(2026, 7, 28, 12, 0, tzinfo=UTC)


def test_a_token_says_what_was_issued() -> None:
    token = tokens.issue(KEY, audience="seller", account_id="a", session_id="s", now=NOW)
    claims = tokens.verify([PUBLIC], token, "seller", NOW + timedelta(seconds=599))
    other = tokens.issue(b"o" * 32, audience="seller", account_id="a", session_id="s", now=NOW)
    for both in (token, other):  # while a key is changed, two are known
        tokens.verify([tokens.public_key(b"o" * 32), PUBLIC], both, "seller", NOW)
    assert (claims.account_id, claims.session_id, claims.expires_at - claims.issued_at) == ("a", "s", 600)


KID = jwt.get_unverified_header(tokens.issue(KEY, audience="buyer", account_id="a", session_id="s", now=NOW))["kid"]
GOOD = {"aud": "buyer", "sub": "a", "sid": "s", "iat": 0, "exp": 9_999_999_999}


def forged(**claims: Any) -> str:
    return jwt.encode(
        {"aud": "buyer", "sub": "a", "sid": "s", "iat": 0, "exp": 9_999_999_999, **claims},
        Ed25519PrivateKey.from_private_bytes(KEY),
        algorithm="EdDSA",
        headers={"kid": KID},
    )


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("", "auth.token_invalid"),
        ("a.b.c", "auth.token_invalid"),
        ("é.b.c", "auth.token_invalid"),
        (jwt.encode({"aud": "buyer"}, KEY, algorithm="HS256"), "auth.token_invalid"),
        (jwt.encode(GOOD, PUBLIC, algorithm="HS256", headers={"kid": KID}), "auth.token_invalid"),
        (jwt.encode(GOOD, Ed25519PrivateKey.generate(), algorithm="EdDSA", headers={"kid": KID}), "auth.token_invalid"),
        (jwt.encode(GOOD, Ed25519PrivateKey.from_private_bytes(KEY), algorithm="EdDSA"), "auth.token_invalid"),
        (jwt.encode(GOOD, None, algorithm="none", headers={"kid": KID}), "auth.token_invalid"),
        (forged(sub=7), "auth.token_invalid"),
        (forged(exp="x"), "auth.token_invalid"),
        (jwt.encode({"aud": "buyer", "sub": "a"}, None, algorithm="none"), "auth.token_invalid"),
        (forged()[:-2] + "AA", "auth.token_invalid"),
        (tokens.issue(b"x" * 32, audience="seller", account_id="a", session_id="s", now=NOW), "auth.token_invalid"),
        (tokens.issue(KEY, audience="seller", account_id="a", session_id="s", now=NOW, seconds=-1), "auth.wrong_audience"),
        (tokens.issue(KEY, audience="buyer", account_id="a", session_id="s", now=NOW, seconds=0), "auth.token_expired"),
    ],
)
def test_tokens_that_are_refused(token: str, code: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        tokens.verify([PUBLIC], token, "buyer", NOW)
    assert caught.value.code == code
