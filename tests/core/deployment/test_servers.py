from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from marketplace_core._supervisor.plan import plan
from marketplace_core.deployment import DeploymentErrors, _kinds
from tests.core.deployment.files import GOOD, INSTALLED, Installed, loaded, plugin

INDEX = ("main =", 'index = "index:words"\nmain =')


def with_index(found: Mapping[str, Installed] = INSTALLED) -> dict[str, Installed]:
    """Auth has, beside its own store, an index that one process must own."""
    return {**found, "auth": plugin("auth", "auth", stores=("postgres",), roles={"words": ("index",)})}


@pytest.mark.usefixtures("index_kind")
def test_what_only_one_process_may_own_is_not_replicated(write: Callable[..., Path]) -> None:
    path = write(GOOD, INDEX, ('["auth", "catalog"]', '["auth", "catalog"]\nreplicas = 2'))
    with pytest.raises(DeploymentErrors) as caught:
        loaded(path, with_index())
    (problem,) = caught.value.problems
    assert (problem.key, problem.remedy) == ("services.shop.replicas", "write replicas = 1, or choose another store")


@pytest.mark.usefixtures("index_kind")
def test_a_service_with_such_a_store_is_one_process(write: Callable[..., Path], tmp_path: Path) -> None:
    deployment = loaded(write(GOOD, INDEX), with_index())
    assert {service.name: service.alone for service in deployment.services.values()} == {"shop": True, "trade": False}
    assert deployment.plugins["auth"].on == {"auth": "main", "words": "index"}
    made = plan(deployment, tmp_path, {})
    assert [spec.name for spec in made.workers] == ["trade.worker"]
    assert [spec.name for spec in made.apis] == ["shop", "trade", "admin"]


@pytest.mark.usefixtures("index_kind")
def test_roles_of_a_plugin_are_told_apart(write: Callable[..., Path]) -> None:
    two = plugin("auth", "auth", stores=("postgres",), roles={"words": ("index",), "scores": ("postgres", "index")})
    found = {**INSTALLED, "auth": two}
    named = ("[plugins.auth]", '[plugins.auth]\non = { auth = "main", scores = "index" }')
    assert loaded(write(GOOD, INDEX, named), found).plugins["auth"].on == {"auth": "main", "words": "index", "scores": "index"}
    by_kind = ("[plugins.auth]", '[plugins.auth]\non = { postgres = "main" }')
    assert loaded(write(GOOD, INDEX, by_kind), found).plugins["auth"].on == {"auth": "main", "words": "index", "scores": "main"}
    by_both = ("[plugins.auth]", '[plugins.auth]\non = { postgres = "main", index = "index" }')
    with pytest.raises(DeploymentErrors) as caught:
        loaded(write(GOOD, INDEX, by_both), found)
    [problem] = caught.value.problems
    assert (problem.key, problem.remedy) == ("plugins.auth.on.index", "write on.scores"), "either could be meant"


OTHER = ("main =", 'other = "postgres://db/other"\nmain =')


@pytest.mark.parametrize(
    ("on", "where"),
    [('auth = "other"', "other"), ('postgres = "other"', "other"), ('auth = "other", postgres = "main"', "main")],
)
def test_a_role_of_which_nothing_is_said_is_beside_the_plugins_own(write: Callable[..., Path], on: str, where: str) -> None:
    found = {**INSTALLED, "auth": plugin("auth", "auth", stores=("postgres",), roles={"scores": ("postgres",)})}
    changes = [(f"[plugins.{name}]", f'[plugins.{name}]\non = {{ postgres = "main" }}') for name in ("catalog", "orders")]
    changes += [("[plugins.auth]", f"[plugins.auth]\non = {{ {on} }}"), ("[resources]", 'on = { sagas = "main" }\n[resources]')]
    path = write(GOOD, OTHER, *changes)
    assert loaded(path, found).plugins["auth"].on == {"auth": "other", "scores": where}


@pytest.fixture
def index_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another package's kind of server, declared as one declares it."""
    (tmp_path / "index_kind_of_a_test.py").write_text(
        "from marketplace_core.ports.servers import ServerKind\n"
        "INDEX = ServerKind(name='index', schemes=('index',), open='x:y', one_process=True, path=True)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    more = EntryPoint("index", "index_kind_of_a_test:INDEX", _kinds.GROUP)
    monkeypatch.setattr(_kinds, "entry_points", lambda group: [*metadata.entry_points(group=group), more])
    _kinds.installed_kinds.cache_clear()
    yield
    _kinds.installed_kinds.cache_clear()


def test_what_another_package_brings_and_cannot_be_used_is_said() -> None:
    broken = [
        EntryPoint("acme", "no_such_package_of_acme:ACME", _kinds.GROUP),
        EntryPoint("other", "marketplace_core.values:Money", _kinds.GROUP),
        EntryPoint("again", "marketplace_core.adapters.redis.kind:REDIS", _kinds.GROUP),
    ]
    found = _kinds.gather([*metadata.entry_points(group=_kinds.GROUP), *broken])
    assert {"postgres", "redis", "folder"} <= set(found.by_name)
    assert {"acme", "other", "again"}.isdisjoint(found.by_name)
    parts = ("cannot be imported (ModuleNotFoundError", "is no ServerKind", "'redis'")
    assert all(part in told for part, told in zip(parts, found.broken, strict=True))


def test_order_among_plugins(write: Callable[..., Path]) -> None:
    late = {**INSTALLED, "coupons": plugin("coupons", before=("auth",))}
    with pytest.raises(DeploymentErrors) as caught:
        loaded(write(), late)
    assert [str(p).split(": ", 1)[1] for p in caught.value.problems] == [
        "plugins.auth: it must come after 'coupons'; write [plugins.coupons] above it"
    ]
    circle = {**late, "auth": plugin("auth", "auth", stores=("postgres",), before=("coupons",))}
    with pytest.raises(DeploymentErrors) as caught:
        loaded(write(), circle)
    assert [p.cause for p in caught.value.problems] == ["the plugins 'auth', 'coupons' each want to come before the other"]


def test_one_line_per_missing_capability_whoever_needs_it(write: Callable[..., Path]) -> None:
    path = write(GOOD, ('"auth", "catalog"', '"auth"'), ("[plugins.catalog]\npage_ttl = 30\n", ""))
    found = {**INSTALLED, "auth": plugin("auth", "auth", requires=("catalog",))}
    with pytest.raises(DeploymentErrors) as caught:
        loaded(path, found)
    (problem,) = caught.value.problems
    assert problem.key == "plugins.auth"
    assert problem.cause == "no plugin provides 'catalog', which 'auth', 'orders' need"


def test_a_production_deployment_refuses_what_is_for_development(write: Callable[..., Path]) -> None:
    found = {**INSTALLED, "coupons": plugin("coupons", development=True)}
    assert loaded(write(), found) is not None
    with pytest.raises(DeploymentErrors) as caught:
        loaded(write(GOOD, ('profile = "test"', 'profile = "production"')), found)
    told = {problem.key: problem.remedy for problem in caught.value.problems}
    assert told["plugins.coupons"] == "take it out, or set deployment.profile to test"
