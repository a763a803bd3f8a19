"""What the saga engine's library writes into its tables: JSON, and nothing that runs when it is read."""

from __future__ import annotations

import base64
import functools
import importlib
import io
import pickle
from typing import Any

import msgspec

__all__ = ["plain", "read_plainly", "serializer"]


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} is no plain value")


def plain(serialization: str | None, text: str | None) -> Any:
    """What is in a row: JSON as we write it, or what release 0.1.0 pickled, of which only plain values are taken.

    The library reads each row by the decoder that the row names, and the one that it has by default runs what is in it.
    """
    if text is None:
        return None
    if serialization == "py_pickle":
        return _PlainUnpickler(io.BytesIO(base64.b64decode(text))).load()
    return msgspec.json.decode(text)


def read_plainly() -> None:
    default: Any = importlib.import_module("dbos._serialization").DefaultSerializer
    default.deserialize = lambda _, text: plain("py_pickle", text)


@functools.cache
def serializer() -> Any:
    """What the engine writes by: JSON. An exception is written as its words, and read as :class:`RuntimeError`."""
    from dbos import Serializer  # noqa: PLC0415

    class Json(Serializer):
        def serialize(self, data: Any) -> str:
            return msgspec.json.encode(data, enc_hook=_in_words).decode()

        def deserialize(self, serialized_data: str) -> Any:
            found = plain(None, serialized_data)
            return RuntimeError(found[_ERROR]) if isinstance(found, dict) and found.keys() == {_ERROR} else found

        def name(self) -> str:
            return "json"

    return Json()


_ERROR = "$error"


def _in_words(value: Any) -> Any:
    if isinstance(value, BaseException):
        return {_ERROR: f"{type(value).__name__}: {value}"}
    raise TypeError(f"{type(value).__name__} is no plain value")
