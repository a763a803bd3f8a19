"""Rules of accounts and sessions: e-mails, weak passwords, pauses after failures, who may enter, refresh tokens. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
import os
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from marketplace_core.values import Audience

__all__ = [
    "FREE_FAILURES",
    "email_digest",
    "may_enter",
    "new_refresh_token",
    "normal_email",
    "pause_left",
    "refresh_digest",
    "session_of",
    "weakness",
]

# ── e-mails and passwords ────────────────────────────────────────────────────────────────────────────────────

SHORTEST = 8

#: The commonest passwords that are long enough for the first rule.
_COMMON = """
    password password1 password12 password123 passw0rd p@ssw0rd p@ssword 12345678 123456789 1234567890 12341234 11111111
    00000000 88888888 87654321 987654321 qwertyuiop qwerty123 qwerty12 1q2w3e4r 1q2w3e4r5t 1qaz2wsx q1w2e3r4 zaq12wsx
    asdfghjkl abcd1234 abc12345 iloveyou sunshine princess football baseball superman trustno1 letmein1 welcome1
    admin123 administrator changeme marketplace
"""
COMMON = frozenset(_COMMON.split())


def normal_email(email: str) -> str:
    """By which an e-mail is unique and found: two that differ by case, or by how a letter is composed, are one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", email).lower())


def email_digest(email: str) -> bytes:
    """By which failures are counted, whether an account has that e-mail or not."""
    return hashlib.sha256(normal_email(email).encode()).digest()


def weakness(password: str, email: str) -> str | None:
    """What is wrong with a new password, as a sentence, or None."""
    if len(password) < SHORTEST:
        return f"A password has at least {SHORTEST} characters."
    if password.lower() in COMMON:
        return "This is one of the commonest passwords; choose another."
    if normal_email(password) == normal_email(email):
        return "A password must not be the e-mail."
    return None


# ── pauses after failures ────────────────────────────────────────────────────────────────────────────────────

#: So many failures in a row cost nothing; after them one attempt is let through at a time.
FREE_FAILURES = 5
LONGEST_DOUBLING = 6
LONGEST_PAUSE = 60


def pause(failures: int) -> int:
    """Seconds to wait after so many failures in a row."""
    if failures < FREE_FAILURES:
        return 0
    return min(LONGEST_PAUSE, 1 << min(failures - FREE_FAILURES, LONGEST_DOUBLING))


def pause_left(failures: int, last_at: datetime, now: datetime) -> int:
    """Whole seconds until the next attempt is let through; 0: now."""
    left = (last_at + timedelta(seconds=pause(failures)) - now).total_seconds()
    return max(0, math.ceil(left))


# ── who may enter ────────────────────────────────────────────────────────────────────────────────────────────


def may_enter(audience: Audience, roles: Iterable[str]) -> bool:
    """Anybody with an account on buyer and seller; the other audiences are closed."""
    if audience == "logistics":
        return any(role.startswith("courier:") for role in roles)
    if audience == "admin":
        return not {"admin", "moderator"}.isdisjoint(roles)
    return True


# ── refresh tokens ───────────────────────────────────────────────────────────────────────────────────────────

RANDOM_BYTES = 32
SEAL_BYTES = 16


def new_refresh_token(key: bytes, session_id: str) -> str:
    """``<session id>.<random bytes and their seal>``.

    By the seal a used token, which ends its session, is told from an invented one, which must not.
    """
    secret = os.urandom(RANDOM_BYTES)
    return f"{session_id}.{base64.urlsafe_b64encode(secret + _seal(key, session_id, secret)).decode()}"


def session_of(keys: Sequence[bytes], token: str) -> str | None:
    """The session that a refresh token was made for, by one of the keys; None: we did not make it."""
    session_id, _, rest = token.rpartition(".")
    try:
        raw = base64.b64decode(rest.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    secret, seal = raw[:RANDOM_BYTES], raw[RANDOM_BYTES:]
    ours = [hmac.compare_digest(seal, _seal(key, session_id, secret)) for key in keys]
    return session_id if any(ours) else None


def _seal(key: bytes, session_id: str, secret: bytes) -> bytes:
    return hmac.digest(key, f"{session_id}.".encode() + secret, "sha256")[:SEAL_BYTES]


def refresh_digest(token: str) -> bytes:
    """What is kept of a refresh token. It is random, so that a plain hash tells nothing of it."""
    return hashlib.sha256(token.encode()).digest()
