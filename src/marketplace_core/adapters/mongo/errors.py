"""What MongoDB's errors mean: what a repeat mends, what a caller is to be told, and what is a mistake of ours."""

from __future__ import annotations

from typing import Any

from bson.errors import BSONError, InvalidDocument
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DocumentTooLarge,
    DuplicateKeyError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WTimeoutError,
)

from marketplace_core.errors import Invalid, Problem, Unavailable

__all__ = ["DRIVER_ERRORS", "SILENT", "Again", "Met", "UniqueViolation", "is_unknown", "translated"]

#: All that the driver raises; numbers beyond 64 bits and lone surrogates are found by the encoder.
DRIVER_ERRORS = (PyMongoError, BSONError, OverflowError, UnicodeError)

SILENT = "The database does not answer."
_DUPLICATE, _CONFLICT = 11000, 112
#: The server is busy, is going down, is no primary any more, was told to end it, has no room: see MongoDB's error codes.
_PASSING = {24, 43, 50, 64, 89, 91, 133, 134, 189, 202, 217, 237, 262, 10107, 11600, 11602, 13435, 13436, 14031}
_TOO_LARGE = {10334, 17280, 17419, 17420}


class UniqueViolation(Exception):
    """A unique index refused a document; ``index`` is its name. In a unit it is the unit's end: look before you insert."""

    def __init__(self, index: str) -> None:
        super().__init__(index)
        self.index = index


class Again(Unavailable):
    """Nothing of the transaction has happened, and it may be run again as it is."""


class Met(Again):
    """It wrote what another one was writing, or has written since it began to read."""

    def __init__(self) -> None:
        super().__init__("The work met another one; please repeat it.")


def is_unknown(error: Exception) -> bool:
    """Whether a transaction may have been committed, or not: it must not be run again, but its commit may."""
    return isinstance(error, PyMongoError) and error.has_error_label("UnknownTransactionCommitResult")


def translated(error: Exception) -> Exception:
    """What ``error`` means, to be raised. It does not tell what is in a document, as the server's own texts do."""
    meant = _meant(error)
    if meant is not error:
        meant.__cause__ = type(error)(f"code {error.code}") if type(error) is OperationFailure else None
    meant.__suppress_context__ = True
    return meant


def _meant(error: Exception) -> Exception:
    code, text = _code_of(error)
    if code == _DUPLICATE:
        return UniqueViolation(text.split(" index: ", 1)[-1].split(" ", 1)[0])
    if code == _CONFLICT:
        return Met()
    if code in _TOO_LARGE or not isinstance(error, PyMongoError) or isinstance(error, DocumentTooLarge | InvalidDocument):
        return Invalid([Problem("", "format", "It holds what cannot be kept: a number or a text that is too large.")])
    if error.has_error_label("TransientTransactionError") and not is_unknown(error):
        return Again(SILENT)
    away = isinstance(error, ConnectionFailure | ExecutionTimeout | WTimeoutError) or code in _PASSING
    return Unavailable(SILENT) if away or is_unknown(error) or error.has_error_label("RetryableWriteError") else error


def _code_of(error: Exception) -> tuple[int | None, str]:
    if isinstance(error, BulkWriteError):
        first: dict[str, Any] = next(iter(error.details["writeErrors"] or error.details["writeConcernErrors"]), {})
        return first.get("code"), str(first.get("errmsg", ""))
    if isinstance(error, DuplicateKeyError):
        return _DUPLICATE, str(error)
    return (error.code if isinstance(error, OperationFailure) else None), str(error)
