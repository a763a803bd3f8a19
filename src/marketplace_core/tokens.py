"""Access tokens: JWTs (RFC 7519) signed by Ed25519 (RFC 8037), opaque to clients. Auth alone has the seed that signs; whoever
checks a token has the public key. ``kid`` tells which, where two are active."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from datetime import datetime

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import Struct, field

from marketplace_core.errors import Unauthorized, declare_codes
from marketplace_core.values import Audience

__all__ = ["Claims", "check", "issue", "public_key", "read", "verify"]

declare_codes(401, "auth.token_invalid", "auth.token_expired", "auth.wrong_audience")

ALGORITHM = "EdDSA"

#: The deployment's clock may be moved, so the library's own is never asked; the shapes are :class:`Claims`' matter.
_OPTIONS = {
    "verify_signature": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


class Claims(Struct, frozen=True):
    """Who a token is for. Times are Unix seconds of the deployment's clock."""

    audience: str = field(name="aud")
    account_id: str = field(name="sub")
    session_id: str = field(name="sid")
    issued_at: int = field(name="iat")
    expires_at: int = field(name="exp")


def public_key(seed: bytes) -> bytes:
    """The 32 bytes by which everybody knows what ``seed``, 32 bytes too, signs."""
    return _signer(seed)[1]


@functools.lru_cache(8)
def _signer(seed: bytes) -> tuple[Ed25519PrivateKey, bytes]:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    return private, private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


@functools.lru_cache(8)
def _known(public_keys: tuple[bytes, ...]) -> dict[str, Ed25519PublicKey]:
    return {_name(key): Ed25519PublicKey.from_public_bytes(key) for key in public_keys}


def _name(public: bytes) -> str:
    """``kid``: which key it was."""
    return hashlib.sha256(public).hexdigest()[:16]


def issue(seed: bytes, *, audience: Audience, account_id: str, session_id: str, now: datetime, seconds: int = 600) -> str:
    """A token that is good for ``seconds`` from ``now``, signed by what ``seed`` makes."""
    at = int(now.timestamp())
    claims = Claims(audience, account_id, session_id, at, at + seconds)
    private, public = _signer(seed)
    return jwt.encode(msgspec.to_builtins(claims), private, algorithm=ALGORITHM, headers={"kid": _name(public)})


def read(public_keys: Sequence[bytes], token: str) -> Claims:
    """The claims of a token of ours; whether it is good here and now is said by :func:`check`.

    :raises Unauthorized: ``auth.token_invalid``: it is no token, or nobody of this deployment signed it.
    """
    try:
        key = _known(tuple(public_keys))[jwt.get_unverified_header(token)["kid"]]
        return msgspec.convert(jwt.decode(token, key, algorithms=[ALGORITHM], options=_OPTIONS), Claims)  # type: ignore[arg-type]
    except (jwt.PyJWTError, msgspec.ValidationError, ValueError, LookupError, TypeError):
        raise Unauthorized("auth.token_invalid", "This access token is not valid; log in again.") from None


def check(claims: Claims, audience: Audience, now: datetime) -> None:
    """:raises Unauthorized: ``auth.wrong_audience``, then ``auth.token_expired``."""
    if claims.audience != audience:
        raise Unauthorized("auth.wrong_audience", "This access token belongs to another gateway.")
    if now.timestamp() >= claims.expires_at:
        raise Unauthorized("auth.token_expired", "This access token has expired; refresh it.")


def verify(public_keys: Sequence[bytes], token: str, audience: Audience, now: datetime) -> Claims:
    """Signature, audience and expiry, in this order.

    :raises Unauthorized: ``auth.token_invalid``, ``auth.wrong_audience``, ``auth.token_expired``.
    """
    claims = read(public_keys, token)
    check(claims, audience, now)
    return claims
