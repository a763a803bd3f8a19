from __future__ import annotations

import random
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from marketplace_core._supervisor.plan import plan
from marketplace_core.deployment import Deployment, DeploymentErrors, Resource, _kinds, load, outline
from marketplace_core.hookspecs import PluginInfo, hookimpl


class CatalogSettings(Struct, frozen=True, forbid_unknown_fields=True):
    page_ttl: int = 60
    token: str = ""
    sizes: list[int] = []


class Installed:
    """What an entry point is to us."""

    def __init__(self, plugin: object) -> None:
        self._plugin = plugin

    def load(self) -> object:
        if isinstance(self._plugin, Exception):
            raise self._plugin
        return self._plugin


def plugin(name: str, provides: str | None = None, *, settings: type[Struct] | None = None, **info: Any) -> Installed:
    made = types.ModuleType(f"marketplace_{name}")

    @hookimpl
    def info_() -> PluginInfo:
        return PluginInfo(name=name, version="1.0", provides=provides, **info)

    made.info = info_  # type: ignore[attr-defined]
    if provides:

        @hookimpl
        def provide(context: object) -> object:
            raise AssertionError("no service is made by a check")

        setattr(made, f"provide_{provides}", provide)
    if settings:

        @hookimpl
        def settings_() -> type[Struct]:
            return settings

        made.settings = settings_  # type: ignore[attr-defined]
    return Installed(made)


INSTALLED: dict[str, Installed] = {
    "auth": plugin("auth", "auth", stores=("postgres",), needs={"sessions": "redis"}),
    "catalog": plugin("catalog", "catalog", stores=("postgres",), settings=CatalogSettings),
    "orders": plugin("orders", "orders", stores=("postgres",), requires=("catalog",)),
    "orchestrator": plugin("orchestrator", "orchestrator", requires=("orders",)),
    "coupons": plugin("coupons", requires=("orders",)),
    "other_catalog": plugin("other_catalog", "catalog", stores=("postgres",)),
    "future": plugin("future", core=">=7"),
    "lonely": plugin("lonely", requires=("users",)),
    "wishes": plugin("wishes", stores=("postgres",), emits=("catalog",)),
    "vendor": Installed(ImportError("No module named 'vendorlib'; is it installed?")),
}

