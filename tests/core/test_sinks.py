"""A sink is given every event of the deployment, in batches, whatever becomes of it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from marketplace_core import calls
from marketplace_core._plugins.catalogue import deployed
from marketplace_core._plugins.graph import mermaid
from marketplace_core._plugins.registry import installed_plugins
from marketplace_core._runtime import sinks
from marketplace_core._runtime.operators import OwnOperations
from marketplace_core.adapters.redis.bus import RedisBus
from marketplace_core.deployment import DeploymentErrors, load_all
from marketplace_core.ports import Message, UnitOfWork
from marketplace_core.testing.contracts import Happened, eventually
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import Caller
from tests.core.strangers import install
from tests.core.test_listeners import PLUGIN as NOTICEBOARD
from tests.core.test_listeners import published

Open = Callable[..., Awaitable[Marketplace]]

TALLY = """
from __future__ import annotations

import asyncio

from marketplace_core.hookspecs import PluginInfo, Sink, hookimpl


class Service:
    def __init__(self, units):
        self.units = units
        self.batches, self.mood = [], "well"

    async def take(self, envelopes):
        if self.mood == "raises":
            raise ZeroDivisionError
        while self.mood == "hangs":
            await asyncio.sleep(0.01)
        self.batches.append(list(envelopes))


@hookimpl
def info():
    return PluginInfo(name="tally", version="1.0", emits=("contract",))


@hookimpl
def service(context):
    return Service(context.units)


@hookimpl
def sinks(context):
    return [Sink("tally.events", Service.take, size=7, linger=0.05)]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    for module in ("acme_tally", "acme_tally.plugin"):
        monkeypatch.delitem(sys.modules, module, raising=False)  # another test's
    yield tmp_path
    installed_plugins.cache_clear()


@pytest.fixture
def tally(folder: Path) -> None:
    install(folder, "tally", TALLY)
    install(folder, "noticeboard", NOTICEBOARD)
    installed_plugins.cache_clear()


def counts(service: Any) -> dict[tuple[str, str], list[int]]:
    """The sequences of each key, in the order in which they came, repeats left out by the event's id."""
    events = {envelope.id: envelope for batch in service.batches for envelope in batch}
    found: dict[tuple[str, str], list[int]] = {}
    for envelope in events.values():
        found.setdefault((envelope.topic, envelope.key), []).append(envelope.sequence)
    return found


@pytest.mark.usefixtures("tally")
async def test_it_is_given_every_event_in_batches(marketplace: Open) -> None:
    """Also those that nobody else hears; each of a key in its turn."""
    market = await marketplace(["catalog", "tally"])
    topics = set(market.process.routing.groups["tally.events.sink"])
    assert {"catalog", "contract", "tally"} <= topics
    service: Any = market.process.service("tally")

    async def tell(uow: UnitOfWork) -> None:
        uow.emit(Happened(thing="a"))

    await service.units.run(tell)
    products = {await published(market) for _ in range(6)}
    await market.settle()
    found = counts(service)
    assert found.pop(("contract", "a")) == [1]
    assert products <= {key for topic, key in found if topic == "catalog"}
    assert all(sequences == list(range(1, len(sequences) + 1)) for sequences in found.values())
    sizes = [len(batch) for batch in service.batches]
    assert max(sizes) <= 7 and len(sizes) < sum(sizes)


@pytest.mark.usefixtures("tally")
async def test_what_is_told_outside_of_a_unit_of_work_comes_without_a_number_or_an_actor(marketplace: Open) -> None:
    market = await marketplace(["catalog", "tally"])
    context, service = market.process.context("tally"), market.process.service("tally")
    with calls.scope(calls.Call(caller=Caller(audience="buyer", account_id="ada"))):
        await context.tell([Happened(thing="a"), Happened(thing="a", note="again")])
    await market.settle()
    told = [envelope for batch in service.batches for envelope in batch if envelope.topic == "contract"]
    assert [(each.sequence, each.actor, each.decode()) for each in told] == [
        (0, "", Happened(thing="a")),
        (0, "", Happened(thing="a", note="again")),
    ]
    with pytest.raises(ValueError, match=r"does not declare its topic"):
        await market.process.context("catalog").tell([Happened(thing="a")])


