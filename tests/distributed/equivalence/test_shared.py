"""A seeded run of everybody's acts on one process and on the many that stand for all tests: both answer the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp

from marketplace_core.capabilities.auth import Auth, Registration
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.testing.servers import Servers
from marketplace_core.values import new_id
from tests.distributed.equivalence.acts import play
from tests.distributed.equivalence.beginning import begin
from tests.distributed.equivalence.sides import Side, common_beginning
from tests.distributed.equivalence.world import PASSWORD, Person, World
from tests.scenarios.conftest import TAKE_TURNS, Open, own, shared

ACTS, SEED = 60, 7


@TAKE_TURNS
async def test_one_process_and_many_answer_alike(
    marketplace: Callable[..., Awaitable[Marketplace]], marketplace_servers: Servers, tmp_path: Path
) -> None:
    mark = new_id()[-8:]
    async with AsyncExitStack() as stack:
        opened = [
            await stack.enter_async_context(own(marketplace, "local", "", tmp_path)),
            await stack.enter_async_context(shared(marketplace_servers)),
        ]
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)))
        people = [Person(audience, f"{name}.{mark}@example.org", name) for name, audience in _STAFF]
        for each in opened:
            for person, (name, role) in zip(people, _ROLES, strict=True):
                await each.market.port(Auth).ensure_account(Registration(person.email, PASSWORD, name), (role,))
        one, two = (_side(name, each, session, people[0]) for name, each in zip(("one", "many"), opened, strict=True))
        await asyncio.gather(one.open(), two.open())
        world = World((one, two), SEED, await common_beginning(one, two), mark, shared=True)
        world.admin, world.courier = people
        await begin(world, products=6)
        await play(world, ACTS)
        assert not world.differences, "\n".join(map(str, world.differences))
        for each in opened:
            await each.market.settle()


_STAFF = (("admin", "admin"), ("courier", "logistics"))
_ROLES = (("Admin", "admin"), ("Courier", "courier:simulator"))


def _side(name: str, opened: Open, session: aiohttp.ClientSession, admin: Person) -> Side:
    simulators = {"payments": opened.payments.url, "carriers": opened.carriers.url}
    return Side(name, session, opened.market.audiences, simulators, {"email": admin.email, "password": PASSWORD})
