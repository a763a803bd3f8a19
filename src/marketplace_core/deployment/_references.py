"""Values that stand elsewhere: ``env:NAME`` is an environment variable, ``file:PATH`` the content of a file."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

__all__ = ["MissingReference", "is_reference", "masked", "resolve", "resolved"]

_PASSWORD = re.compile(r"(?<=://)([^/@:]*):[^/@]*@")


class MissingReference(LookupError):
    """What a reference names is not there: why, and what to do."""

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(f"{cause}; {remedy}")
        self.cause, self.remedy = cause, remedy


def is_reference(value: object) -> bool:
    """``file:///…`` counts too; where a URL is meant, ask :func:`is_url_reference`."""
    return isinstance(value, str) and value.startswith(("env:", "file:"))


def is_url_reference(value: str) -> bool:
    """Likewise for the address of a resource, where ``file:///…`` is a folder."""
    return is_reference(value) and not value.startswith("file:///")


def resolve(value: str, folder: Path) -> str:
    """What a reference names, without surrounding white space; any other value as it is.

    A relative path starts from ``folder``, that of the deployment file. :raises MissingReference: it is not there.
    """
    if value.startswith("env:"):
        name = value.removeprefix("env:")
        found = os.environ.get(name, "")
        if not found:
            raise MissingReference(f"the environment variable {name} is not set", f"export {name}")
        return found
    if value.startswith("file:"):
        path = folder / value.removeprefix("file:")
        try:
            found = path.read_text().strip()
        except OSError as error:
            raise MissingReference(
                f"the file {path} cannot be read ({error.strerror})", "create it, or name another one"
            ) from None
        except UnicodeDecodeError:
            raise MissingReference(f"the file {path} is not text", "write the value into it as UTF-8") from None
        if not found:
            raise MissingReference(f"the file {path} is empty", "write the value into it")
        return found
    return value


def resolved(value: Any, folder: Path) -> Any:
    """A TOML value with the references in it resolved; one that is not there stays as it is."""
    if isinstance(value, dict):
        return {name: resolved(item, folder) for name, item in value.items()}
    if isinstance(value, list):
        return [resolved(item, folder) for item in value]
    with contextlib.suppress(MissingReference):
        return resolve(value, folder) if isinstance(value, str) else value
    return value


def references(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """``(key, reference)`` for each in a TOML value."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from references(item, f"{key}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from references(item, f"{key}[{index}]")
    elif is_reference(value):
        yield key, value


def masked(url: str) -> str:
    """A URL that may be printed: without its password."""
    if is_reference(url) or not urlsplit(url).scheme:
        return url
    return _PASSWORD.sub(r"\1:***@", url)
