"""Sessions: refreshing, ending, and what gateways know of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from marketplace_core.adapters.redis.server import connect
from marketplace_core.capabilities.auth import Client, SessionState
from marketplace_core.errors import Forbidden, NotFound, Refused, Unauthorized, Unavailable
from marketplace_core.ports import UnitOfWork

BUYER = Client("buyer")


async def _refused(awaitable: Any) -> str:
    with pytest.raises(Unauthorized) as refused:
        await awaitable
    return refused.value.code


# ── refreshing ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.behaviour("auth-2")
async def test_an_access_token_lives_ten_minutes_and_refresh_rotates(bench: Any) -> None:
    signed = await bench.register()
    first = signed.session
    await bench.clock.advance(590)
    assert await bench.passes(first.access_token) == signed.user.id
    await bench.clock.advance(20)
    assert await _refused(bench.passes(first.access_token)) == "auth.token_expired"
    second = await bench.auth.refresh(first.refresh_token, BUYER)
    assert second.refresh_token != first.refresh_token
    assert await bench.passes(second.access_token) == signed.user.id
    third = await bench.auth.refresh(second.refresh_token, BUYER)
    assert await bench.passes(third.access_token) == signed.user.id


@pytest.mark.behaviour("auth-2")
@pytest.mark.parametrize("used", [0, 2])
async def test_a_used_refresh_token_ends_its_family(bench: Any, used: int) -> None:
    """The previous one, and one long gone."""
    signed = await bench.register()
    other = await bench.log_in()
    sessions = [signed.session]
    for _ in range(3):
        sessions.append(await bench.auth.refresh(sessions[-1].refresh_token, BUYER))
    assert await bench.passes(sessions[-1].access_token) == signed.user.id
    assert await _refused(bench.auth.refresh(sessions[used].refresh_token, BUYER)) == "auth.refresh_reused"
    for session in sessions:
        assert await _refused(bench.passes(session.access_token)) == "auth.token_invalid"
    assert await _refused(bench.auth.refresh(sessions[-1].refresh_token, BUYER)) == "auth.token_invalid"
    assert await _refused(bench.auth.refresh(sessions[used].refresh_token, BUYER)) == "auth.refresh_reused"
    assert await bench.passes(other.session.access_token) == signed.user.id
    events = [data for type_, data in await bench.events() if type_ == "auth.refresh_reused"]
    assert [event["account_id"] for event in events] == [signed.user.id]


@pytest.mark.behaviour("auth-2")
async def test_of_equal_refreshes_at_once_one_wins(bench: Any) -> None:
    signed = await bench.register()
    token = signed.session.refresh_token
    answers = await asyncio.gather(*(bench.auth.refresh(token, BUYER) for _ in range(8)), return_exceptions=True)
    refused = [answer.code for answer in answers if isinstance(answer, Unauthorized)]
    assert refused == ["auth.refresh_reused"] * 7
    [won] = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert await _refused(bench.passes(won.access_token)) == "auth.token_invalid"
    assert [type_ for type_, _ in await bench.events()].count("auth.refresh_reused") == 1


async def test_a_refresh_asks_for_the_role_again(bench: Any) -> None:
    await bench.register()
    await bench.database.execute("UPDATE auth.accounts SET roles = '{admin}'")
    signed = await bench.log_in(audience="admin")
    await bench.database.execute("UPDATE auth.accounts SET roles = '{}'")
    with pytest.raises(Forbidden):
        await bench.auth.refresh(signed.session.refresh_token, Client("admin"))


async def test_a_session_lives_thirty_days_from_its_last_use(bench: Any) -> None:
    session = (await bench.register()).session
    for _ in range(2):
        await bench.clock.advance(29 * 86400)
        session = await bench.auth.refresh(session.refresh_token, BUYER)
    await bench.clock.advance(30 * 86400)
    assert await _refused(bench.auth.refresh(session.refresh_token, BUYER)) == "auth.token_expired"


async def test_a_refresh_is_two_statements(bench: Any, statements: list[str]) -> None:
    session = (await bench.register()).session
    statements.clear()
    await bench.auth.refresh(session.refresh_token, BUYER)
    assert len(statements) == 2


async def test_no_token_is_stored(bench: Any) -> None:
    session = (await bench.register()).session
    sessions = "(SELECT json_agg(s)::text FROM auth.sessions s)"
    outgoing = "(SELECT json_agg(o)::text FROM marketplace.outbox o)"
    stored = await bench.database.value(f"SELECT {sessions} || {outgoing}")
    secret = session.refresh_token.split(".")[1]
    assert secret not in stored
    assert session.access_token not in stored


# ── ending ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_session_ends_before_logout_answers(bench: Any) -> None:
    signed, other = await bench.register(), await bench.log_in()
    token = signed.session.access_token
    assert await bench.passes(token) == signed.user.id
    session_id = signed.session.refresh_token.split(".")[0]
    await bench.auth.log_out(session_id)
    assert await bench.auth.session_state(session_id) is None
    assert await _refused(bench.passes(token)) == "auth.token_invalid"
    assert await _refused(bench.auth.refresh(signed.session.refresh_token, BUYER)) == "auth.token_invalid"
    await bench.auth.log_out(session_id)
    await bench.auth.log_out("no such session")
    assert await bench.passes(other.session.access_token) == signed.user.id


@pytest.mark.behaviour("auth-2")
async def test_a_new_password_ends_all_sessions(bench: Any) -> None:
    signed = await bench.register()
    tokens = [signed.session.access_token, (await bench.log_in()).session.access_token]
    for token in tokens:
        await bench.passes(token)
    assert (
        await _refused(bench.auth.change_password(signed.user.id, "a wrong one", "another password")) == "auth.bad_credentials"
    )
    with pytest.raises(Refused) as weak:
        await bench.auth.change_password(signed.user.id, "a fine password", "password")
    assert [problem.pointer for problem in weak.value.errors] == ["/new_password"]
    for token in tokens:
        await bench.passes(token)
    await bench.auth.change_password(signed.user.id, "a fine password", "another password")
    for token in tokens:
        assert await _refused(bench.passes(token)) == "auth.token_invalid"
    assert await _refused(bench.log_in()) == "auth.bad_credentials"
    await bench.log_in(password="another password")
    assert [type_ for type_, _ in await bench.events()] == ["auth.registered", "auth.password_changed"]


async def test_of_two_new_passwords_at_once_one_counts(bench: Any) -> None:
    signed = await bench.register()
    new = ["the first password", "the second password"]
    change = bench.auth.change_password
    answers = await asyncio.gather(*(change(signed.user.id, "a fine password", each) for each in new), return_exceptions=True)
    assert sum(answer is None for answer in answers) == 1
    await bench.log_in(password=new[answers.index(None)])


@pytest.mark.behaviour("auth-2")
async def test_a_disabled_account_is_out_at_once_on_every_gateway(bench: Any) -> None:
    signed = await bench.register()
    seller = await bench.log_in(audience="seller")
    await bench.passes(signed.session.access_token)
    await bench.passes(seller.session.access_token, "seller")
    for _ in range(2):
        await bench.auth.set_disabled(signed.user.id, True, "fraud")
    assert await _refused(bench.passes(signed.session.access_token)) == "auth.token_invalid"
    assert await _refused(bench.passes(seller.session.access_token, "seller")) == "auth.token_invalid"
    assert await _refused(bench.auth.refresh(signed.session.refresh_token, BUYER)) == "auth.token_invalid"
    with pytest.raises(Forbidden) as refused:
        await bench.log_in()
    assert refused.value.code == "auth.disabled"
    assert await _refused(bench.log_in(password="a wrong password")) == "auth.bad_credentials"
    await bench.auth.set_disabled(signed.user.id, False)
    assert await _refused(bench.passes(signed.session.access_token)) == "auth.token_invalid"
    await bench.log_in()
    facts = [(data["disabled"], data["reason"]) for type_, data in await bench.events() if type_ == "auth.account_disabled"]
    assert facts == [(True, "fraud"), (False, "")]
    with pytest.raises(NotFound):
        await bench.auth.set_disabled("nobody", True)


async def test_logins_while_an_account_is_disabled_leave_no_session(bench: Any) -> None:
    signed = await bench.register()
    logins = [bench.log_in() for _ in range(8)]
    *_, disabled = await asyncio.gather(*logins, bench.auth.set_disabled(signed.user.id, True), return_exceptions=True)
    assert disabled is None
    assert await bench.database.value("SELECT count(*) FROM auth.sessions WHERE ended_at IS NULL") == 0


async def test_a_login_waits_for_a_disabling_that_is_going_on(bench: Any) -> None:
    signed = await bench.register()
    login: asyncio.Task[Any] | None = None

    async def disable(uow: UnitOfWork) -> None:
        nonlocal login
        await bench.store.set_disabled(uow, signed.user.id, True)
        await bench.store.end_sessions(uow, signed.user.id)
        login = asyncio.create_task(bench.log_in())
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        async with asyncio.timeout(10):
            while not login.done() and not await bench.database.value(waiting):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)

    await bench.units.run(disable)
    assert login is not None
    with pytest.raises(Unavailable):
        await login
    assert await bench.database.value("SELECT count(*) FROM auth.sessions WHERE ended_at IS NULL") == 0


# ── the allow-list ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_gateway_finds_a_live_session_on_redis(bench: Any) -> None:
    signed = await bench.register()
    session_id = signed.session.refresh_token.split(".")[0]
    state = await bench.auth.session_state(session_id)
    raw = await bench.redis.get(f"session:{session_id}")
    assert msgspec.msgpack.decode(raw, type=SessionState) == state == SessionState(signed.user.id, session_id, ())
    assert 0 < await bench.redis.ttl(f"session:{session_id}") <= 60


async def test_logout_is_never_overtaken_by_an_entry(bench: Any) -> None:
    await bench.register()
    for delay in range(10):
        signed = await bench.log_in()
        session_id = signed.session.refresh_token.split(".")[0]
        looks = [asyncio.create_task(bench.auth.session_state(session_id)) for _ in range(6)]
        await asyncio.sleep(delay / 2000)
        await bench.auth.log_out(session_id)
        assert await _refused(bench.passes(signed.session.access_token)) == "auth.token_invalid"
        await asyncio.gather(*looks)
        assert await _refused(bench.passes(signed.session.access_token)) == "auth.token_invalid"


class Ferry:
    """A socket before Redis whose way there can be shut: what was sent arrives once it is open again."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.waiting = asyncio.Event()
        self.arrived = asyncio.Event()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(target)
        back = asyncio.create_task(self._copy(far_reader, writer))
        try:
            while data := await reader.read(65536):
                if not self.open.is_set():
                    self.waiting.set()
                    await self.open.wait()
                far_writer.write(data)
                await far_writer.drain()
                self.arrived.set()
            await asyncio.sleep(0.05)  # its answer finds nobody
        finally:
            back.cancel()
            writer.close()
            far_writer.close()

    @staticmethod
    async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()


