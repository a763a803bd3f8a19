"""What a data folder keeps of the demo: its accounts, and that it was loaded."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

__all__ = ["Account", "accounts_file", "kept_accounts", "loaded_file"]


class Account(Struct, frozen=True):
    email: str
    password: str


def accounts_file(data: Path) -> Path:
    return data / "demo" / "accounts.json"


def loaded_file(data: Path) -> Path:
    return data / "demo" / "loaded"


def kept_accounts(data: Path) -> dict[str, Account] | None:
    """The accounts by audience, where the whole demo was loaded before: then nobody has to be started to load it."""
    if not loaded_file(data).exists():
        return None
    return msgspec.json.decode(accounts_file(data).read_bytes(), type=dict[str, Account])
