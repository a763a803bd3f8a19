"""Standard Webhooks signatures, with the standard library."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

__all__ = ["BadSecret", "Signer"]

_PREFIX = "whsec_"


class BadSecret(ValueError):
    """Not ``whsec_`` followed by the base64 of 24 to 64 bytes."""


class Signer:
    """Signs with one secret."""

    def __init__(self, secret: str) -> None:
        try:
            self._key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            self._key = b""
        if not secret.startswith(_PREFIX) or not 24 <= len(self._key) <= 64:
            raise BadSecret("a webhook secret is whsec_ and the base64 of 24 to 64 bytes")

    def headers(self, message: str, timestamp: int, body: bytes) -> dict[str, str]:
        """The three headers of one attempt to deliver ``message``."""
        signed = b"%s.%d.%s" % (message.encode(), timestamp, body)
        digest = hmac.new(self._key, signed, hashlib.sha256).digest()
        return {
            "webhook-id": message,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": "v1," + base64.b64encode(digest).decode(),
        }
