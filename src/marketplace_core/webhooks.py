"""Standard Webhooks (https://www.standardwebhooks.com): signing what leaves and checking what comes in."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from msgspec import Struct

from marketplace_core.errors import Unauthorized, declare_codes

__all__ = [
    "TOLERANCE_SECONDS",
    "RawWebhook",
    "WebhookAnswer",
    "WebhookStatus",
    "derived_secret",
    "raw_webhook",
    "secret_key",
    "sign",
    "verify",
]

TOLERANCE_SECONDS = 300

declare_codes(401, "webhooks.bad_signature", "webhooks.stale")

#: Headers that say who calls, which no signature needs and no plugin that speaks to a service outside is to see.
_PRIVATE = frozenset({"authorization", "cookie", "idempotency-key"})

_SECONDS = re.compile(r"[0-9]{1,12}").fullmatch

WebhookStatus = Literal["accepted", "duplicate", "ignored"]


class WebhookAnswer(Struct, frozen=True):
    status: WebhookStatus


class RawWebhook(Struct, frozen=True):
    """A webhook as it came: its body and the headers that a signature needs, by lower-case name."""

    source: str
    headers: dict[str, str]
    body: bytes


def raw_webhook(source: str, headers: Mapping[str, str], body: bytes) -> RawWebhook:
    """What a route hands to its port of a request; ``headers`` are by lower-case name."""
    return RawWebhook(source, {name: value for name, value in headers.items() if name not in _PRIVATE}, body)


def secret_key(secret: str) -> bytes:
    """The key of ``whsec_`` + base64 of 24 to 64 bytes. :raises ValueError: it is not of that form."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise ValueError("a webhook secret is whsec_ and base64") from error
    if not secret.startswith("whsec_") or not 24 <= len(key) <= 64:
        raise ValueError("a webhook secret is whsec_ and base64 of 24 to 64 bytes")
    return key


def derived_secret(key: bytes, endpoint_id: str, generation: int) -> str:
    """The secret of an endpoint that we send to, ``whsec_`` and base64 of 32 bytes: made of ``key`` and kept nowhere."""
    made = hmac.new(key, f"{endpoint_id}.{generation}".encode(), hashlib.sha256).digest()
    return f"whsec_{base64.b64encode(made).decode()}"


def sign(key: bytes, id_: str, timestamp: int, body: bytes) -> str:
    """``v1,`` and base64 of HMAC-SHA256 over ``{id}.{timestamp}.{body}``."""
    digest = hmac.new(key, f"{id_}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def verify(keys: Sequence[bytes], headers: Mapping[str, str], body: bytes, now: datetime) -> str:
    """The webhook's id, when one of the active ``keys`` signed it and it is not older than the tolerance.

    ``headers`` are by lower-case name. :raises Unauthorized: ``webhooks.bad_signature``, ``webhooks.stale``.
    """
    id_, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    given = headers.get("webhook-signature", "").split(" ")
    if not id_ or not _SECONDS(stamp):
        raise Unauthorized("webhooks.bad_signature", "The signature's headers are missing or malformed.")
    expected = [sign(key, id_, int(stamp), body).encode() for key in keys]
    if not any(hmac.compare_digest(one, other.encode()) for one in expected for other in given):
        raise Unauthorized("webhooks.bad_signature", "No active secret made this signature.")
    if abs(now.timestamp() - int(stamp)) > TOLERANCE_SECONDS:
        raise Unauthorized("webhooks.stale", f"It was signed more than {TOLERANCE_SECONDS} s away from now.")
    return id_
