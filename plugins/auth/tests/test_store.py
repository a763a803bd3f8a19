"""What every store of auth guarantees by itself."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from marketplace_auth.store import AccountRecord, SessionRecord

from marketplace_core.capabilities.auth import AccountQuery, SessionState
from marketplace_core.errors import Conflict
from marketplace_core.values import new_id

DIGEST = b"d" * 32


@pytest.fixture(params=["postgres"])
def store(request: pytest.FixtureRequest, bench: Any) -> Any:
    return {"postgres": bench.store}[request.param]


def _account(at: datetime, email: str = "ada@example.org", roles: tuple[str, ...] = ()) -> AccountRecord:
    return AccountRecord(
        id=new_id(),
        email=email,
        name="Ada",
        email_verified=False,
        roles=roles,
        disabled=False,
        created_at=at,
        password_hash="hash",
    )


def _session(account: AccountRecord, at: datetime) -> SessionRecord:
    return SessionRecord(
        id=new_id(),
        account_id=account.id,
        audience="buyer",
        refresh_digest=b"r" * 32,
        user_agent="tests",
        created_at=at,
        last_used_at=at,
        expires_at=at + timedelta(days=30),
    )


async def _added(bench: Any, store: Any, email: str = "ada@example.org") -> AccountRecord:
    account = _account(bench.clock.now(), email)
    await bench.units.run(lambda uow: store.add_account(uow, account, email))
    return account


async def test_an_account_is_read_as_it_was_written(bench: Any, store: Any) -> None:
    account = _account(bench.clock.now(), "Ada@example.org", ("admin", "courier:c1"))
    await bench.units.run(lambda uow: store.add_account(uow, account, "ada@example.org"))
    assert await store.get_accounts([account.id, "nobody"]) == [account]
    found = await store.find_login("ada@example.org", DIGEST, b"by email")
    assert (found.account, found.failures) == (account, None)
    assert (await store.find_login("Ada@example.org", DIGEST, b"by email")).account is None
    with pytest.raises(Conflict):
        await bench.units.run(lambda uow: store.add_account(uow, _account(account.created_at), "ada@example.org"))


async def test_accounts_of_one_moment_come_once_each(bench: Any, store: Any) -> None:
    at = bench.clock.now()
    for name in "abcde":
        account = _account(at, name)
        await bench.units.run(lambda uow, account=account: store.add_account(uow, account, account.email))
    seen, after = [], None
    while rows := (await store.list_accounts(AccountQuery(limit=2), None, after))[:2]:
        seen += [record.email for record, _ in rows]
        after = rows[-1][1]
    assert seen == list("edcba")
    assert [record.email for record, _ in await store.list_accounts(AccountQuery(), "c", None)] == ["c"]


async def test_failures_count_freely_up_to_the_limit_and_then_one_by_one(bench: Any, store: Any) -> None:
    async def count(seen: int) -> bool:
        return bool(await bench.units.run(lambda uow: store.count_failure(uow, DIGEST, seen, 3, uow.now)))

    assert sorted(await asyncio.gather(*(count(0) for _ in range(6)))) == [False] * 3 + [True] * 3
    assert sorted(await asyncio.gather(*(count(3) for _ in range(6)))) == [False] * 5 + [True]
    assert not await count(5)
    assert await count(4)
    assert await bench.units.run(lambda uow: store.lock_failures(uow, DIGEST)) == 5
    assert await bench.units.run(lambda uow: store.lock_failures(uow, b"another")) == 0
    found = (await store.find_login("ada@example.org", DIGEST, b"by email")).failures
    assert found.count == 5


async def test_a_session_is_opened_with_the_right_hash_only(bench: Any, store: Any) -> None:
    account = await _added(bench, store)
    await bench.units.run(lambda uow: store.count_failure(uow, DIGEST, 0, 5, uow.now))

    async def opened(hash_: str) -> bool:
        session = _session(account, bench.clock.now())
        return bool(await bench.units.run(lambda uow: store.open_session(uow, session, hash_, DIGEST, 1, 5)))

    assert not await opened("another hash")
    assert (await store.find_login("ada@example.org", DIGEST, b"by email")).failures.count == 1
    assert await opened("hash")
    assert (await store.find_login("ada@example.org", DIGEST, b"by email")).failures is None
    assert not await opened("another hash")
    assert await bench.units.run(lambda uow: store.set_disabled(uow, account.id, True)) is True
    assert not await opened("hash")
    assert await bench.units.run(lambda uow: store.set_disabled(uow, account.id, True)) is False
    assert await bench.units.run(lambda uow: store.set_disabled(uow, "nobody", True)) is None


async def test_a_session_is_opened_by_who_has_seen_the_newest_failures_only(bench: Any, store: Any) -> None:
    account = await _added(bench, store)

    async def opened(seen: int) -> bool:
        session = _session(account, bench.clock.now())
        return bool(await bench.units.run(lambda uow: store.open_session(uow, session, "hash", DIGEST, seen, 3)))

    async def opened_while_one_counts(seen: int) -> bool:
        async def count(uow: Any) -> asyncio.Task[bool]:
            assert await store.count_failure(uow, DIGEST, seen, 3, uow.now)
            opening = asyncio.create_task(opened(seen))
            await asyncio.wait([opening], timeout=0.2)
            assert not opening.done()
            return opening

        return await (await bench.units.run(count))

    await bench.units.run(lambda uow: store.count_failure(uow, DIGEST, 0, 3, uow.now))
    assert await opened_while_one_counts(1)
    assert (await store.find_login("ada@example.org", DIGEST, b"by email")).failures is None
    for seen in range(3):
        await bench.units.run(lambda uow, seen=seen: store.count_failure(uow, DIGEST, seen, 3, uow.now))
    assert not await opened_while_one_counts(3)
    assert not await opened(3)
    assert (await store.find_login("ada@example.org", DIGEST, b"by email")).failures.count == 4
    assert await opened(4)


async def test_a_password_changes_from_what_it_was_only(bench: Any, store: Any) -> None:
    account = await _added(bench, store)
    change = store.change_password
    assert await bench.units.run(lambda uow: change(uow, account.id, "hash", "newer"))
    assert not await bench.units.run(lambda uow: change(uow, account.id, "hash", "newest"))
    [found] = await store.get_accounts([account.id])
    assert found.password_hash == "newer"


async def test_sessions_end_and_are_told_to_who_asks_again(bench: Any, store: Any) -> None:
    account, other = await _added(bench, store), await _added(bench, store, "eve@example.org")
    at = bench.clock.now()
    first, second, third = _session(account, at), _session(account, at), _session(other, at)
    for session in (first, second, third):
        await bench.units.run(lambda uow, session=session: store.add_session(uow, session))
    live = await bench.units.run(lambda uow: store.lock_session(uow, first.id))
    assert (live.session, live.roles, live.disabled) == (first, (), False)
    state = await bench.units.run(lambda uow: store.hold_live(uow, first.id))
    assert state == SessionState(account.id, first.id, ())
    assert not await bench.units.run(lambda uow: store.end_session(uow, first.id, other.id))
    assert await bench.units.run(lambda uow: store.end_session(uow, first.id, account.id))
    assert await bench.units.run(lambda uow: store.hold_live(uow, first.id)) is None
    for _ in range(2):
        ended = await bench.units.run(lambda uow: store.end_sessions(uow, account.id))
        assert sorted(ended) == [first.id, second.id]
    await bench.clock.advance(3601)
    assert await bench.units.run(lambda uow: store.end_sessions(uow, account.id)) == []
    assert [row.id for row, _ in await store.list_sessions(other.id, bench.clock.now(), 5, None)] == [third.id]
    assert await store.list_sessions(account.id, bench.clock.now(), 5, None) == []


async def test_a_rotated_session_keeps_its_place(bench: Any, store: Any) -> None:
    account = await _added(bench, store)
    session = _session(account, bench.clock.now())
    await bench.units.run(lambda uow: store.add_session(uow, session))
    at = bench.clock.now() + timedelta(days=1)
    await bench.units.run(lambda uow: store.rotate(uow, session.id, b"n" * 32, at, at + timedelta(days=30)))
    found = (await bench.units.run(lambda uow: store.lock_session(uow, session.id))).session
    assert (found.refresh_digest, found.last_used_at, found.expires_at) == (b"n" * 32, at, at + timedelta(days=30))
    assert found.created_at == session.created_at
    assert await bench.units.run(lambda uow: store.lock_session(uow, "none")) is None


async def test_purging_takes_a_few_at_a_time(bench: Any, store: Any) -> None:
    account = await _added(bench, store)
    at = bench.clock.now()
    for _ in range(5):
        await bench.units.run(lambda uow: store.add_session(uow, _session(account, at)))
    await bench.units.run(lambda uow: store.count_failure(uow, DIGEST, 0, 5, at))
    later = at + timedelta(days=31)

    async def purged(over: datetime, failed: datetime) -> int:
        purge = store.purge
        return int(await bench.units.run(lambda uow: purge(uow, over_before=over, failed_before=failed, limit=2)))

    assert await purged(at, at) == 0
    assert [await purged(later, at) for _ in range(4)] == [2, 2, 1, 0]
    assert await purged(later, later) == 1
