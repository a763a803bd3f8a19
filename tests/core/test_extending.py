"""Where extension plugins run, and capabilities that plugins bring along: the split deployment with `examples/loyalty`."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
from msgspec.structs import replace

from marketplace_core import capabilities
from marketplace_core._plugins.specs import hook_specs
from marketplace_core._runtime.assembly import Assembly, Process
from marketplace_core._runtime.keys import RootKeys
from marketplace_core._runtime.resources import Resources
from marketplace_core.deployment import load
from marketplace_core.errors import Invalid
from marketplace_core.values import SystemClock

SPLIT = Path(__file__).parents[2] / "examples" / "split.toml"
LOYALTY = """
[plugins.loyalty]
on = { postgres = "users" }
tiers = [{ name = "Silver", percent = 5, spent = { EUR = 2000 } }]
"""


@pytest.fixture
def assembly(tmp_path: Path) -> Assembly:
    text = SPLIT.read_text().replace('plugins = ["users", ', 'plugins = ["loyalty", "users", ') + LOYALTY
    (tmp_path / "split.toml").write_text(text)
    return Assembly.of(load(tmp_path / "split.toml", secrets=False))


def process(assembly: Assembly, service: str | None) -> Process:
    """A process of that service, or of a gateway, whose servers answer nothing."""
    own = frozenset(assembly.deployment.plugins_of(service)) if service else frozenset()
    resources = Resources(assembly.deployment, lambda name: f"postgres://nowhere.invalid/{name}")
    return Process(assembly, resources, SystemClock(), keys=RootKeys(b"secret"), own=own)


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("orders", {"loyalty"}),
        ("payments", {"payments_simulator"}),
        ("market", {"carriers_simulator"}),
        ("auth", set()),
        (None, set()),
    ],
)
def test_an_extension_runs_where_its_hook_is_called_and_nowhere_else(
    assembly: Assembly, service: str | None, expected: set[str]
) -> None:
    made = process(assembly, service)
    assert made.extending == expected
    calls = made.extensions._implementations
    assert {plugin for implementations in calls.values() for plugin, _ in implementations} == expected
    opened = made.resources.opened
    assert opened == ({"users"} if service == "orders" else set()), "no other process opens its store"


def test_its_tables_must_be_there_where_it_runs(assembly: Assembly) -> None:
    orders, market = process(assembly, "orders"), process(assembly, "market")
    assert {name: set(plugins) for name, plugins in orders.databases().items()} == {"orders": {"orders"}}
    extending = {name: set(plugins) for name, plugins in orders.databases(extending=True).items()}
    assert extending == {"orders": {"orders"}, "users": {"loyalty"}}
    assert set(market.databases()["users"]) == {"users", "loyalty"}


def test_a_capability_of_a_plugins_own_is_one_like_others(assembly: Assembly) -> None:
    assert assembly.ports["loyalty"].__name__ == "Loyalty"
    assert assembly.providers["loyalty"] == "loyalty"
    assert hook_specs()["provide_loyalty"].capability == "loyalty"
    gateway = process(assembly, None)
    assert [route.path for router in gateway.routers(["buyer"]) for route in router.routes if "loyalty" in route.path] == [
        "/loyalty"
    ]
    assert gateway.resources.opened == {"files"}, "that of pictures, for their addresses; no store"


def test_a_name_is_one_capabilitys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capabilities, "_declared", {})
    for name in ("one.gifts", "two.gifts", "two.orders"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    capabilities.declare("one.gifts")
    capabilities.declare("one.gifts")
    assert capabilities.load_all()["gifts"] is sys.modules["one.gifts"]
    with pytest.raises(ValueError, match=r"two\.gifts cannot be the capability 'gifts': one\.gifts is"):
        capabilities.declare("two.gifts")
    with pytest.raises(ValueError, match=r"marketplace_core\.capabilities\.orders is"):
        capabilities.declare("two.orders")


async def test_in_production_no_plugin_asks_private_addresses(assembly: Assembly) -> None:
    for profile, refused in (("embedded", False), ("production", True)):
        made = process(assembly, "users")
        made.deployment = replace(assembly.deployment, profile=profile)
        egress = made.context("users").egress
        try:
            egress.check("https://127.0.0.1/")
            assert not refused
        except Invalid:
            assert refused
        await made.close()
