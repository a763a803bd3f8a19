"""Errors that cross ports and reach clients. Each has a stable code; its HTTP status is looked up, not chosen.

A *refusal* (4xx) is an answer: it is stored under an idempotency key, ends a saga's step and is never retried.
:class:`Unavailable` means that the outcome is unknown or the work was not begun: ask again by the same key.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from msgspec import Struct

__all__ = [
    "CODES",
    "MOST_PROBLEMS",
    "BadCursor",
    "Conflict",
    "Forbidden",
    "Invalid",
    "MarketplaceError",
    "NotFound",
    "PreconditionFailed",
    "Problem",
    "Refused",
    "Unauthorized",
    "Unavailable",
    "error_from",
]

#: Codes that clients switch on, with their HTTP status. A plugin's own code is added by its capability module.
CODES: dict[str, int] = {
    "http.malformed": 400,
    "paging.bad_cursor": 400,
    "idempotency.key_required": 400,
    "http.bad_idempotency_key": 400,
    "auth.required": 401,
    "http.not_found": 404,
    "http.method_not_allowed": 405,
    "http.timeout": 408,
    "http.precondition_failed": 412,
    "http.too_large": 413,
    "http.unsupported_media_type": 415,
    "validation": 422,
    "idempotency_key_reused": 422,
    "idempotency.in_flight": 409,
    "http.rate_limited": 429,
    "http.internal": 500,
    "http.unavailable": 503,
}


#: So many bad fields are named in one error, whoever raises it; that there are ``more`` is all that is said of the others.
MOST_PROBLEMS = 50


def declare_codes(status: int, *codes: str) -> None:
    """Add a capability's codes; the same code with another status is a mistake of the programmer."""
    for code in codes:
        if CODES.setdefault(code, status) != status:
            raise ValueError(f"error code {code!r} is already declared with status {CODES[code]}")


class Problem(Struct, frozen=True):
    """One bad field: an RFC 6901 pointer (``?name`` for a query parameter), a stable code, a sentence."""

    pointer: str
    code: str
    detail: str


class MarketplaceError(Exception):
    """Base of every error that a client may see.

    :param code: a key of :data:`CODES`.
    :param detail: a sentence for a person; it never holds a secret.
    :param location: where the client looks instead, below the audience's prefix.
    :param errors: bad fields, of which the first :data:`MOST_PROBLEMS` are kept.
    :param more: there are others beside these.
    """

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        errors: Iterable[Problem] = (),
        retry_after: int | None = None,
        location: str | None = None,
        more: bool = False,
    ) -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail
        found = tuple(islice(errors, MOST_PROBLEMS + 1))
        self.errors = found[:MOST_PROBLEMS]
        self.more = more or len(found) > MOST_PROBLEMS
        self.retry_after = retry_after
        self.location = location

    @property
    def status(self) -> int:
        return CODES.get(self.code, 500)

    @property
    def is_refusal(self) -> bool:
        """Whether the service decided against the request, so that asking again would give the same answer."""
        return 400 <= self.status < 500 and self.status != 429 and self.code != "idempotency.in_flight"


class Refused(MarketplaceError):
    """The state does not allow the act (402, 409, 422 with a code of its own)."""


class Conflict(Refused):
    """409: somebody else was first, or the state does not allow it."""


class NotFound(MarketplaceError):
    """404, also for what belongs to another tenant."""

    def __init__(self, detail: str = "There is nothing here by that id.", code: str = "http.not_found") -> None:
        super().__init__(code, detail)


class Invalid(MarketplaceError):
    """422 with a pointer for every bad field."""

    def __init__(self, errors: Iterable[Problem], detail: str = "Some fields are not valid.", *, more: bool = False) -> None:
        super().__init__("validation", detail, errors=errors, more=more)


class Unauthorized(MarketplaceError):
    """401."""


class Forbidden(MarketplaceError):
    """403."""


class BadCursor(MarketplaceError):
    def __init__(self) -> None:
        super().__init__("paging.bad_cursor", "The cursor is broken or belongs to other filters; begin without one.")


class PreconditionFailed(MarketplaceError):
    def __init__(self) -> None:
        super().__init__("http.precondition_failed", "It was changed meanwhile; read it again and repeat.")


class Unavailable(MarketplaceError):
    """503: not begun or of unknown outcome. Ask again with the same key."""

    def __init__(self, detail: str = "Please come again.", retry_after: int = 1) -> None:
        super().__init__("http.unavailable", detail, retry_after=retry_after)


class Failure(Struct, frozen=True, omit_defaults=True):
    """An error as it is stored and sent between processes."""

    code: str
    detail: str = ""
    errors: tuple[Problem, ...] = ()
    retry_after: int | None = None
    location: str | None = None
    more: bool = False

    @staticmethod
    def of(error: MarketplaceError) -> Failure:
        return Failure(error.code, error.detail, error.errors, error.retry_after, error.location, error.more)


_BY_STATUS: dict[int, type[MarketplaceError]] = {401: Unauthorized, 403: Forbidden, 409: Conflict}


def error_from(failure: Failure) -> MarketplaceError:
    """The exception that :meth:`Failure.of` was made from, of the same class."""
    code = failure.code
    if code == "validation":
        return Invalid(failure.errors, failure.detail, more=failure.more)
    if code == "paging.bad_cursor":
        return BadCursor()
    if code == "http.precondition_failed":
        return PreconditionFailed()
    status = CODES.get(code, 500)
    if status == 404:
        return NotFound(failure.detail, code)
    if status == 503:
        return Unavailable(failure.detail, failure.retry_after or 1)
    kind = _BY_STATUS.get(status, Refused if status < 500 else MarketplaceError)
    return kind(
        code,
        failure.detail,
        errors=failure.errors,
        retry_after=failure.retry_after,
        location=failure.location,
        more=failure.more,
    )
