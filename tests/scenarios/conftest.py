"""One whole marketplace per test, over HTTP and with both simulators: everything that a purchase needs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from pathlib import Path

import pytest
import pytest_asyncio

from marketplace_core.capabilities.auth import Auth, Registration
from marketplace_core.testing.client import clients
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.testing.shop import PASSWORD, PLUGINS, Shop
from marketplace_core.testing.simulators import Simulator
from marketplace_core.testing.transcript import Transcript

RUNNERS = ["local", "wire", "processes"]


#: Those that start many processes take turns: on one of the test run's workers.
TAKE_TURNS = pytest.mark.xdist_group("processes")


@pytest.fixture(params=[*RUNNERS[:-1], pytest.param(RUNNERS[-1], marks=TAKE_TURNS)])
def runner(request: pytest.FixtureRequest) -> str:
    return str(request.param)


TRANSCRIPTS = Path(__file__).parent / "transcripts"


@pytest_asyncio.fixture
async def shop(
    runner: str, request: pytest.FixtureRequest, marketplace: Callable[..., Awaitable[Marketplace]], tmp_path: Path
) -> AsyncIterator[Shop]:
    """What its clients are answered is the same by every runner: see ``transcripts/``.

    Not of a module that says ``RECORDED = False``: its answers hold data that is no part of the project, or are not what it
    is about. ``DEPLOYMENT`` are TOML lines for the deployment's table.
    """
    payments, carriers = Simulator("payments", tmp_path), Simulator("carriers", tmp_path)
    market = await marketplace(
        PLUGINS,
        runner=runner,
        http=True,
        settings={
            "payments_simulator": payments.settings(),
            "carriers_simulator": carriers.settings(),
            "deployment": getattr(request.module, "DEPLOYMENT", ""),
        },
        simulators={"payments": payments.url, "carriers": carriers.url},
    )
    auth = market.port(Auth)
    for name, role in (("admin", "admin"), ("courier", "courier:simulator")):
        await auth.ensure_account(Registration(f"{name}@example.org", PASSWORD, name.title()), (role,))
    transcript = Transcript(market.settle)
    try:
        for simulator in (payments, carriers):
            await simulator.start_for(market)
        async with clients(market.audiences, transcript) as make:
            admin, courier = make("admin"), make("logistics")
            await admin.log_in("admin@example.org")
            await courier.log_in("courier@example.org")
            yield Shop(market, make, payments, carriers, admin, courier)
        if getattr(request.module, "RECORDED", True) and not getattr(request.node, "failed", False):
            transcript.compare(TRANSCRIPTS / f"{_name(request)}.json")
    finally:
        for simulator in (payments, carriers):
            await simulator.stop()


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
