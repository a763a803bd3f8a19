"""A file for servers anywhere, on servers of this machine: what changes of it, and what does not."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from marketplace_core._supervisor.natively import natively, rewritten
from marketplace_core.adapters.native.errors import EmbeddedError
from marketplace_core.deployment import DEFAULT_FILE, load, outline

DISTRIBUTED = Path(__file__).parents[3] / "examples" / "distributed.toml"


def test_every_server_is_one_that_up_starts(tmp_path: Path) -> None:
    made = natively(outline(DISTRIBUTED), tmp_path)
    before, after = outline(DISTRIBUTED), load(made, secrets=False)
    assert all(resource.embedded for resource in after.resources.values())
    kinds = {name: resource.kind for name, resource in before.resources.items()}
    assert {name: resource.kind for name, resource in after.resources.items()} == {**kinds, "events": "chdb"}
    assert before.on.items() <= after.on.items()
    assert after.name == before.name and after.limits.rates == before.limits.rates
    assert (after.profile, after.secret) == ("embedded", None)
    assert {name: service.internal for name, service in after.services.items()} == {
        name: service.internal for name, service in before.services.items()
    }
    assert set(after.plugins) - set(before.plugins) == {"payments_simulator", "carriers_simulator"}
    assert after.service_of("payments_simulator").name == "payments"
    assert set(after.simulators) == {"payments", "carriers"}


def test_its_proxies_have_certificates_of_this_machine_and_let_it_in(tmp_path: Path) -> None:
    after = outline(natively(outline(DISTRIBUTED), tmp_path))
    assert {edge.certificate for edge in after.edge.values()} == {str(tmp_path / "edge" / f"{name}.pem") for name in after.edge}
    assert "127.0.0.0/8" in after.edge["operators"].allow and after.edge["web"].allow == ()
    assert after.edge["web"].origins == outline(DISTRIBUTED).edge["web"].origins


def test_what_is_here_already_stays(tmp_path: Path) -> None:
    deployment = outline(DEFAULT_FILE)
    raw = tomllib.loads(DEFAULT_FILE.read_text())
    made = rewritten(deployment, tmp_path)
    assert made["plugins"] == raw["plugins"] and made["services"] == raw["services"] and made["simulators"] == raw["simulators"]
    assert made["resources"]["cache"] == {"url": "embedded:redis", "role": "cache"}


def test_the_same_file_is_written_to_the_same_place(tmp_path: Path) -> None:
    """And another one elsewhere: what runs reads its own again when a process of it begins anew."""
    first = natively(outline(DISTRIBUTED), tmp_path)
    assert natively(outline(DISTRIBUTED), tmp_path) == first
    assert natively(outline(DEFAULT_FILE), tmp_path) != first


def test_a_server_that_cannot_be_started_here_is_named(tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    file.write_text('[deployment]\ncurrency = "EUR"\nsecret = "env:S"\n[resources]\nmain = "env:SHOP"\n')
    with pytest.raises(EmbeddedError, match=r"resources\.main does not say what server it is: write kind"):
        natively(outline(file), tmp_path)
