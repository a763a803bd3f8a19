from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from marketplace_core.deployment import DeploymentErrors, Resource, outline
from tests.core.deployment.files import GOOD, loaded, problems


def test_a_good_file_is_read_whole(write: Callable[..., Path]) -> None:
    deployment = loaded(write())
    assert (deployment.name, deployment.profile, deployment.currency) == ("atlas", "test", "EUR")
    assert list(deployment.plugins) == ["auth", "catalog", "orders", "orchestrator", "coupons"]
    assert deployment.plugins["catalog"].settings == {"page_ttl": 30}
    assert deployment.services["shop"].workers == {"worker": ["*"]}
    assert deployment.gateways["admin"].audiences == ("admin", "logistics")
    assert deployment.gateways["admin"].service is None
    assert deployment.edge["web"].host == "shop.example"
    assert deployment.file.is_absolute()


def test_roles_and_stores_find_their_resources(write: Callable[..., Path]) -> None:
    deployment = loaded(write())
    assert deployment.on == {
        "bus": "lasting",
        "jobs": "lasting",
        "clock": "lasting",
        "cache": "cache",
        "feed": "cache",
        "blobs": "files",
        "sagas": "main",
        "sessions": "cache",
        "rates": "cache",
    }
    assert deployment.plugins["auth"].on == {"auth": "main", "sessions": "cache"}
    assert deployment.plugins["auth"].store == "postgres"
    assert deployment.resource_for("orders", "orders") == "main"
    with pytest.raises(LookupError, match=r"plugins\.orders\.on\.feed"):
        deployment.resource_for("orders", "feed")


def test_feeds_are_where_the_cache_is_unless_they_have_a_server_of_their_own(write: Callable[..., Path]) -> None:
    own = ("[resources]\n", '[resources]\nshelf = { url = "redis://shelf/0", role = "cache" }\n')
    named = loaded(write(GOOD, own, ('currency = "EUR"\n', 'currency = "EUR"\non = { feed = "shelf" }\n'))).on
    assert (named["cache"], named["feed"]) == ("cache", "shelf")


def test_a_plugin_that_only_a_service_names_is_deployed_after_those_with_a_table(write: Callable[..., Path]) -> None:
    deployment = loaded(write(GOOD, ("[plugins.auth]\n", "")))
    assert list(deployment.plugins) == ["catalog", "orders", "orchestrator", "coupons", "auth"]


def test_addresses_may_stand_elsewhere(write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "url").write_text("postgres://u:geheim@db/atlas\n")
    monkeypatch.setenv("REDIS", "redis://r:6379/0")
    path = write(
        GOOD, ('main = "embedded:postgres"', 'main = "file:url"'), ('lasting = "embedded:redis"', 'lasting = "env:REDIS"')
    )
    deployment = loaded(path)
    assert deployment.resources["main"].kind == "postgres"
    assert deployment.resources["lasting"].kind == "redis"
    assert deployment.resolve(deployment.resources["main"].url) == "postgres://u:geheim@db/atlas"
    assert "geheim" not in repr(deployment)


def test_without_secrets_what_is_elsewhere_may_be_missing(write: Callable[..., Path]) -> None:
    path = write(GOOD, ('"embedded:postgres"', '"env:ABSENT"'), ("page_ttl = 30", 'token = "env:ABSENT"\npage_ttl = 1'))
    assert problems(path, secrets=False) == []
    assert problems(path) == [
        "resources.main: the environment variable ABSENT is not set; export ABSENT",
        "plugins.catalog.token: the environment variable ABSENT is not set; export ABSENT",
    ]


def test_a_password_in_an_address_is_not_printed() -> None:
    resource = Resource(name="main", url="postgres://atlas:geheim@db:5432/atlas", kind="postgres")
    assert repr(resource) == "Resource('main', 'postgres://atlas:***@db:5432/atlas', kind='postgres')"


def test_rivals_are_settled_by_pick(write: Callable[..., Path]) -> None:
    rival = ("[plugins.orders]\n", "[plugins.other_catalog]\n[plugins.orders]\n")
    picked = ("page_ttl = 30", "page_ttl = 30\npick = true")
    assert problems(write(GOOD, rival, picked)) == []


def test_the_outline_needs_no_plugin(write: Callable[..., Path]) -> None:
    path = write(GOOD, ("[plugins.auth]", "[plugins.nowhere]"))
    assert list(outline(path).services) == ["shop", "trade"]
    with pytest.raises(DeploymentErrors, match=r"gateways\.buyer\.service"):
        outline(write(GOOD, ('service = "shop"', 'service = "ship"')))


@pytest.mark.behaviour("events-5")
def test_who_emits_on_one_topic_shares_a_database(write: Callable[..., Path]) -> None:
    several = 'main = "embedded:postgres"\nsagas = "postgres://db/sagas"\nsecond = "postgres://db/second"'
    on = [
        ('main = "embedded:postgres"', several),
        ("[plugins.auth]\n", '[plugins.auth]\non = { auth = "main" }\n'),
        ("page_ttl = 30\n", 'page_ttl = 30\non = { catalog = "main" }\n'),
    ]

    def with_wishes(resource: str) -> list[str]:
        added = f'[plugins.wishes]\non = {{ wishes = "{resource}" }}\n[plugins.orders]\non = {{ orders = "main" }}\n'
        return problems(write(GOOD, *on, ("[plugins.orders]\n", added)))

    assert with_wishes("main") == []
    [problem] = with_wishes("second")
    assert problem.startswith("plugins.wishes.on.wishes: 'wishes' is on 'second' and 'catalog' on 'main', and both emit on")
    assert problem.endswith("put both on 'main', or let one of them emit")
