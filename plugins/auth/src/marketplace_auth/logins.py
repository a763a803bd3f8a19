"""Whether somebody knows the password of an account, and how long one waits who did not.

Failures are counted by e-mail and address, so that who guesses holds up nobody but himself, and far more loosely by the
e-mail alone, against guesses from many addresses. A device that logged in before has a count of its own: it goes through
whatever others do.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import structlog
from msgspec import Struct

from marketplace_auth import domain
from marketplace_auth.domain import FREE_BY_EMAIL, FREE_FAILURES
from marketplace_auth.passwords import Passwords
from marketplace_auth.store import AccountRecord, AuthStore, Failures
from marketplace_core.capabilities.auth import Client
from marketplace_core.errors import Refused, Unauthorized
from marketplace_core.ports import UnitOfWork, Units, natural
from marketplace_core.values import Clock

__all__ = ["Attempt", "Logins", "too_many"]

log = structlog.get_logger("marketplace.auth")


class Attempt(Struct, frozen=True):
    """Whom a login is counted for. ``by_email`` is None from where failures are not the e-mail's: a known device."""

    email: str
    place: bytes
    by_email: bytes | None


class Logins:
    def __init__(
        self, units: Units, store: AuthStore, passwords: Passwords, clock: Clock, device_keys: Sequence[bytes]
    ) -> None:
        """By the first of ``device_keys`` tokens of devices are made, and by each of them known."""
        self.units = units
        self._store = store
        self._passwords = passwords
        self._clock = clock
        self._device_keys = device_keys

    def attempt(self, email: str, client: Client) -> Attempt:
        if (device := self._device(email, client)) is not None:
            return Attempt(email, domain.place_digest(email, f"device:{device}"), None)
        return Attempt(email, domain.place_digest(email, client.address), domain.email_digest(email))

    def of_account(self, email: str, account_id: str) -> Attempt:
        """Of somebody who is logged in."""
        return Attempt(email, domain.place_digest(email, f"account:{account_id}"), None)

    def device_token(self, email: str, client: Client) -> str:
        """For a device that has logged in: that which it has already, or a new one."""
        return domain.device_token(self._device_keys[0], email, self._device(email, client))

    def _device(self, email: str, client: Client) -> str | None:
        if client.device_token is None:
            return None
        return domain.device_of(self._device_keys, email, client.device_token)

    async def prove(self, attempt: Attempt, password: str) -> tuple[AccountRecord, int]:
        """The account whose password this is, and the failures before. Alike in text and time for an unknown e-mail.

        Many attempts at once do not get round the pause: whoever is done after the count has moved on learns nothing.

        :raises Refused: 429, it is too early. :raises Unauthorized: it is not.
        """
        by_email = attempt.by_email or b""
        found = await self._store.find_login(domain.normal_email(attempt.email), attempt.place, by_email)
        now = self._clock.now()
        left = max(_left(found.failures, FREE_FAILURES, now), _left(found.by_email, FREE_BY_EMAIL, now))
        account = None if found.account is None else found.account.id
        if left:
            log.warning("login.paused", account=account, seconds=left)
            raise too_many(left)
        seen = found.failures.count if found.failures is not None else 0
        known = found.account.password_hash if found.account else None
        if await self._passwords.verify(known, password) and found.account is not None:
            return found.account, seen
        await self._failed(attempt, seen)
        log.warning("login.failed", account=account, failures=seen + 1)
        raise Unauthorized("auth.bad_credentials", "E-mail and password do not belong together.")

    @natural
    async def _failed(self, uow: UnitOfWork, attempt: Attempt, seen: int) -> None:
        if not await self._store.count_failure(uow, attempt.place, seen, FREE_FAILURES, uow.now):
            raise too_many(1)
        if attempt.by_email is not None:
            await self._store.add_failure(uow, attempt.by_email, uow.now)


def _left(failures: Failures | None, free: int, now: datetime) -> int:
    return 0 if failures is None else domain.pause_left(failures.count, failures.last_at, now, free)


def too_many(seconds: int) -> Refused:
    return Refused("http.rate_limited", "Too many logins by this e-mail have failed; wait a while.", retry_after=seconds)
