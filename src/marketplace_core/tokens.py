"""Access tokens: JWTs (RFC 7519) signed by HS256 with a key of the deployment, opaque to clients."""

from __future__ import annotations

from datetime import datetime

import jwt
import msgspec
from msgspec import Struct, field

from marketplace_core.errors import Unauthorized, declare_codes
from marketplace_core.values import Audience

__all__ = ["Claims", "check", "issue", "read", "verify"]

declare_codes(401, "auth.token_invalid", "auth.token_expired", "auth.wrong_audience")

ALGORITHM = "HS256"

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


def issue(key: bytes, *, audience: Audience, account_id: str, session_id: str, now: datetime, seconds: int = 600) -> str:
    """A token that is good for ``seconds`` from ``now``."""
    at = int(now.timestamp())
    claims = Claims(audience, account_id, session_id, at, at + seconds)
    return jwt.encode(msgspec.to_builtins(claims), key, algorithm=ALGORITHM)


def read(key: bytes, token: str) -> Claims:
    """The claims of a token of ours; whether it is good here and now is said by :func:`check`.

    :raises Unauthorized: ``auth.token_invalid``: it is no token, or nobody of this deployment signed it.
    """
    try:
        return msgspec.convert(jwt.decode(token, key, algorithms=[ALGORITHM], options=_OPTIONS), Claims)  # type: ignore[arg-type]
    except (jwt.PyJWTError, msgspec.ValidationError, ValueError):
        raise Unauthorized("auth.token_invalid", "This access token is not valid; log in again.") from None


def check(claims: Claims, audience: Audience, now: datetime) -> None:
    """:raises Unauthorized: ``auth.wrong_audience``, then ``auth.token_expired``."""
    if claims.audience != audience:
        raise Unauthorized("auth.wrong_audience", "This access token belongs to another gateway.")
    if now.timestamp() >= claims.expires_at:
        raise Unauthorized("auth.token_expired", "This access token has expired; refresh it.")


def verify(key: bytes, token: str, audience: Audience, now: datetime) -> Claims:
    """Signature, audience and expiry, in this order.

    :raises Unauthorized: ``auth.token_invalid``, ``auth.wrong_audience``, ``auth.token_expired``.
    """
    claims = read(key, token)
    check(claims, audience, now)
    return claims
