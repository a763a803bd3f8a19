"""A whole marketplace, over HTTP and with both simulators: everything that a purchase needs."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

from marketplace_core.capabilities.auth import Auth, Registration
from marketplace_core.testing._standing import UNHURRIED, standing
from marketplace_core.testing.client import clients
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.testing.servers import Servers
from marketplace_core.testing.shop import PASSWORD, PLUGINS, Shop
from marketplace_core.testing.simulators import Simulator
from marketplace_core.testing.transcript import Transcript
from marketplace_core.values import new_id

RUNNERS = ["local", "wire", "processes"]


#: Those that start many processes take turns: on one of the test run's workers.
TAKE_TURNS = pytest.mark.xdist_group("processes")


@pytest.fixture(params=[*RUNNERS[:-1], pytest.param(RUNNERS[-1], marks=TAKE_TURNS)])
def runner(request: pytest.FixtureRequest) -> str:
    return str(request.param)


TRANSCRIPTS = Path(__file__).parent / "transcripts"


#: Of the deployment that stands for all tests in processes: a test of traces finds its own there.
STANDING = 'trace_to = "folder:traces"\ntrace_sample = 0.000001'


NOTHING: Mapping[str, str] = {}


class Open(NamedTuple):
    """A marketplace with its simulators; ``mark`` is in the names of this test's people and shops, where others are."""

    market: Marketplace
    payments: Simulator
    carriers: Simulator
    mark: str = ""
    numbered: int = 0


@contextlib.asynccontextmanager
async def own(
    marketplace: Callable[..., Awaitable[Marketplace]],
    runner: str,
    deployment: str,
    folder: Path,
    without: Sequence[str] = (),
    more: Sequence[str] = (),
    resources: Mapping[str, str] = NOTHING,
) -> AsyncIterator[Open]:
    """One for this test alone."""
    payments, carriers = Simulator("payments", folder), Simulator("carriers", folder)
    market = await marketplace(
        [*(name for name in PLUGINS if name not in without), *more],
        runner=runner,
        http=True,
        settings={
            "payments_simulator": payments.settings(),
            "carriers_simulator": carriers.settings(),
            "recommendations": UNHURRIED,
            "deployment": deployment,
        },
        simulators={"payments": payments.url, "carriers": carriers.url},
        resources=resources,
    )
    try:
        for simulator in (payments, carriers):
            await simulator.start_for(market)
        yield Open(market, payments, carriers)
    finally:
        for simulator in (payments, carriers):
            await simulator.stop()


@contextlib.asynccontextmanager
async def shared(servers: Servers) -> AsyncIterator[Open]:
    """The one in processes that stands for all tests."""
    found = standing(servers, [*PLUGINS, "analytics"], STANDING)
    async with found.opened() as market:
        await market.settle()
        numbered = await market.process.resources.database("orders_db").value(
            "SELECT coalesce(max(last), 0)::int FROM orders.series"
        )
        yield Open(market, found.payments, found.carriers, f".{new_id()[-8:]}", numbered)


@pytest.fixture
def resources() -> Mapping[str, str]:
    """Further servers of a module's marketplaces, by name."""
    return NOTHING


@pytest_asyncio.fixture
async def shop(
    runner: str,
    resources: Mapping[str, str],
    request: pytest.FixtureRequest,
    marketplace: Callable[..., Awaitable[Marketplace]],
    marketplace_servers: Servers,
    tmp_path: Path,
) -> AsyncIterator[Shop]:
    """What its clients are answered is the same by every runner: see ``transcripts/``.

    Not of a module that says ``RECORDED = False``: its answers hold data that is no part of the project, or are not what it
    is about. ``DEPLOYMENT`` are TOML lines for the deployment's table; ``WITHOUT`` names plugins that it can do without,
    ``WITH`` those beside the others. In
    processes the marketplace is one that stands for all tests, with people of the test's own, but for a module that says
    ``ALONE = True``.
    """
    deployment = getattr(request.module, "DEPLOYMENT", "")
    if runner == "processes" and not getattr(request.module, "ALONE", False):
        assert deployment in ("", STANDING)
        opening = shared(marketplace_servers)
    else:
        opening = own(
            marketplace,
            runner,
            deployment,
            tmp_path,
            getattr(request.module, "WITHOUT", ()),
            getattr(request.module, "WITH", ()),
            resources,
        )
    async with opening as (market, payments, carriers, mark, numbered):

        def marked(email: str) -> str:
            return email.replace("@", f"{mark}@")

        auth = market.port(Auth)
        for name, role in (("admin", "admin"), ("courier", "courier:simulator")):
            await auth.ensure_account(Registration(marked(f"{name}@example.org"), PASSWORD, name.title()), (role,))
        transcript = Transcript(market.settle, mark, numbered)
        async with clients(market.audiences, transcript, marked) as make:
            admin, courier = make("admin"), make("logistics")
            await admin.log_in("admin@example.org")
            await courier.log_in("courier@example.org")
            yield Shop(
                market=market,
                make=make,
                payments=payments,
                carriers=carriers,
                admin=admin,
                courier=courier,
                mark=mark,
            )
        if getattr(request.module, "RECORDED", True) and not getattr(request.node, "failed", False):
            transcript.compare(TRANSCRIPTS / f"{_name(request)}.json")


def _name(request: pytest.FixtureRequest) -> str:
    """The test's, without its runner."""
    name: str = request.node.name
    for runner in RUNNERS:
        name = name.replace(f"[{runner}]", "").replace(f"[{runner}-", "[").replace(f"-{runner}]", "]")
    return name.removeprefix("test_").replace("[", "-").rstrip("]")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that failed has no whole transcript to compare."""
    report = yield
    if report.when == "call" and report.failed:
        item.failed = True  # type: ignore[attr-defined]
    return report
