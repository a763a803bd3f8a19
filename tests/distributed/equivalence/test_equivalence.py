"""The same acts on the embedded deployment and on others: what both answer is the same."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from marketplace_core.deployment import DEFAULT_FILE
from marketplace_core.testing._standing import UNHURRIED
from marketplace_core.testing.deployments import Running, elsewhere, up
from tests.distributed.equivalence.acts import play
from tests.distributed.equivalence.beginning import begin
from tests.distributed.equivalence.sides import Side, common_beginning
from tests.distributed.equivalence.world import Person, World
from tests.scenarios.nginx import Here

pytestmark = [pytest.mark.xdist_group("distributed"), pytest.mark.timeout(3600)]

ROOT = Path(__file__).parents[3]
OTHERS = {
    "embedded": (DEFAULT_FILE, ()),
    "split": (ROOT / "examples" / "split.toml", ()),
    "distributed": (ROOT / "examples" / "distributed.toml", ("--servers", "native")),
}
ACTS, SEED = int(os.environ.get("MARKETPLACE_ACTS", "300")), int(os.environ.get("MARKETPLACE_SEED", "1"))
#: What a loaded machine takes is no reason to show somebody the feed.
_TABLE = "[plugins.recommendations]"
_HOSTS = {"buyer": "web", "seller": "web", "logistics": "web", "admin": "operators"}


@contextlib.contextmanager
def _standing(name: str) -> Iterator[tuple[Running, Path]]:
    file, options = OTHERS[name]
    folder = Path(tempfile.mkdtemp(prefix="mp-"))
    folder.chmod(0o711)
    try:
        copy = elsewhere(file, folder)
        copy.write_text(copy.read_text().replace(_TABLE, f"{_TABLE}\n{UNHURRIED}"))
        with up(copy, folder / "data", "--clock", "movable", *options) as started:
            yield started, folder / "data"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def _running(name: str) -> AsyncIterator[tuple[Running, Path]]:
    """It begins and ends in a thread."""
    stack = contextlib.ExitStack()
    try:
        yield await asyncio.to_thread(stack.enter_context, _standing(name))
    finally:
        await asyncio.to_thread(stack.close)


@contextlib.asynccontextmanager
async def _side(running: Running, data: Path, name: str) -> AsyncIterator[Side]:
    edge: dict[str, str] = running.said.get("edge") or {}
    trusting = ssl.create_default_context()
    for host in edge:
        trusting.load_verify_locations(cafile=str(data / "edge" / f"{host}.pem"))
    audiences = {each: f"{edge[_HOSTS[each]]}/{each}/v1" for each in _HOSTS} if edge else running.said["audiences"]
    connector = aiohttp.TCPConnector(limit=0, **({"resolver": Here(), "ssl": trusting} if edge else {}))
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield Side(name, session, audiences, running.said["simulators"], running.said["accounts"]["admin"])


@pytest.mark.costly("two whole deployments are asked hundreds of things")
@pytest.mark.parametrize("other", [os.environ.get("MARKETPLACE_OTHER", "distributed")])
async def test_embedded_and_other_answer_alike(other: str) -> None:
    async with (
        _running("embedded") as left,
        _running(other) as right,
        _side(*left, "embedded") as one,
        _side(*right, other) as two,
    ):
        await asyncio.gather(one.open(), two.open())
        world = World((one, two), SEED, await common_beginning(one, two), "", shared=False)
        world.admin = _known(world, left[0], right[0], "admin", "admin")
        world.courier = _known(world, left[0], right[0], "courier", "logistics")
        try:
            await begin(world)
            done = await play(world, ACTS)
        except Exception as error:
            raise AssertionError("\n".join([repr(error), *map(str, world.differences)])) from error
    print(f"{world.act} acts, {world.requests} requests, seed {SEED}: {done}; waited {one.waited:.1f} s and {two.waited:.1f} s")
    assert not world.differences, "\n".join(map(str, [f"{len(world.differences)} differences", *world.differences]))


def _known(world: World, left: Running, right: Running, account: str, audience: str) -> Person:
    """Somebody of the demo: each folder has passwords of its own."""
    mine, theirs = left.said["accounts"][account], right.said["accounts"][account]
    password = world.names.pair("password", mine["password"], theirs["password"])
    assert mine["email"] == theirs["email"] and password is not None
    return Person(audience, mine["email"], account, password)
