"""Who is at the gate: from a request's headers to a caller, and whether the caller may pass."""

from __future__ import annotations

import functools
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import msgspec
from msgspec.structs import replace
from redis.asyncio import Redis

from marketplace_core import tokens
from marketplace_core.adapters.redis.reads import Lookups
from marketplace_core.capabilities.auth import KEY_PREFIX, ApiKeyState, SessionState, key_digest
from marketplace_core.errors import Forbidden, Unauthorized, declare_codes
from marketplace_core.http.routing import ANYBODY, Route
from marketplace_core.values import Audience, Caller, Clock

__all__ = ["Gate", "SessionGate", "admission", "check_scope", "key_entry", "session_key"]

declare_codes(403, "sellers.no_shop", "sellers.suspended")

T = TypeVar("T")

_API_KEY = re.compile(KEY_PREFIX + "[A-Za-z0-9_-]{43}").fullmatch

Shop = Callable[[str, bool], Awaitable[tuple[str, str] | None]]


class Sessions(Protocol):
    """The methods of :class:`~marketplace_core.capabilities.auth.Auth` that a gate calls."""

    async def session_state(self, session_id: str) -> SessionState | None: ...

    async def api_key_state(self, digest: str) -> ApiKeyState | None: ...


class Gate(ABC):
    """Knows callers. A gate sees only requests that bring an ``Authorization``."""

    def extra_keys(self, authorization: str) -> Sequence[str]:
        """Keys on the Redis of the encoded reads that :meth:`identify` wants to see: they come in the same round trip."""
        return ()

    @abstractmethod
    async def identify(self, audience: Audience, headers: Mapping[str, str], entries: Mapping[str, bytes | None]) -> Caller:
        """Who brings this ``authorization``. ``headers`` are by lower-case name; ``entries`` as far as they were read.

        :raises Unauthorized: it is not good, here or any more. :raises Unavailable: nobody can say.
        """

    async def confirm(self, audience: Audience, headers: Mapping[str, str]) -> Caller:
        """As :meth:`identify`, of somebody who was let in and stays: a token may have run out meanwhile, what it is of not."""
        return await self.identify(audience, headers, {})

    @abstractmethod
    async def shop(self, account_id: str, *, acts: bool = False) -> tuple[str, str] | None:
        """The seller that an account acts for and its role there, or None. ``acts``: what is closed to a suspended shop.

        :raises Forbidden: ``sellers.suspended`` where the seller may not do this.
        """

    async def check_seller(self, seller_id: str, *, acts: bool = False) -> None:
        """Of an API key. :raises Forbidden: ``sellers.suspended``, ``sellers.no_shop``: the seller may not do this."""
        raise Forbidden("sellers.no_shop", "There are no shops here.")


class SessionGate(Gate):
    """Access tokens of this deployment: the signature, the audience, then the allow-list, which auth writes. And API keys.

    An entry that is missing, or a Redis that is away, is no answer: then auth itself is asked.
    """

    def __init__(
        self,
        public_keys: Sequence[bytes],
        clock: Clock,
        redis: Redis | None,
        auth: Sessions,
        shop: Shop | None,
        *,
        seller: Callable[[str, bool], Awaitable[None]] | None = None,
        with_reads: bool = False,
    ) -> None:
        """``public_keys`` are those of what auth signs. ``shop`` and ``seller`` are as the methods :meth:`shop` and
        :meth:`check_seller`, ``acts`` included.

        ``with_reads``: the allow-list and the encoded reads are on one Redis.
        """
        self._read = functools.lru_cache(8192)(functools.partial(tokens.read, public_keys))
        self._clock = clock
        self._lookups = None if redis is None else Lookups(redis)
        self._auth = auth
        self._shop = shop
        self._seller = seller
        self._with_reads = with_reads
        self._session = msgspec.msgpack.Decoder(SessionState)
        self._key = msgspec.msgpack.Decoder(ApiKeyState)

    def extra_keys(self, authorization: str) -> Sequence[str]:
        if not self._with_reads:
            return ()
        try:
            token = _bearer(authorization)
            if token.startswith(KEY_PREFIX):
                return (key_entry(key_digest(token)),) if _API_KEY(token) else ()
            return (session_key(self._read(token).session_id),)
        except Unauthorized:
            return ()  # to be said by identify

    async def identify(self, audience: Audience, headers: Mapping[str, str], entries: Mapping[str, bytes | None]) -> Caller:
        token = _bearer(headers["authorization"])
        if token.startswith(KEY_PREFIX):
            return await self._identify_key(audience, token, entries)
        claims = self._read(token)
        tokens.check(claims, audience, self._clock.now())
        return await self._identify_session(audience, claims, entries)

    async def confirm(self, audience: Audience, headers: Mapping[str, str]) -> Caller:
        token = _bearer(headers["authorization"])
        if token.startswith(KEY_PREFIX):
            return await self._identify_key(audience, token, {})
        return await self._identify_session(audience, self._read(token), {})

    async def _identify_session(self, audience: Audience, claims: tokens.Claims, entries: Mapping[str, bytes | None]) -> Caller:
        state = await self._listed(session_key(claims.session_id), entries, self._session)
        if state is None:
            state = await self._auth.session_state(claims.session_id)
        if state is None or (state.session_id, state.account_id) != (claims.session_id, claims.account_id):
            raise Unauthorized("auth.token_invalid", "This session has ended; log in again.")
        return _caller(audience, state)

    async def _identify_key(self, audience: Audience, key: str, entries: Mapping[str, bytes | None]) -> Caller:
        state = None
        if _API_KEY(key):
            digest = key_digest(key)
            state = await self._listed(key_entry(digest), entries, self._key) or await self._auth.api_key_state(digest)
        if state is None:
            raise Unauthorized("auth.token_invalid", "This API key is not valid, or not any more.")
        if state.audience != audience:
            raise Unauthorized("auth.wrong_audience", "This API key belongs to another gateway.")
        return _caller_by_key(state)

    async def _listed(self, key: str, entries: Mapping[str, bytes | None], decoder: msgspec.msgpack.Decoder[T]) -> T | None:
        if key in entries:
            raw = entries[key]
        elif self._lookups is not None:
            found = await self._lookups.get((key,))
            raw = found[0] if found else None
        else:
            raw = None
        try:
            return None if raw is None else decoder.decode(raw)
        except msgspec.DecodeError:
            return None  # written by another release: the truth is elsewhere

    async def shop(self, account_id: str, *, acts: bool = False) -> tuple[str, str] | None:
        return None if self._shop is None else await self._shop(account_id, acts)

    async def check_seller(self, seller_id: str, *, acts: bool = False) -> None:
        if self._seller is None:
            await super().check_seller(seller_id)
        else:
            await self._seller(seller_id, acts)