@contextlib.asynccontextmanager
async def _ferried(bench: Any, folder: Path) -> AsyncIterator[tuple[Redis, Ferry]]:
    ferry = Ferry()
    options = bench.redis.connection_pool.connection_kwargs
    carried: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        carried.add(asyncio.create_task(ferry.carry(reader, writer, options["path"])))

    server = await asyncio.start_unix_server(accept, folder / "s")
    client = connect(f"unix://{folder / 's'}?db={options['db']}")
    await client.ping()
    try:
        async with asyncio.timeout(10):
            yield client, ferry
    finally:
        ferry.open.set()
        await client.aclose()
        server.close()
        await asyncio.gather(*carried)


async def test_logout_waits_for_an_entry_that_is_on_its_way(bench: Any, tmp_path: Path) -> None:
    signed = await bench.register()
    session_id = signed.session.refresh_token.split(".")[0]
    async with _ferried(bench, tmp_path) as (redis, ferry):
        ferry.open.clear()
        look = asyncio.create_task(bench.service(redis, patience=30).session_state(session_id))
        await ferry.waiting.wait()
        logout = asyncio.create_task(bench.auth.log_out(session_id))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(logout), 0.2)
        ferry.open.set()
        await asyncio.gather(look, logout)
    assert await _refused(bench.passes(signed.session.access_token)) == "auth.token_invalid"