GOOD = """
[deployment]
name = "atlas"
profile = "test"
currency = "EUR"
secret = "env:ATLAS_SECRET"
trusted_proxies = ["10.0.0.0/8"]

[resources]
main = "embedded:postgres"
lasting = "embedded:redis"
cache = { url = "embedded:redis", role = "cache" }
files = "embedded:folder"

[plugins.auth]
[plugins.catalog]
page_ttl = 30
[plugins.orders]
[plugins.orchestrator]
[plugins.coupons]

[services.shop]
plugins = ["auth", "catalog"]
internal = "127.0.0.1:8101"
[services.trade]
plugins = ["orders", "orchestrator"]
internal = "127.0.0.1:8102"

[gateways.buyer]
audience = "buyer"
listen = "127.0.0.1:8000"
service = "shop"
[gateways.admin]
audiences = ["admin", "logistics"]
listen = "127.0.0.1:8001"

[simulators.payments]
[edge.web]
host = "shop.example"
gateways = ["buyer"]
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLAS_SECRET", "s" * 32)
    monkeypatch.delenv("ABSENT", raising=False)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(text: str = GOOD, *changes: tuple[str, str]) -> Path:
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        path = tmp_path / "shop.toml"
        path.write_text(text)
        return path

    return write


def loaded(path: Path, found: Mapping[str, Installed] = INSTALLED, *, secrets: bool = True) -> Deployment:
    return load(path, secrets=secrets, found=found)


def problems(path: Path, *, secrets: bool = True) -> list[str]:
    try:
        loaded(path, secrets=secrets)
    except DeploymentErrors as errors:
        prefix = f"{path}: "
        assert all(str(problem).startswith(prefix) for problem in errors.problems)
        return [str(problem).removeprefix(prefix) for problem in errors.problems]
    return []


# ── what a good file gives ───────────────────────────────────────────────────────────────────────────────────


def test_a_good_file_is_read_whole(write: Callable[..., Path]) -> None:
    deployment = loaded(write())
    assert (deployment.name, deployment.profile, deployment.currency) == ("atlas", "test", "EUR")
    assert list(deployment.plugins) == ["auth", "catalog", "orders", "orchestrator", "coupons"]
    assert deployment.plugins["catalog"].settings == {"page_ttl": 30}
    assert deployment.services["shop"].workers == {"worker": ["*"]}
    assert deployment.gateways["admin"].audiences == ("admin", "logistics")
    assert deployment.gateways["admin"].service is None
    assert deployment.edge["web"]["host"] == "shop.example"
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


# ── mistakes ─────────────────────────────────────────────────────────────────────────────────────────────────

#: One mistake each: what is changed in GOOD, and the one line that it gives.
MISTAKES: Sequence[tuple[str, str, str]] = (
    ('currency = "EUR"', 'currency = "euro"', "deployment.currency: "),
    ('profile = "test"', 'profile = "test"\ntaxincluded = true', "deployment.taxincluded: there is no such key; did you mean"),
    (
        'profile = "test"',
        'profile = "test"\ntax_included = "yes"',
        "deployment.tax_included: it is a string; write true or false",
    ),
    ('profile = "test"', 'profile = "test"\nhook_seconds = 0.0', "deployment.hook_seconds: "),
    (
        'profile = "test"',
        'profile = "test"\ntime_zone = "Europe/Berln"',
        "deployment.time_zone: there is no time zone 'Europe/Berln'; did you mean 'Europe/Berlin'?",
    ),
    ("env:ATLAS_SECRET", "env:ABSENT", "deployment.secret: the environment variable ABSENT is not set; export ABSENT"),
    ('"10.0.0.0/8"', '"10.0.0.0/8", "lan"', "deployment.trusted_proxies[1]: 'lan' is no network"),
    ("[plugins.auth]", "[pluggins.auth]\n[plugins.auth]", "pluggins: there is no such section; did you mean 'plugins'?"),
    (
        'main = "embedded:postgres"',
        'main = "embedded:postgres"\nbus = "kafka://k:9092"\nold = "gopher://x"',
        "resources.old: nothing is known of addresses like 'gopher'",
    ),
    ('role = "cache"', 'role = "cash"', "resources.cache.role: Invalid enum value 'cash'; did you mean 'cache'?"),
    ("page_ttl = 30", 'page_ttl = "soon"', "plugins.catalog.page_ttl: it is a string; write a whole number"),
    ("[plugins.orders]", "[plugins.orders]\nstore = 'mongo'", "plugins.orders.store: it has no store 'mongo'; use 'postgres'"),
    ("[plugins.auth]", "[plugins.auth]\non = { sessions = 'main' }", "plugins.auth.on.sessions: the resource 'main' is of"),
    (
        "[plugins.auth]",
        "[plugins.auth]\non = { sesions = 'lasting' }",
        "plugins.auth.on.sesions: it has no role 'sesions'; did",
    ),
    (
        "[plugins.orders]",
        "[plugins.orders]\non = { postgres = 'mian' }",
        "plugins.orders.on.postgres: there is no resource 'mian'; did",
    ),
    (
        "[plugins.coupons]",
        "[plugins.coupons]\n[plugins.other_catalog]",
        "plugins.other_catalog: 'catalog', 'other_catalog' both",
    ),
    (
        "[plugins.coupons]",
        "[plugins.coupons]\n[plugins.lonely]",
        "plugins.lonely: no plugin provides 'users', which 'lonely' needs",
    ),
    ("[plugins.coupons]", "[plugins.coupons]\n[plugins.future]", "plugins.future: it works with core >=7, and this is"),
    (
        "[plugins.coupons]",
        "[plugins.coupons]\n[plugins.vendor]",
        "plugins.vendor: the plugin 'vendor' cannot be imported (ImportError",
    ),
    (
        '"auth", "catalog"',
        '"auth", "catlog"',
        "services.shop.plugins[1]: no plugin 'catlog' is installed; did you mean 'catalog'?",
    ),
    ('internal = "127.0.0.1:8101"', 'internal = "127.0.0.1"', "services.shop.internal: '127.0.0.1' is no address to listen on"),
    ('internal = "127.0.0.1:8102"', "", "services.trade.internal: it is missing, and gateways.admin"),
    ('["orders", "orchestrator"]', '["orders", "orchestrator"]\nreplicas = 0', "services.trade.replicas: "),
    (
        '["orders", "orchestrator"]',
        '["orders", "orchestrator"]\nworkers = { one = ["*"], two = ["order.paid"] }',
        "services.trade.workers.two[0]: 'order.paid' names nothing that this service runs; did you mean 'orders'?",
    ),
    (
        'listen = "127.0.0.1:8001"',
        'listen = "0.0.0.0:8000"',
        "gateways.admin.listen: 0.0.0.0:8000 is used by gateways.buyer.listen",
    ),
    (
        'audience = "buyer"',
        'audience = "buyers"',
        "gateways.buyer.audience: Invalid enum value 'buyers'; did you mean 'buyer'?",
    ),
    ('["admin", "logistics"]', '["admin", "logistics", "admin"]', "gateways.admin.audiences: 'admin' is named twice"),
    ('service = "shop"', 'service = "ship"', "gateways.buyer.service: there is no service 'ship'; did you mean 'shop'?"),
    ("[simulators.payments]", "[simulators.payment]", "simulators.payment: there is no simulator 'payment'; did you mean"),
    (
        'gateways = ["buyer"]',
        'gateways = ["boyer"]',
        "edge.web.gateways[0]: there is no gateway 'boyer'; did you mean 'buyer'?",
    ),
)


def assert_told(lines: list[str], expected: list[str]) -> None:
    left = list(lines)
    for start in expected:
        told = [line for line in left if line.startswith(start)]
        assert told, f"{start!r} is not among\n" + "\n".join(left)
        left.remove(told[0])
    assert left == []
    assert all(line.count("; ") >= 1 and "\n" not in line for line in lines)


@pytest.mark.parametrize(("old", "new", "line"), MISTAKES, ids=[line.split(": ")[0] for *_, line in MISTAKES])
def test_each_mistake_gives_its_one_line(write: Callable[..., Path], old: str, new: str, line: str) -> None:
    expected = [line]
    if "kafka" in new:
        expected.append("resources.bus: nothing is known of addresses like 'kafka'")
    assert_told(problems(write(GOOD, (old, new))), expected)


@pytest.mark.behaviour("all-7")
@pytest.mark.parametrize("seed", range(40))
def test_seven_independent_mistakes_give_exactly_seven_lines(write: Callable[..., Path], seed: int) -> None:
    order = random.Random(seed)
    chosen: dict[str, tuple[str, str]] = {}
    for old, new, line in order.sample([m for m in MISTAKES if "kafka" not in m[1]], len(MISTAKES) - 1):
        # Not two in one place, nor one that takes away what another speaks of.
        together = (old.strip('[]"'), line.split(": ")[0].split("[")[0])
        if len(chosen) < 7 and not any(together[0] in o or o.strip('[]"') in old for o in chosen):
            chosen[old] = (new, line)
    assert len(chosen) == 7
    path = write(GOOD, *((old, new) for old, (new, _) in chosen.items()))
    assert_told(problems(path), [line for _, line in chosen.values()])


def test_a_syntax_error_has_a_place(write: Callable[..., Path]) -> None:
    (line,) = problems(write('[deployment]\nname = "x\n'))
    assert line.startswith("line 2, column ")
    assert "it is not TOML" in line


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    (line,) = problems(tmp_path / "none.toml")
    assert line == "file: it cannot be read (No such file or directory); give the path of a deployment file"


def test_an_empty_file_says_what_belongs_there(write: Callable[..., Path]) -> None:
    keys = [line.split(": ")[0] for line in problems(write(""))]
    assert keys == ["deployment", "services"]


def test_production_refuses_what_is_for_development(write: Callable[..., Path]) -> None:
    path = write(GOOD, ('profile = "test"', 'profile = "production"\nclock = "movable"'))
    assert_told(problems(path), ["deployment.clock: a production clock", "simulators.payments: a production deployment"])


def test_only_the_embedded_profile_may_do_without_a_secret(write: Callable[..., Path]) -> None:
    none = ('secret = "env:ATLAS_SECRET"', "")
    assert_told(problems(write(GOOD, none)), ["deployment.secret: it is missing; write secret ="])
    assert problems(write(GOOD, none, ('profile = "test"', 'profile = "embedded"'))) == []


def test_a_secret_in_the_file_is_refused_and_not_repeated(write: Callable[..., Path]) -> None:
    lines = problems(write(GOOD, ("env:ATLAS_SECRET", "hunter2hunter2")))
    assert_told(lines, ["deployment.secret: a secret may not stand in the file"])
    assert "hunter2" not in lines[0]


def test_a_cache_cannot_carry_what_must_last(write: Callable[..., Path]) -> None:
    path = write(GOOD, ('name = "atlas"', 'name = "atlas"\non = { bus = "cache" }'))
    assert_told(problems(path), ["deployment.on.bus: the resource 'cache' is a cache and forgets"])


def test_a_role_that_two_resources_could_play_must_be_settled(write: Callable[..., Path]) -> None:
    two = ('lasting = "embedded:redis"', 'lasting = "embedded:redis"\nsecond = "embedded:redis"')
    lines = problems(write(GOOD, two))
    assert_told(lines, ["deployment.on.bus: 'cache', 'lasting', 'second' could play 'bus', and 2 more want one; name"])
    settled = ('name = "atlas"', 'name = "atlas"\non = { bus = "second", jobs = "second", clock = "second" }')
    assert problems(write(GOOD, two, settled)) == []
    elsewhere = ("[plugins.auth]", '[plugins.auth]\non = { sessions = "lasting" }')
    told = "plugins.auth.on.sessions: the gateways look for sessions on 'cache', and would not find what is kept on 'lasting'"
    assert_told(problems(write(GOOD, two, settled, elsewhere)), [told])


def test_a_server_that_is_missing_is_one_mistake(write: Callable[..., Path]) -> None:
    lines = problems(write(GOOD, ('main = "embedded:postgres"\n', "")))
    assert_told(lines, ["deployment.on.sagas: no resource can play 'sagas', and 3 more want one; add one of"])


def test_a_deployed_plugin_must_be_run_somewhere_once(write: Callable[..., Path]) -> None:
    nowhere = write(GOOD, ('["auth", "catalog"]', '["catalog"]'))
    assert_told(problems(nowhere), ["plugins.auth: no service runs 'auth'; name it in plugins"])
    twice = write(GOOD, ('["auth", "catalog"]', '["auth", "catalog", "orders"]'))
    assert_told(problems(twice), ["services.trade.plugins[0]: 'orders' is in services.shop.plugins[2] too"])


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
    with pytest.raises(DeploymentErrors) as caught:
        loaded(write(GOOD, INDEX, by_kind), found)
    assert [problem.key for problem in caught.value.problems] == ["plugins.auth.on.postgres"], "two of its roles could be meant"


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
    assert set(found.by_name) == {"postgres", "redis", "folder"}
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
