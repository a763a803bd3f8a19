"""Hashing."""

from __future__ import annotations

import asyncio

import pytest
from argon2 import extract_parameters
from argon2.low_level import Type
from marketplace_auth.config import AuthConfig
from marketplace_auth.passwords import Passwords

from marketplace_core._runtime.pools import ThreadPool
from marketplace_core.errors import Unavailable


def passwords_of(config: AuthConfig) -> Passwords:
    return Passwords(config, ThreadPool("hash", config.hash_threads, config.hash_waiting))


@pytest.mark.behaviour("auth-1")
async def test_argon2id_with_the_settings() -> None:
    passwords = passwords_of(AuthConfig())
    found = extract_parameters(await passwords.hash("a fine password"))
    assert (found.type, found.time_cost, found.memory_cost, found.parallelism) == (Type.ID, 2, 19 * 1024, 1)


@pytest.mark.behaviour("auth-1")
async def test_nobodys_hash_costs_what_anybodys_does() -> None:
    passwords = passwords_of(AuthConfig())
    real = await passwords.hash("a fine password")
    assert extract_parameters(passwords._nobodys) == extract_parameters(real)
    assert await passwords.verify(real, "a fine password")
    assert not await passwords.verify(real, "another password")
    assert not await passwords.verify(None, "a fine password")


async def test_other_settings_are_noticed() -> None:
    old = await passwords_of(AuthConfig(hash_time=1, hash_memory=1)).hash("a fine password")
    assert passwords_of(AuthConfig(hash_time=1, hash_memory=2)).outdated(old)
    assert not passwords_of(AuthConfig(hash_time=1, hash_memory=1)).outdated(old)


async def test_too_many_at_once_are_told_to_come_again() -> None:
    passwords = passwords_of(AuthConfig(hash_time=1, hash_memory=1, hash_threads=1, hash_waiting=2))
    answers = await asyncio.gather(*(passwords.hash("a fine password") for _ in range(5)), return_exceptions=True)
    assert [isinstance(answer, Unavailable) for answer in answers] == [False] * 3 + [True] * 2
    assert await passwords.verify(answers[0] if isinstance(answers[0], str) else None, "a fine password")
