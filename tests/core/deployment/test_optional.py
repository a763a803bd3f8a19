"""A plugin that a file would like to have is not in it where its package, or the driver of its store, is not installed."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from marketplace_core.deployment._kinds import Kinds, installed_kinds
from marketplace_core.deployment._optional import without_absent
from marketplace_core.ports.servers import ServerKind

RAW: dict[str, Any] = {
    "deployment": {"name": "shop", "on": {"bus": "lasting"}},
    "resources": {"main": "embedded:postgres", "lasting": "embedded:redis", "events": "acme:events"},
    "plugins": {"catalog": {}, "analytics": {"optional": True, "on": {"acme": "events", "inbox": "lasting"}}},
    "services": {"market": {"plugins": ["catalog"]}, "reports": {"plugins": ["analytics"], "internal": "127.0.0.1:8001"}},
}


def _kinds(*needs: str) -> Kinds:
    acme = ServerKind(name="acme", schemes=("acme",), open="acme:open", needs=needs)
    known = installed_kinds()
    return Kinds({**known.by_name, "acme": acme}, {**known.by_prefix, "acme": acme})


@pytest.mark.parametrize(
    ("installed", "needs", "there"),
    [
        ({"catalog", "analytics"}, ("json",), True),
        ({"catalog", "analytics"}, ("json", "no_such_module"), False),
        ({"catalog"}, ("json",), False),
    ],
)
def test_it_is_there_where_all_that_it_needs_is(installed: set[str], needs: tuple[str, ...], there: bool) -> None:
    given = copy.deepcopy(RAW)
    found = without_absent(given, installed, _kinds(*needs))
    assert given == RAW
    assert ("analytics" in found["plugins"], "events" in found["resources"], "reports" in found["services"]) == (there,) * 3
    assert found["services"]["market"] == RAW["services"]["market"]
    assert {"main", "lasting"} <= found["resources"].keys()  # what others use stays


def test_what_is_not_optional_stays_and_is_told_of() -> None:
    raw = copy.deepcopy(RAW)
    del raw["plugins"]["analytics"]["optional"]
    assert without_absent(raw, {"catalog"}, _kinds("no_such_module")) == raw
