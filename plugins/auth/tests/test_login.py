"""Registering and logging in."""

from __future__ import annotations

import asyncio
import unicodedata
from typing import Any

import msgspec
import pytest
from marketplace_auth.config import AuthConfig
from marketplace_auth.logins import Attempt
from marketplace_auth.passwords import Passwords
from structlog.testing import capture_logs

from marketplace_core._runtime.pools import ThreadPool
from marketplace_core.capabilities.auth import Client, Credentials, Registration
from marketplace_core.errors import Conflict, MarketplaceError, Refused, Unauthorized


async def test_a_registered_person_is_logged_in(bench: Any) -> None:
    signed = await bench.register("Ada@Example.org")
    assert (signed.user.email, signed.user.name, signed.session.expires_in) == ("Ada@Example.org", "Ada", 600)
    assert await bench.passes(signed.session.access_token) == signed.user.id
    [(type_, data)] = await bench.events()
    assert type_ == "auth.registered"
    assert (data["account_id"], data["email"], data["name"]) == (signed.user.id, "Ada@Example.org", "Ada")
    again = await bench.log_in("ada@EXAMPLE.org")
    assert again.user == signed.user
    assert again.session.refresh_token != signed.session.refresh_token


async def test_of_several_with_one_email_one_is_registered(bench: Any) -> None:
    emails = ["ada@example.org", "ADA@example.org", "Ada@Example.Org", "ada@example.ORG"]
    answers = await asyncio.gather(*map(bench.register, emails), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, Conflict)]
    assert [error.code for error in refused] == ["auth.email_taken"] * 3
    assert await bench.database.value("SELECT count(*) FROM auth.accounts") == 1
    assert await bench.database.value("SELECT count(*) FROM auth.sessions") == 1
    assert len(await bench.events()) == 1


@pytest.mark.behaviour("auth-1")
async def test_an_unknown_email_is_answered_like_a_wrong_password(bench: Any, statements: list[str]) -> None:
    await bench.register()
    seen = []
    for email, password in (("ada@example.org", "a wrong password"), ("eve@example.org", "a fine password")):
        statements.clear()
        bench.passwords.verified_in.clear()
        with pytest.raises(Unauthorized) as refused:
            await bench.log_in(email, password)
        error = refused.value
        answer = (error.code, error.detail, error.errors, error.retry_after)
        seen.append((answer, list(statements), len(bench.passwords.verified_in)))
    assert seen[0] == seen[1]
    (code, *_), _, verifications = seen[0]
    assert (code, verifications) == ("auth.bad_credentials", 1)


@pytest.mark.behaviour("auth-1")
async def test_passwords_are_not_hashed_in_the_event_loop(bench: Any) -> None:
    await bench.register()
    await bench.log_in()
    assert [name.rsplit("_", 1)[0] for name in bench.passwords.verified_in] == ["auth-hash"]


WRONG = "a wrong password"


async def _failure(bench: Any, email: str, password: str = WRONG) -> tuple[str, int | None]:
    with pytest.raises(MarketplaceError) as refused:
        await bench.log_in(email, password)
    return refused.value.code, refused.value.retry_after


@pytest.mark.behaviour("auth-1")
@pytest.mark.parametrize("email", ["ada@example.org", "nobody@example.org"])
async def test_failures_in_a_row_make_one_wait(bench: Any, email: str) -> None:
    await bench.register()
    assert [await _failure(bench, email) for _ in range(5)] == [("auth.bad_credentials", None)] * 5
    for seconds in (1, 2, 4, 8, 16, 32, 60, 60):
        verified = len(bench.passwords.verified_in)
        assert await _failure(bench, email.upper(), "a fine password") == ("http.rate_limited", seconds)
        assert len(bench.passwords.verified_in) == verified  # the password is not even looked at
        await bench.clock.advance(seconds)
        assert await _failure(bench, email) == ("auth.bad_credentials", None)


