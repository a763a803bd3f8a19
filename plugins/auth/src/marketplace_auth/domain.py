"""Rules of accounts and sessions: e-mails, weak passwords, pauses after failures, who may enter, refresh tokens. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
import os
import unicodedata
from collections.abc import Container, Iterable, Sequence
from datetime import datetime, timedelta

from marketplace_core.values import Audience

__all__ = [
    "FREE_BY_EMAIL",
    "FREE_FAILURES",
    "device_of",
    "device_token",
    "email_digest",
    "may_enter",
    "new_refresh_token",
    "normal_email",
    "normal_password",
    "pause_left",
    "place_digest",
    "refresh_digest",
    "session_of",
    "weakness",
]

# ── e-mails and passwords ────────────────────────────────────────────────────────────────────────────────────

SHORTEST = 8

#: What a marketplace's people think of first; the list of common ones is a library's.
OWN = frozenset({"marketplace", "changeme"})


def normal_email(email: str) -> str:
    """By which an e-mail is unique and found: two that differ by case, or by how a letter is composed, are one, with
    blanks around it or without."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", email.strip()).lower())


def email_digest(email: str) -> bytes:
    """By which failures are counted, whether an account has that e-mail or not."""
    return hashlib.sha256(normal_email(email).encode()).digest()


def place_digest(email: str, place: str) -> bytes:
    """By which failures are counted of those who try an e-mail from one place: an address, a device, an account."""
    return hashlib.sha256(f"{normal_email(email)}\0{place}".encode()).digest()


def normal_password(password: str) -> str:
    """As it is hashed: how its letters are composed depends on the keyboard, and is not seen."""
    return unicodedata.normalize("NFC", password)


def weakness(password: str, email: str, common: Container[str] = OWN) -> str | None:
    """What is wrong with a new password, as a sentence, or None. ``common`` ones are in small letters."""
    password = normal_password(password)
    if len(password) < SHORTEST:
        return f"A password has at least {SHORTEST} characters."
    if password.lower() in common or password.lower() in OWN:
        return "This is one of the commonest passwords; choose another."
    if normal_email(password) == normal_email(email):
        return "A password must not be the e-mail."
    return None


# ── pauses after failures ────────────────────────────────────────────────────────────────────────────────────

#: So many failures in a row cost nothing; after them one attempt is let through at a time.
FREE_FAILURES = 5
#: By an e-mail alone, whoever fails: who guesses from many addresses meets this.
FREE_BY_EMAIL = 100
LONGEST_DOUBLING = 6
LONGEST_PAUSE = 60


def pause(failures: int, free: int = FREE_FAILURES) -> int:
    """Seconds to wait after so many failures in a row, of which so many are free."""
    if failures < free:
        return 0
    return min(LONGEST_PAUSE, 1 << min(failures - free, LONGEST_DOUBLING))


def pause_left(failures: int, last_at: datetime, now: datetime, free: int = FREE_FAILURES) -> int:
    """Whole seconds until the next attempt is let through; 0: now."""
    left = (last_at + timedelta(seconds=pause(failures, free)) - now).total_seconds()
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


# ── devices ──────────────────────────────────────────────────────────────────────────────────────────────────

DEVICE_BYTES = 16


def device_token(key: bytes, email: str, device: str | None = None) -> str:
    """``<device>.<seal>``: says that this device has logged in by that e-mail. ``device``: one that is known already."""
    device = device or base64.urlsafe_b64encode(os.urandom(DEVICE_BYTES)).decode().rstrip("=")
    return f"{device}.{_device_seal(key, email, device)}"


def device_of(keys: Sequence[bytes], email: str, token: str) -> str | None:
    """The device that a token was made for, by one of the keys; None: it has not logged in by that e-mail."""
    device, _, seal = token.partition(".")
    ours = [hmac.compare_digest(seal.encode(), _device_seal(key, email, device).encode()) for key in keys]
    return device if any(ours) else None


def _device_seal(key: bytes, email: str, device: str) -> str:
    return base64.urlsafe_b64encode(hmac.digest(key, place_digest(email, device), "sha256")).decode().rstrip("=")
