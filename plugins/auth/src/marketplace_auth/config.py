"""Settings of ``[plugins.auth]``."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["AuthConfig"]


class AuthConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """``session_days``: how long a session lives from its last use; ``session_longest_days``: from its login, whatever it does.

    ``hash_time`` (passes), ``hash_memory`` (MiB) and ``hash_parallelism`` are argon2id's; a password that was hashed with
    others is hashed anew when its owner logs in. ``hash_threads`` hash at once in a process; where ``hash_waiting`` wait for
    them, the next is told to come again.
    """

    session_days: Annotated[int, Meta(ge=1, le=365)] = 30
    session_longest_days: Annotated[int, Meta(ge=1, le=3650)] = 365
    hash_time: Annotated[int, Meta(ge=1, le=16)] = 2
    hash_memory: Annotated[int, Meta(ge=1, le=1024)] = 19
    hash_parallelism: Annotated[int, Meta(ge=1, le=16)] = 1
    hash_threads: Annotated[int, Meta(ge=1, le=64)] = 2
    hash_waiting: Annotated[int, Meta(ge=1)] = 500