@pytest.mark.behaviour("auth-1")
async def test_a_right_password_after_the_pause_forgets_the_failures(bench: Any) -> None:
    await bench.register()
    for _ in range(5):
        await _failure(bench, "ada@example.org")
    await bench.clock.advance(1)
    await bench.log_in()
    assert [await _failure(bench, "ada@example.org") for _ in range(5)] == [("auth.bad_credentials", None)] * 5


@pytest.mark.behaviour("auth-1")
async def test_attempts_at_once_do_not_get_round_the_pause(bench: Any) -> None:
    await bench.register()
    wrong = await asyncio.gather(*(_failure(bench, "ada@example.org") for _ in range(20)))
    assert sorted(code for code, _ in wrong) == ["auth.bad_credentials"] * 5 + ["http.rate_limited"] * 15
    await bench.clock.advance(1)
    wrong = await asyncio.gather(*(_failure(bench, "ada@example.org") for _ in range(10)))
    assert [code for code, _ in wrong].count("auth.bad_credentials") == 1


@pytest.mark.parametrize("audience", ["buyer", "admin"])  # whoever has no role for a gateway learns no more
async def test_a_right_password_that_comes_after_the_limit_is_not_told(bench: Any, audience: Any) -> None:
    """Its verification began before the others had failed."""
    await bench.register()
    account, seen = await bench.auth._logins.prove(attempt(bench), "a fine password")
    for _ in range(5):
        await _failure(bench, "ada@example.org")
    with pytest.raises(Refused) as refused:
        await bench.auth._open(account, attempt(bench).place, seen, Client(audience), None)
    assert refused.value.code == "http.rate_limited"


def attempt(bench: Any, **client: Any) -> Attempt:
    made: Attempt = bench.auth._logins.attempt("ada@example.org", Client("buyer", **client))
    return made


@pytest.mark.behaviour("auth-1")
async def test_who_guesses_holds_up_nobody_but_himself(bench: Any) -> None:
    signed = await bench.register()
    for _ in range(6):
        with pytest.raises(MarketplaceError) as refused:
            await bench.log_in(password=WRONG, address="address:192.0.2.1")
    assert refused.value.code == "http.rate_limited"
    for address in ("address:192.0.2.2", ""):
        assert (await bench.log_in(address=address)).user == signed.user


@pytest.mark.behaviour("auth-1")
async def test_guesses_from_many_addresses_make_all_wait_but_a_known_device(bench: Any) -> None:
    known = (await bench.register()).device_token
    for number in range(100):
        with pytest.raises(Unauthorized):
            await bench.log_in(password=WRONG, address=f"address:{number}")
    assert (await _refused_login(bench, address="address:new")) == ("http.rate_limited", 1)
    assert (await _refused_login(bench, address="address:new", device_token=f"{known}x")) == ("http.rate_limited", 1)
    other = await bench.register("eve@example.org")
    assert (await _refused_login(bench, address="address:new", device_token=other.device_token))[0] == "http.rate_limited"
    again = await bench.log_in(address="address:new", device_token=known)
    assert again.device_token == known
    await bench.clock.advance(1)
    await bench.log_in(address="address:new")


async def test_logins_are_logged_by_account_and_not_by_email(bench: Any) -> None:
    account = (await bench.register()).user.id
    with capture_logs() as lines:
        for _ in range(5):
            await _refused_login(bench, password=WRONG)
        await _refused_login(bench)
        await bench.clock.advance(1)
        await bench.log_in()
        with pytest.raises(Unauthorized):
            await bench.log_in("nobody@example.org", WRONG)
    found = [(line["event"], line["account"]) for line in lines if line["event"].startswith("login.")]
    assert found == [
        *[("login.failed", account)] * 5,
        ("login.paused", account),
        ("login.done", account),
        ("login.failed", None),
    ]
    assert "example.org" not in repr(lines)


