"""One whole marketplace per test, over HTTP and with both simulators, for what is asked of all routes together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from marketplace_core.capabilities.auth import Auth, Registration
from marketplace_core.testing.client import clients
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.testing.shop import PASSWORD, PLUGINS, Shop
from marketplace_core.testing.simulators import Simulator


@pytest.fixture
def runner() -> str:
    return "local"


@pytest.fixture
def settings() -> dict[str, str]:
    """TOML lines for plugins' tables."""
    return {}


@pytest_asyncio.fixture
async def shop(
    runner: str,
    settings: dict[str, str],
    request: pytest.FixtureRequest,
    marketplace: Callable[..., Awaitable[Marketplace]],
    tmp_path: Path,
) -> AsyncIterator[Shop]:
    """``WITH`` of a module names plugins beside those of a purchase."""
    payments, carriers = Simulator("payments", tmp_path), Simulator("carriers", tmp_path)
    market = await marketplace(
        [*PLUGINS, *getattr(request.module, "WITH", ())],
        runner=runner,
        http=True,
        settings={"payments_simulator": payments.settings(), "carriers_simulator": carriers.settings(), **settings},
        simulators={"payments": payments.url, "carriers": carriers.url},
    )
    auth = market.port(Auth)
    for name, role in (("admin", "admin"), ("courier", "courier:simulator")):
        await auth.ensure_account(Registration(f"{name}@example.org", PASSWORD, name.title()), (role,))
    try:
        for simulator in (payments, carriers):
            await simulator.start_for(market)
        async with clients(market.audiences) as make:
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
            )
    finally:
        for simulator in (payments, carriers):
            await simulator.stop()
