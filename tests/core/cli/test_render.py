"""``marketplace render``: the same texts each time, or one line that says what the file lacks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from marketplace_core._supervisor.plan import plan
from marketplace_core.cli._render import nginx
from marketplace_core.cli._render.facts import Facts, gather
from tests.core.cli.programs import marketplace

EXAMPLE = Path(__file__).parents[3] / "examples" / "distributed.toml"


@pytest.fixture(scope="module")
def facts() -> Facts:
    return gather(EXAMPLE)


def test_the_example_has_no_problem_and_its_clients_reach_what_they_may(facts: Facts) -> None:
    made = nginx.render(facts)
    assert list(made) == [f"{name}/nginx.conf" for name in ("front", "mobile", "web", "public", "operators")]
    for name in ("mobile", "web"):
        for audience in ("buyer", "seller", "logistics"):
            assert f"location /{audience}/v1/ {{" in made[f"{name}/nginx.conf"]
    assert "location /buyer/v1/ {" not in made["public/nginx.conf"]
    assert all("/admin/" not in made[f"{name}/nginx.conf"] for name in ("front", "mobile", "web", "public"))
    assert "deny all;" in made["operators/nginx.conf"] and "admin.internal" not in made["front/nginx.conf"]
    assert nginx.render(gather(EXAMPLE)) == made


def test_without_a_cache_the_public_client_still_reaches_every_read(tmp_path: Path) -> None:
    file = tmp_path / "fresh.toml"
    file.write_text(EXAMPLE.read_text().replace('zone = "shop.example"', 'zone = "shop.example"\ncache_seconds = 0'))
    text = nginx.render(gather(file))["public/nginx.conf"]
    assert "proxy_cache reads" not in text and "/buyer/v1/categories" in text and "/buyer/v1/tracking/" in text


def test_what_is_written_and_what_is_refused(file: Path, tmp_path: Path) -> None:
    done = marketplace("render", EXAMPLE, "nginx", "-o", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["kind"] == "nginx" and all(Path(path).is_file() for path in told["files"]) and len(told["files"]) == 5

    done = marketplace("render", file, "nginx", "-o", tmp_path / "none")
    assert done.returncode == 2 and not (tmp_path / "none").exists()
    cause = "shop.toml says of no client by which host it comes"
    assert done.stderr == f'marketplace: {cause}; add [edge.web] with host = "shop.example" and gateways\n'
    assert marketplace("render", EXAMPLE, "ngnix", "-o", tmp_path / "none").returncode == 2


def test_a_gateway_has_as_many_processes_as_the_file_says(facts: Facts, tmp_path: Path) -> None:
    names = [spec.name for spec in plan(facts.deployment, tmp_path, {}).apis]
    assert [name for name in names if name.startswith(("buyer", "admin"))] == ["buyer.1", "buyer.2", "admin"]