def session_key(session_id: str) -> str:
    """Where the allow-list of sessions holds one: a MessagePack :class:`SessionState`."""
    return f"session:{session_id}"


def key_entry(digest: str) -> str:
    """Where the allow-list holds an API key: a MessagePack :class:`ApiKeyState`."""
    return f"apikey:{digest}"


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthorized("auth.token_invalid", "Expected an Authorization of the form 'Bearer …'.")
    return token.strip()


@functools.lru_cache(4096)
def _caller(audience: Audience, state: SessionState) -> Caller:
    carriers = [role.removeprefix("courier:") for role in state.roles if role.startswith("courier:")]
    return Caller(
        audience=audience,
        account_id=state.account_id,
        session_id=state.session_id,
        roles=state.roles,
        carrier=carriers[0] if carriers and audience == "logistics" else None,
    )


@functools.lru_cache(4096)
def _caller_by_key(state: ApiKeyState) -> Caller:
    return Caller(
        audience=state.audience,
        account_id=state.account_id,
        roles=state.roles,
        seller_id=state.seller_id,
        carrier=state.carrier,
        api_key=state.id,
        scopes=state.scopes,
    )


# ── access levels ────────────────────────────────────────────────────────────────────────────────────────────

Admission = Callable[[Gate, Caller], Awaitable[Caller]]

NOT_FOR_ROLE = "This account does not have the role for this."


def admission(route: Route) -> Admission | None:
    """What a caller goes through on a route; None where anybody passes."""
    if route.access in ANYBODY:
        return None
    if route.access == "shop":
        return functools.partial(_shop, acts=not route.while_suspended)
    if route.audience == "admin":
        return functools.partial(_role, roles=frozenset(route.roles))
    return _staff if route.access == "staff" else _account


def check_scope(scope: str | None, caller: Caller) -> None:
    """:raises Forbidden: the caller has an API key, and that is not for routes under ``scope``."""
    if scope is None:
        raise Forbidden("auth.forbidden", "Log in by e-mail and password for this; an API key will not do.")
    if scope not in caller.scopes:
        raise Forbidden("auth.forbidden", f"This API key does not have the scope {scope!r}.")


def _known(caller: Caller) -> str:
    if caller.account_id is None:
        raise Unauthorized("auth.required", "Log in first.")
    return caller.account_id


async def _account(_: Gate, caller: Caller) -> Caller:
    _known(caller)
    return caller


async def _shop(gate: Gate, caller: Caller, *, acts: bool) -> Caller:
    """The member's role in the shop is added as ``shop:<role>``. An API key is the shop's own, whoever made it."""
    if caller.seller_id is not None:
        await gate.check_seller(caller.seller_id, acts=acts)
        return caller
    shop = await gate.shop(_known(caller), acts=acts)
    if shop is None:
        raise Forbidden("sellers.no_shop", "This account has no shop; apply for one first.")
    seller_id, role = shop
    return replace(caller, seller_id=seller_id, roles=(*caller.roles, f"shop:{role}"))


async def _staff(_: Gate, caller: Caller) -> Caller:
    """Of a carrier: the other audiences have no staff but that of admin, whose routes name roles."""
    _known(caller)
    if caller.carrier is None:
        raise Forbidden("auth.forbidden", NOT_FOR_ROLE)
    return caller


async def _role(_: Gate, caller: Caller, *, roles: frozenset[str]) -> Caller:
    _known(caller)
    if roles.isdisjoint(caller.roles):
        raise Forbidden("auth.forbidden", NOT_FOR_ROLE)
    return caller