async def test_it_reads_of_the_topics_that_it_names(marketplace: Open, folder: Path) -> None:
    """Of others nothing is sent for it."""
    install(folder, "tally", TALLY.replace("size=7", 'topics=("contract", "cart"), size=7'))
    installed_plugins.cache_clear()
    market = await marketplace(["catalog", "tally"], worker=False)
    assert market.process.routing.groups["tally.events.sink"] == ["cart", "contract"]
    assert "every event" not in mermaid(load_all(market.file))


@pytest.mark.usefixtures("tally")
@pytest.mark.parametrize("mood", ["raises", "hangs"])
async def test_one_that_fails_or_is_silent_holds_up_nobody_and_loses_nothing(
    marketplace: Open, mood: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks, "RETRY_PAUSES", (0.2,))
    market = await marketplace(["catalog", "tally", "noticeboard"])
    service, listener = (market.process.service(name) for name in ("tally", "noticeboard"))
    service.mood = mood
    products = [await published(market) for _ in range(4)]
    await eventually(lambda: set(products) <= set(listener.seen))
    assert service.batches == []
    bus, groups = market.process.bus, market.process.routing.groups
    await bus.trim()  # it waits for the sink's group, too
    assert await bus.lag({"tally.events.sink": groups["tally.events.sink"]}) >= len(products)

    async def heard() -> bool:
        return await bus.lag({"noticeboard": groups["noticeboard"]}) == 0

    await eventually(heard)
    service.mood = "well"
    await market.settle()
    found = counts(service)
    assert all(found["catalog", product] == list(range(1, len(found["catalog", product]) + 1)) for product in products)


@pytest.mark.usefixtures("tally")
async def test_what_it_cannot_read_is_put_aside_where_operators_look(marketplace: Open) -> None:
    market = await marketplace(["catalog", "tally"])
    service: Any = market.process.service("tally")
    bus = market.process.bus
    assert isinstance(bus, RedisBus)
    await bus.publish([Message("catalog", "catalog.product_changed", "a", 1, '{"cut')])
    await market.process.infrastructure_redis("bus").xadd(bus._stream("catalog", 0), {"x": "y"})
    await published(market)
    await market.settle(failures=True)
    assert counts(service)
    operations = OwnOperations(market.process)
    parked = {each.handler: each for each in await operations.list_parked() if each.handler.startswith("tally.")}
    assert set(parked) == {"tally.events", "tally.events.sink"}
    assert parked["tally.events"].error.startswith("Unreadable: ")
    for each in parked.values():
        assert await operations.request_parked(each.id, True)
    await eventually(_none_parked(operations))


def _none_parked(operations: OwnOperations) -> Callable[[], Awaitable[bool]]:
    async def none() -> bool:
        return not [each for each in await operations.list_parked() if each.handler.startswith("tally.")]

    return none


@pytest.mark.usefixtures("tally")
async def test_it_is_seen_where_plugins_are_shown(marketplace: Open) -> None:
    market = await marketplace(["catalog", "tally"], worker=False)
    shown = await asyncio.to_thread(deployed, market.file)
    assert [item["sinks"] for item in shown] == [[], ["tally.events"]]
    assert "-. tally.events .-> plugin_tally" in mermaid(load_all(market.file))


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        ('Sink("events", Service.take)', "the sink 'events' does not bear its name"),
        ('Sink("tally.events", Service.take, size=0)', "needs a size from 1"),
        ('Sink("tally.events", Service.take), Sink("tally.events", Service.take)', "is declared twice"),
        ('Sink("tally.events", Service.__init__)', "is not async"),
        ('Sink("tally.events", Service.nothing)', "does not fit"),
        ("Service.take", "gives a function among its items"),
    ],
)
async def test_a_check_finds_what_is_wrong_with_one(marketplace: Open, folder: Path, wrong: str, cause: str) -> None:
    install(folder, "noticeboard", NOTICEBOARD)
    right = 'Sink("tally.events", Service.take, size=7, linger=0.05)'
    code = TALLY.replace(right, wrong).replace("    async def take", "    async def nothing(self): ...\n\n    async def take")
    install(folder, "tally", code)
    installed_plugins.cache_clear()
    with pytest.raises(DeploymentErrors) as caught:
        await marketplace(["catalog", "tally"], worker=False)
    assert cause in str(caught.value)
