"""Use cases of auth. A command is one unit of work; what gateways know of an ended session goes before the answer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from msgspec.structs import replace

from marketplace_auth import views
from marketplace_auth.allow_list import AllowList
from marketplace_auth.api_keys import ApiKeyUseCases
from marketplace_auth.config import AuthConfig
from marketplace_auth.domain import (
    FREE_FAILURES,
    may_enter,
    new_refresh_token,
    normal_email,
    refresh_digest,
    session_of,
    weakness,
)
from marketplace_auth.logins import Logins, too_many
from marketplace_auth.passwords import Passwords
from marketplace_auth.store import AccountRecord, ApiKeyStore, AuthStore, SessionRecord
from marketplace_core import tokens
from marketplace_core.capabilities.auth import (
    Account,
    AccountDisabled,
    AccountQuery,
    Client,
    Credentials,
    ImportAccount,
    PasswordChanged,
    RefreshReused,
    Registration,
    Session,
    SessionState,
    SessionView,
    SignedIn,
)
from marketplace_core.capabilities.cart import Cart
from marketplace_core.capabilities.sellers import Sellers
from marketplace_core.errors import Forbidden, NotFound, Problem, Refused, Unauthorized, Unavailable
from marketplace_core.http.gate import key_entry, session_key
from marketplace_core.ports import UnitOfWork, Units, command, natural
from marketplace_core.values import Audience, Clock, Imported, Page, PageQuery, new_id

__all__ = ["AuthService"]

log = structlog.get_logger("marketplace.auth")

KEPT_AFTER_END = timedelta(weeks=1)
FAILURES_KEPT = timedelta(days=1)
PURGE_BATCH = 1000


class AuthService(ApiKeyUseCases):
    def __init__(
        self,
        units: Units,
        store: AuthStore,
        allowed: AllowList,
        passwords: Passwords,
        clock: Clock,
        config: AuthConfig,
        *,
        keys: ApiKeyStore,
        cart: Cart | None = None,
        sellers: Sellers | None = None,
        access_seed: bytes,
        refresh_keys: Sequence[bytes],
        device_keys: Sequence[bytes],
        api_key_key: bytes,
    ) -> None:
        """``cart`` and ``sellers``: None where the deployment has none. ``access_seed`` signs access tokens;
        by the first of ``refresh_keys`` refresh tokens are made, and by each of them known; ``device_keys`` likewise."""
        self.units = units
        self._store = store
        self._allowed = allowed
        self._passwords = passwords
        self._clock = clock
        self._life = timedelta(days=config.session_days)
        self._longest = timedelta(days=config.session_longest_days)
        self._logins = Logins(units, store, passwords, clock, device_keys)
        self._cart = cart
        self._sellers = sellers
        self._access_seed = access_seed
        self._refresh_keys = refresh_keys
        self._keys = keys
        self._api_key_key = api_key_key

    # ── coming in ────────────────────────────────────────────────────────────────────────────────────────────

    async def register(self, registration: Registration, client: Client) -> SignedIn:
        _check_role(client.audience, ())
        self._check_strength(registration.password, registration.email, "/password")
        signed_in = await self._register(registration, client, await self._passwords.hash(registration.password))
        await self._take_cart(signed_in, client)
        return replace(signed_in, device_token=self._logins.device_token(registration.email, client))

    @natural
    async def _register(self, uow: UnitOfWork, registration: Registration, client: Client, hashed: str) -> SignedIn:
        account = views.new_account(registration, hashed, uow.now)
        await self._store.add_account(uow, account, normal_email(account.email))
        record, session = self._new_session(uow, account.id, client)
        await self._store.add_session(uow, record)
        uow.emit(views.registered(account))
        return SignedIn(views.user(account), session)

    async def log_in(self, credentials: Credentials, client: Client) -> SignedIn:
        attempt = self._logins.attempt(credentials.email, client)
        account, seen = await self._logins.prove(attempt, credentials.password)
        outdated = self._passwords.outdated(account.password_hash)
        rehashed = await self._passwords.hash(credentials.password) if outdated else None
        signed_in = await self._open(account, attempt.place, seen, client, rehashed)
        log.info("login.done", account=account.id, audience=client.audience, failures=seen)
        await self._take_cart(signed_in, client)
        return replace(signed_in, device_token=self._logins.device_token(credentials.email, client))

    async def _take_cart(self, signed_in: SignedIn, client: Client) -> None:
        """After the commit: whoever has no session gets nobody's cart. A cart that is away keeps nobody out."""
        if self._cart is None or client.cart_token is None:
            return
        try:
            await self._cart.merge(client.cart_token, signed_in.user.id)
        except Unavailable as error:
            log.warning("a guest's cart was not merged", account=signed_in.user.id, error=error.detail)

    @natural
    async def _open(
        self, uow: UnitOfWork, account: AccountRecord, digest: bytes, seen: int, client: Client, rehashed: str | None
    ) -> SignedIn:
        barred = _barred(account, client.audience)
        record, session = self._new_session(uow, account.id, client)
        opening = self._store.open_session
        if barred or not await opening(uow, record, account.password_hash, digest, seen, FREE_FAILURES):
            count = await self._store.lock_failures(uow, digest)
            if count >= FREE_FAILURES and count != seen:
                raise too_many(1)
            raise barred or Unavailable("The account was changed meanwhile; please repeat.")
        if rehashed is not None:
            await self._store.change_password(uow, account.id, account.password_hash, rehashed)
        return SignedIn(views.user(account), session)

    async def refresh(self, refresh_token: str, client: Client) -> Session:
        session_id = session_of(self._refresh_keys, refresh_token)
        session = None if session_id is None else await self._rotate(session_id, refresh_digest(refresh_token), client)
        if session is None:
            raise Unauthorized("auth.token_invalid", "This refresh token is not good; log in again.")
        if isinstance(session, RefreshReused):
            raise Unauthorized("auth.refresh_reused", "This refresh token was used before, so the session has ended.")
        return session

    @natural
    async def _rotate(self, uow: UnitOfWork, session_id: str, digest: bytes, client: Client) -> Session | RefreshReused | None:
        """The row's lock lets one of several equal tokens be the first. None: there is nothing to refresh."""
        found = await self._store.lock_session(uow, session_id)
        if found is None:
            return None
        record = found.session
        if record.refresh_digest != digest:
            return await self._reused(uow, record)
        if record.ended_at is not None or found.disabled:
            return None
        if record.expires_at <= uow.now:
            raise Unauthorized("auth.token_expired", "This session has lasted too long, or was not used; log in again.")
        if record.audience != client.audience:
            raise Unauthorized("auth.wrong_audience", "This refresh token belongs to another gateway.")
        _check_role(record.audience, found.roles)
        session = self._tokens(uow, record.audience, record.account_id, session_id)
        until = min(uow.now + self._life, record.created_at + self._longest)
        await self._store.rotate(uow, session_id, refresh_digest(session.refresh_token), uow.now, until)
        return session

    async def _reused(self, uow: UnitOfWork, record: SessionRecord) -> RefreshReused:
        """Somebody has a copy, and we cannot know who of them is the owner: nobody stays in."""
        event = RefreshReused(account_id=record.account_id, session_id=record.id)
        if record.ended_at is None:
            await self._store.end_session(uow, record.id)
            uow.emit(event)
        self._drop(uow, [record.id])
        return event

    # ── going out ────────────────────────────────────────────────────────────────────────────────────────────

    @natural
    async def log_out(self, uow: UnitOfWork, session_id: str) -> None:
        await self._store.end_session(uow, session_id)
        self._drop(uow, [session_id])

    @natural
    async def end_session(self, uow: UnitOfWork, account_id: str, session_id: str) -> None:
        if not await self._store.end_session(uow, session_id, account_id):
            raise NotFound("This account has no such session.")
        self._drop(uow, [session_id])

    async def change_password(self, account_id: str, password: str, new_password: str) -> None:
        email = (await self._known(account_id)).email
        account, _ = await self._logins.prove(self._logins.of_account(email, account_id), password)
        self._check_strength(new_password, email, "/new_password")
        await self._change_password(account, await self._passwords.hash(new_password))

    @natural
    async def _change_password(self, uow: UnitOfWork, account: AccountRecord, hashed: str) -> None:
        if not await self._store.change_password(uow, account.id, account.password_hash, hashed):
            raise Unavailable("The account was changed meanwhile; please repeat.")
        self._drop(uow, await self._store.end_sessions(uow, account.id))
        uow.emit(PasswordChanged(account_id=account.id))

    @natural
    async def set_disabled(self, uow: UnitOfWork, account_id: str, disabled: bool, reason: str = "") -> None:
        changed = await self._store.set_disabled(uow, account_id, disabled)
        if changed is None:
            raise NotFound("There is no such account.")
        if changed:
            uow.emit(AccountDisabled(account_id=account_id, disabled=disabled, reason=reason))
        if disabled:
            self._drop(uow, await self._store.end_sessions(uow, account_id), await self._keys.keys_of(uow, account_id))

    # ── who is it ────────────────────────────────────────────────────────────────────────────────────────────

    @natural
    async def session_state(self, uow: UnitOfWork, session_id: str) -> SessionState | None:
        """The entry is written while the row is held: what ends the session comes later, and finds it."""
        state = await self._store.hold_live(uow, session_id)
        if state is not None:
            await self._allowed.keep(session_key(session_id), state)
        return state

    async def list_sessions(self, account_id: str, current: str, page: PageQuery) -> Page[SessionView]:
        rows = await self._store.list_sessions(account_id, self._clock.now(), page.size, page.position(datetime, str))
        found = page.page(rows, lambda row: row[1])
        return Page([views.session(record, current) for record, _ in found.items], found.next)

    async def get_accounts(self, ids: list[str]) -> list[Account]:
        return [views.account(record) for record in await self._store.get_accounts(ids)]

    async def list_accounts(self, query: AccountQuery) -> Page[Account]:
        email = None if query.email is None else normal_email(query.email)
        rows = await self._store.list_accounts(query, email, query.position(datetime, str))
        found = query.page(rows, lambda row: row[1])
        return Page([views.account(record) for record, _ in found.items], found.next)

    # ── for operators ────────────────────────────────────────────────────────────────────────────────────────

    async def ensure_account(self, registration: Registration, roles: tuple[str, ...]) -> Account:
        email = normal_email(registration.email)
        known = (await self._store.find_login(email, b"", b"")).account
        if known is not None:
            return await self._ensure_account(registration, roles, known.password_hash)
        self._check_strength(registration.password, registration.email, "/password")
        return await self._ensure_account(registration, roles, await self._passwords.hash(registration.password))

    @natural
    async def _ensure_account(
        self, uow: UnitOfWork, registration: Registration, roles: tuple[str, ...], hashed: str
    ) -> Account:
        wanted = views.new_account(registration, hashed, uow.now, tuple(sorted(set(roles))))
        account, made = await self._store.ensure_account(uow, wanted, normal_email(registration.email))
        if made:
            uow.emit(views.registered(account))
        return views.account(account)

    @command
    async def import_accounts(self, uow: UnitOfWork, accounts: list[ImportAccount]) -> list[Imported]:
        records = [views.imported_account(person, self._passwords.none) for person in accounts]
        made, known = await self._store.add_missing(uow, [(record, normal_email(record.email)) for record in records])
        for record in records:
            if record.id in made:
                uow.emit(views.registered(record), record.created_at)
        taken = Imported("rejected", "auth.email_taken", "The e-mail is another account's.")
        return [_imported(record.id, made, known) or taken for record in records]

    async def purge(self) -> None:
        """A schedule: deletes sessions that are over for a week, and forgets failures after a day."""
        while await self._purge_some():
            pass

    @natural
    async def _purge_some(self, uow: UnitOfWork) -> bool:
        over, failed = uow.now - KEPT_AFTER_END, uow.now - FAILURES_KEPT
        deleted = await self._store.purge(uow, over_before=over, failed_before=failed, limit=PURGE_BATCH)
        return deleted >= PURGE_BATCH

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _known(self, account_id: str) -> AccountRecord:
        found = await self._store.get_accounts([account_id])
        if not found:
            raise NotFound("There is no such account.")
        return found[0]

    def _drop(self, uow: UnitOfWork, session_ids: Sequence[str], key_digests: Sequence[str] = ()) -> None:
        entries = [*map(session_key, session_ids), *map(key_entry, key_digests)]
        uow.after_commit(lambda: self._allowed.end(entries))

    def _new_session(self, uow: UnitOfWork, account_id: str, client: Client) -> tuple[SessionRecord, Session]:
        session = self._tokens(uow, client.audience, account_id, session_id := new_id())
        record = SessionRecord(
            id=session_id,
            account_id=account_id,
            audience=client.audience,
            refresh_digest=refresh_digest(session.refresh_token),
            user_agent=client.user_agent,
            created_at=uow.now,
            last_used_at=uow.now,
            expires_at=uow.now + min(self._life, self._longest),
        )
        return record, session

    def _check_strength(self, password: str, email: str, pointer: str) -> None:
        if problem := weakness(password, email, self._passwords.common):
            raise Refused("auth.weak_password", problem, errors=[Problem(pointer, "unknown_value", problem)])

    def _tokens(self, uow: UnitOfWork, audience: Audience, account_id: str, session_id: str) -> Session:
        access = tokens.issue(self._access_seed, audience=audience, account_id=account_id, session_id=session_id, now=uow.now)
        return Session(access, new_refresh_token(self._refresh_keys[0], session_id))


def _imported(id_: str, made: set[str], known: set[str]) -> Imported | None:
    if id_ in made:
        return Imported("written")
    return Imported("unchanged") if id_ in known else None


def _check_role(audience: Audience, roles: Sequence[str]) -> None:
    if not may_enter(audience, roles):
        raise _no_role()


def _barred(account: AccountRecord, audience: Audience) -> Forbidden | None:
    if account.disabled:
        return Forbidden("auth.disabled", "This account is disabled.")
    return None if may_enter(audience, account.roles) else _no_role()


def _no_role() -> Forbidden:
    return Forbidden("auth.forbidden", "This account does not have the role for this.")