async def test_an_entry_that_was_given_up_and_still_arrives_counts_for_nothing(bench: Any, tmp_path: Path) -> None:
    signed = await bench.register()
    session_id = signed.session.refresh_token.split(".")[0]
    async with _ferried(bench, tmp_path) as (redis, ferry):
        ferry.open.clear()
        ferry.arrived.clear()
        state = await bench.service(redis, patience=0.3).session_state(session_id)
        assert state is not None
        await bench.auth.log_out(session_id)
        ferry.open.set()
        await ferry.arrived.wait()
    assert await _refused(bench.passes(signed.session.access_token)) == "auth.token_invalid"


async def test_while_redis_is_away_sessions_are_told_by_auth(bench: Any, tmp_path: Path) -> None:
    signed = await bench.register()
    token, session_id = signed.session.access_token, signed.session.refresh_token.split(".")[0]
    async with connect(f"unix://{tmp_path / 'nobody'}") as away:
        auth = bench.service(away)
        for _ in range(2):
            assert (await auth.session_state(session_id)) == SessionState(signed.user.id, session_id, ())
        headers = {"authorization": f"Bearer {token}"}
        caller = await bench.gate(away).identify("buyer", headers, {})
        assert caller.account_id == signed.user.id
        with pytest.raises(Unavailable):
            await auth.log_out(session_id)
        assert await _refused(bench.gate(away).identify("buyer", headers, {})) == "auth.token_invalid"
    await bench.auth.log_out(session_id)
    assert await _refused(bench.passes(token)) == "auth.token_invalid"


