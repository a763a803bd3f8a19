"""Hashing of passwords, away from the event loop."""

from __future__ import annotations

import base64
import functools
import os
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import VerifyMismatchError

from marketplace_auth.config import AuthConfig
from marketplace_auth.domain import normal_password
from marketplace_core.errors import Unavailable
from marketplace_core.ports import Pool, PoolFull

__all__ = ["Passwords"]

P = ParamSpec("P")
T = TypeVar("T")


class Passwords:
    """argon2id in a pool of a few threads. It takes tens of milliseconds and megabytes, which is what it is for."""

    def __init__(self, config: AuthConfig, pool: Pool) -> None:
        self._hasher = PasswordHasher(
            time_cost=config.hash_time,
            memory_cost=config.hash_memory * 1024,
            parallelism=config.hash_parallelism,
            type=Type.ID,
        )
        self._nobodys = _nobodys_hash(self._hasher)
        self._pool = pool

    @property
    def common(self) -> frozenset[str]:
        """Those that are tried first, in small letters."""
        return _common()

    async def hash(self, password: str) -> str:
        return await self._run(self._hasher.hash, normal_password(password))

    @property
    def none(self) -> str:
        """What an account without a password has instead: as slow as any to try, and of no password."""
        return self._nobodys

    async def verify(self, hashed: str | None, password: str) -> bool:
        """Whether ``hashed`` is of ``password``. None, for an account that does not exist, costs the same and is never."""
        return await self._run(self._verify, hashed or self._nobodys, password)

    def _verify(self, hashed: str, password: str) -> bool:
        """0.1.0 hashed what came, so that is tried where it is another."""
        return any(self._is_of(hashed, each) for each in dict.fromkeys((normal_password(password), password)))

    def _is_of(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except VerifyMismatchError:
            return False

    def outdated(self, hashed: str) -> bool:
        """Whether it was made with other settings than today's."""
        return self._hasher.check_needs_rehash(hashed)

    async def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await self._pool.run(work, *args, **kwargs)
        except PoolFull as error:
            raise Unavailable("Too many log in at once; please come again.") from error


@functools.cache
def _common() -> frozenset[str]:
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # noqa: PLC0415 - 13 MB, for who takes passwords

    return frozenset(FREQUENCY_LISTS["passwords"])


def _nobodys_hash(hasher: PasswordHasher) -> str:
    """A hash with the same settings, of no password."""
    salt, tag = (base64.b64encode(os.urandom(size)).rstrip(b"=").decode() for size in (hasher.salt_len, hasher.hash_len))
    return f"$argon2id$v=19$m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}${salt}${tag}"