async def test_a_device_has_a_count_of_its_own(bench: Any) -> None:
    known = (await bench.register()).device_token
    for _ in range(5):
        await _refused_login(bench, password=WRONG, device_token=known)
    assert await _refused_login(bench, device_token=known) == ("http.rate_limited", 1)
    await bench.log_in()


async def _refused_login(bench: Any, **options: Any) -> tuple[str, int | None]:
    with pytest.raises(MarketplaceError) as refused:
        await bench.log_in(**options)
    return refused.value.code, refused.value.retry_after


async def test_how_a_password_is_composed_does_not_matter(bench: Any) -> None:
    composed = "Grüße aus Kyōto"
    split = unicodedata.normalize("NFD", composed)
    await bench.register(password=split)
    await bench.log_in(password=composed)
    await bench.log_in(password=split)
    hashed = bench.passwords._hasher.hash(split)  # as 0.1.0 did
    await bench.database.execute("UPDATE auth.accounts SET password_hash = $1", hashed)
    await bench.log_in(password=split)


async def test_blanks_around_an_email_are_trimmed(bench: Any) -> None:
    signed = await bench.auth.register(
        msgspec.convert({"email": " ada@example.org\u2003", "password": "a fine password", "name": "Ada"}, Registration),
        Client("buyer"),
    )
    assert signed.user.email == "ada@example.org"
    await bench.log_in("\tada@example.org ")


@pytest.mark.parametrize("unseen", ["\u200b", "\u00ad", "\u2060", "\ufeff", "\u202e", "\u115f", "\ufe0f", "\x00", "\x7f"])
@pytest.mark.parametrize("place", ["a{}da@example.org", "ada@exam{}ple.org", "ada@example.o{}rg", "{}ada@example.org"])
def test_what_is_not_seen_is_in_no_email(unseen: str, place: str) -> None:
    body = {"email": place.format(unseen), "password": "a fine password", "name": "Ada"}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(body, Registration)


async def test_a_login_that_meets_a_new_password_opens_nothing(bench: Any) -> None:
    signed = await bench.register()
    account, seen = await bench.auth._logins.prove(attempt(bench), "a fine password")
    await bench.auth.change_password(signed.user.id, "a fine password", "another password")
    with pytest.raises(MarketplaceError) as refused:
        await bench.auth._open(account, b"", seen, Client("buyer"), None)
    assert refused.value.code == "http.unavailable"
    assert await bench.database.value("SELECT count(*) FROM auth.sessions WHERE ended_at IS NULL") == 0


async def test_other_settings_hash_anew_at_login(bench: Any) -> None:
    await bench.register()
    before = await bench.database.value("SELECT password_hash FROM auth.accounts")
    passwords = Passwords(AuthConfig(hash_time=2, hash_memory=1), ThreadPool("hash", 1))
    newer = bench.service(bench.redis, passwords=passwords)
    await newer.log_in(Credentials("ada@example.org", "a fine password"), Client("buyer"))
    after = await bench.database.value("SELECT password_hash FROM auth.accounts")
    assert ("t=1" in before, "t=2" in after) == (True, True)
    await bench.log_in()


async def test_a_login_is_two_statements(bench: Any, statements: list[str]) -> None:
    await bench.register()
    statements.clear()
    await bench.log_in()
    assert len(statements) == 2
    await _failure(bench, "ada@example.org")
    statements.clear()
    await bench.log_in()
    assert len(statements) == 2


async def test_of_several_operators_accounts_with_one_email_one_is_made(bench: Any) -> None:
    wanted = [(f"role-{n}",) for n in range(6)]
    registration = Registration("root@example.org", "a fine password", "Root")
    made = await asyncio.gather(*(bench.auth.ensure_account(registration, roles) for roles in wanted))
    assert len({account.id for account in made}) == 1
    [account] = await bench.auth.get_accounts([made[0].id])
    assert account.roles == tuple(sorted(role for (role,) in wanted))
    assert len(await bench.events()) == 1