async def test_disabling_that_was_not_told_to_gateways_is_told_by_the_repeat(bench: Any, tmp_path: Path) -> None:
    signed = await bench.register()
    await bench.passes(signed.session.access_token)
    async with connect(f"unix://{tmp_path / 'nobody'}") as away:
        with pytest.raises(Unavailable):
            await bench.service(away).set_disabled(signed.user.id, True)
    await bench.auth.set_disabled(signed.user.id, True)
    assert await _refused(bench.passes(signed.session.access_token)) == "auth.token_invalid"


# ── cleaning up ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_over_for_a_week_is_deleted(bench: Any) -> None:
    signed = await bench.register()
    ended = await bench.log_in()
    await bench.auth.log_out(ended.session.refresh_token.split(".")[0])
    assert await _refused(bench.log_in("nobody@example.org")) == "auth.bad_credentials"
    count = "SELECT (SELECT count(*) FROM auth.sessions) * 10 + (SELECT count(*) FROM auth.login_failures)"
    for days, left in ((0, 22), (2, 20), (6, 10), (28, 10), (2, 0)):
        await bench.clock.advance(days * 86400)
        await bench.auth.purge()
        assert await bench.database.value(count) == left
    assert [account.id for account in await bench.auth.get_accounts([signed.user.id])] == [signed.user.id]


async def test_a_session_ends_however_it_is_used(bench: Any) -> None:
    session = (await bench.register()).session
    for days in [29] * 12 + [16]:  # 364
        await bench.clock.advance(days * 86400)
        session = await bench.auth.refresh(session.refresh_token, Client("buyer"))
    await bench.clock.advance(86400)
    assert await _refused(bench.auth.refresh(session.refresh_token, Client("buyer"))) == "auth.token_expired"
