"""What every provider of :class:`~marketplace_core.capabilities.auth.Auth` must do, on its port alone."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from marketplace_core.capabilities.auth import AccountQuery, Auth, ImportAccount, Registration, SessionState
from marketplace_core.errors import BadCursor, Conflict, Forbidden, MarketplaceError, Refused, Unauthorized
from marketplace_core.testing.contracts import paged, refused
from marketplace_core.testing.contracts.auth_keys import KeyRules
from marketplace_core.testing.contracts.auth_sessions import (
    OTHER,
    PASSWORD,
    SessionRules,
    account_of,
    email_of,
    is_in,
    log_in,
    opened,
    register,
    registered,
)
from marketplace_core.values import Audience, Imported, new_id

__all__ = ["AuthContract"]


class AuthContract(SessionRules, KeyRules):
    """Fixture: ``auth``, the port of a provider to which no test has come so often that it slows people down by address."""

    # ── coming in ────────────────────────────────────────────────────────────────────────────────────────────

    async def test_a_registered_person_is_in(self, auth: Auth) -> None:
        email = email_of("Ada")
        signed, session_id = await registered(auth, email)
        assert (signed.user.email, signed.user.name) == (email, "Ada")
        assert signed.session.access_token and signed.session.refresh_token and signed.session.expires_in > 0
        assert await auth.session_state(session_id) == SessionState(signed.user.id, session_id, ())
        account = await account_of(auth, signed.user.id)
        assert (account.email, account.name, account.roles, account.disabled) == (email, "Ada", (), False)
        assert not account.email_verified
        again, another_id = await opened(auth, signed.user.id, log_in(auth, email.upper()))
        assert again.user == signed.user
        assert await is_in(auth, session_id) and await is_in(auth, another_id)

    async def test_an_email_is_registered_once(self, auth: Auth) -> None:
        email = email_of()
        spellings = [email, email.upper(), email.title(), email]
        answers = await asyncio.gather(*(register(auth, each) for each in spellings), return_exceptions=True)
        codes = [answer.code for answer in answers if isinstance(answer, Conflict)]
        assert codes == ["auth.email_taken"] * 3
        assert len((await auth.list_accounts(AccountQuery(email=email))).items) == 1
        taken = await refused("auth.email_taken", register(auth, email, OTHER))
        assert isinstance(taken, Conflict)
        await refused("auth.bad_credentials", log_in(auth, email, OTHER))

    async def test_a_weak_password_is_refused(self, auth: Auth) -> None:
        email = email_of()
        for weak in ("short", "password", email):
            error = await refused("auth.weak_password", register(auth, email, weak))
            assert isinstance(error, Refused)
            assert [problem.pointer for problem in error.errors] == ["/password"]
        await register(auth, email)

    @pytest.mark.behaviour("auth-1")
    async def test_an_unknown_email_is_answered_like_a_wrong_password(self, auth: Auth) -> None:
        email = email_of()
        await register(auth, email)
        wrong = await refused("auth.bad_credentials", log_in(auth, email, OTHER))
        unknown = await refused("auth.bad_credentials", log_in(auth, email_of()))
        assert isinstance(wrong, Unauthorized)
        for name in ("__class__", "code", "detail", "errors", "retry_after"):
            assert getattr(wrong, name) == getattr(unknown, name)

    @pytest.mark.behaviour("auth-1")
    async def test_failures_in_a_row_make_one_wait(self, auth: Auth) -> None:
        """Whoever is made to wait learns nothing from the right password either, nor whether there is an account."""
        known, unknown = email_of(), email_of()
        await register(auth, known)
        seen = []
        for email in (known, unknown):
            for attempt in range(1, 21):  # noqa: B007 - it is looked at afterwards
                with pytest.raises(MarketplaceError) as error:
                    await log_in(auth, email, OTHER)
                if error.value.code != "auth.bad_credentials":
                    break
            seen.append((attempt, error.value.code))
            assert error.value.retry_after is not None and error.value.retry_after > 0
        assert seen[0] == seen[1]
        assert seen[0][1] == "http.rate_limited"
        await refused("http.rate_limited", log_in(auth, known))

    async def test_closed_audiences_need_a_role(self, auth: Auth) -> None:
        email = email_of()
        closed: tuple[Audience, ...] = ("logistics", "admin")
        for audience in closed:
            await refused("auth.forbidden", register(auth, email, audience=audience))
        await register(auth, email, audience="seller")
        for audience in closed:
            assert isinstance(await refused("auth.forbidden", log_in(auth, email, audience=audience)), Forbidden)
            # Only its owner is told what an account may do.
            await refused("auth.bad_credentials", log_in(auth, email, OTHER, audience))
        for role, open_now in (("courier:c1", ["logistics"]), ("admin", ["logistics", "admin"])):
            account = await auth.ensure_account(Registration(email, OTHER, "Other"), (role,))
            for audience in closed:
                if audience not in open_now:
                    await refused("auth.forbidden", log_in(auth, email, audience=audience))
                    continue
                signed, session_id = await opened(auth, account.id, log_in(auth, email, audience=audience))
                assert signed.user.id == account.id
                state = await auth.session_state(session_id)
                assert state is not None and sorted(state.roles) == sorted(account.roles)

    # ── for operators ────────────────────────────────────────────────────────────────────────────────────────

    async def test_an_operators_account_is_made_once_and_gains_roles(self, auth: Auth) -> None:
        email = email_of("Root")
        made = await auth.ensure_account(Registration(email, PASSWORD, "Root"), ("moderator",))
        again = await auth.ensure_account(Registration(email.upper(), OTHER, "Other"), ("admin", "moderator"))
        assert (made.email, made.name, made.roles) == (email, "Root", ("moderator",))
        assert (again.id, again.email, again.name, sorted(again.roles)) == (made.id, email, "Root", ["admin", "moderator"])
        assert await account_of(auth, made.id) == again
        await log_in(auth, email, audience="admin")
        await refused("auth.bad_credentials", log_in(auth, email, OTHER, "admin"))
        await refused("auth.weak_password", auth.ensure_account(Registration(email_of(), "short", "New"), ()))

    async def test_operators_find_accounts(self, auth: Auth) -> None:
        emails = [email_of(name) for name in ("ada", "bob", "eve", "joe", "kim")]
        ids = [(await register(auth, email)).user.id for email in emails]
        assert {account.id for account in await auth.get_accounts([*ids[:2], new_id()])} == set(ids[:2])
        assert [found.id for found in (await auth.list_accounts(AccountQuery(email=emails[1].upper()))).items] == [ids[1]]
        assert (await auth.list_accounts(AccountQuery(email=email_of()))).items == []
        in_one = [account.id for account in (await auth.list_accounts(AccountQuery(limit=100))).items]
        by_pages = await paged(
            lambda cursor: auth.list_accounts(AccountQuery(limit=2, cursor=cursor)),
            between=lambda: register(auth),  # moves nothing
        )
        seen = [account.id for account in by_pages]
        assert [id_ for id_ in seen if id_ in ids] == [id_ for id_ in in_one if id_ in ids]
        assert len(set(seen)) == len(seen)
        cursor = (await auth.list_accounts(AccountQuery(limit=2))).next
        with pytest.raises(BadCursor):
            await auth.list_accounts(AccountQuery(limit=2, cursor=cursor, email=emails[0]))

    async def test_people_of_another_system_keep_their_ids(self, auth: Auth) -> None:
        taken = email_of()
        await register(auth, taken)
        born = datetime(2017, 5, 1, tzinfo=UTC)
        people = [
            ImportAccount(id=new_id(), email=email, name=f"Person {n}", created_at=born)
            for n, email in enumerate((email_of(), taken.upper(), email_of()))
        ]
        found = await auth.import_accounts(people)
        assert [each.status for each in found] == ["written", "rejected", "written"]
        assert found[1].code == "auth.email_taken"
        for person in (people[0], people[2]):
            account = await account_of(auth, person.id)
            assert (account.email, account.name, account.created_at) == (person.email, person.name, born)
            assert (account.roles, account.disabled, account.email_verified) == ((), False, False)
            await refused("auth.bad_credentials", log_in(auth, person.email))
        newer = ImportAccount(id=new_id(), email=email_of(), name="Newer", created_at=born)
        again = await auth.import_accounts([replace(people[0], name="Other"), people[2], newer])
        assert again == [Imported("unchanged"), Imported("unchanged"), Imported("written")]
        assert (await account_of(auth, people[0].id)).name == "Person 0"
