"""Who may open a guest's cart, and which keys are secret enough to. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import uuid
from collections.abc import Sequence

__all__ = ["CartTokens", "born", "is_secret"]

_MAC_BYTES = 26  # with the 16 of an id they make 56 characters of base64, to the bit
_TOKEN = re.compile(r"[A-Za-z0-9_-]{56}").fullmatch
_SECRET_LENGTH = 16


class CartTokens:
    """A guest's token is its cart's id, sealed: nobody else can make one, and no store has to keep it."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """The first makes tokens; each knows its own."""
        self._keys = keys

    def issue(self, cart_id: str) -> str:
        raw = uuid.UUID(cart_id).bytes
        return base64.urlsafe_b64encode(raw + self._mac(raw, self._keys[0])).decode()

    def read(self, token: str) -> str | None:
        """The cart's id, or None for what this deployment has not issued."""
        if not _TOKEN(token):
            return None
        sealed = base64.urlsafe_b64decode(token)
        raw, mac = sealed[:16], sealed[16:]
        ours = [hmac.compare_digest(mac, self._mac(raw, key)) for key in self._keys]
        return str(uuid.UUID(bytes=raw)) if any(ours) else None

    def _mac(self, raw: bytes, key: bytes) -> bytes:
        return hashlib.blake2b(raw, key=key, digest_size=_MAC_BYTES).digest()


def born(cart_id: str) -> float:
    """When a guest's cart got its id, which is a UUIDv7: seconds since 1970."""
    return (uuid.UUID(cart_id).int >> 80) / 1000


def is_secret(key: str) -> bool:
    """Whether an idempotency key can be nobody else's by chance.

    A guest without a token has no scope of its own, and the answer to a repeat holds the token of a cart.
    """
    return len(key) >= _SECRET_LENGTH
