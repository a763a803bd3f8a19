from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.core.deployment.files import GOOD, assert_told, problems

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
        'main = "embedded:postgres"\nbus = "amqp://k:5672"\nold = "gopher://x"',
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
    ('"shop.example"', '"Shop Example"', 'edge.web.host: it has not the right form; write it as "shop.example"'),
    ('"shop.example"', '"shop.example"\norigin = "x"', "edge.web.origin: there is no such key; did you mean 'origins'?"),
    (
        '"shop.example"',
        '"shop.example"\norigins = ["https://shop.example/"]',
        "edge.web.origins[0]: 'https://shop.example/' is more than an origin, and no browser sends it; write",
    ),
    ('"shop.example"', '"shop.example"\ntls = "/etc/shop.pem"', "edge.web.tls: it has not the right form; write it as"),
    ('"shop.example"', '"shop.example"\ninternal = true', "edge.web.allow: an internal host is for nobody without it; write"),
    ('"shop.example"', '"shop.example"\nallow = ["10.0.0.0/8"]', "edge.web.allow: a public host is for everybody; write"),
)


@pytest.mark.parametrize(("old", "new", "line"), MISTAKES, ids=[line.split(": ")[0] for *_, line in MISTAKES])
def test_each_mistake_gives_its_one_line(write: Callable[..., Path], old: str, new: str, line: str) -> None:
    expected = [line]
    if "amqp" in new:
        expected.append("resources.bus: nothing is known of addresses like 'amqp'")
    assert_told(problems(write(GOOD, (old, new))), expected)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("[edge.web]", '[edge]\nzone = "other.example"\n[edge.web]', "edge.web.host: 'shop.example' is not in the zone 'other"),
        (
            '"shop.example"',
            '"shop.example"\nlisten = "127.0.0.1:8001"',
            "edge.web.listen: 127.0.0.1:8001 is used by gateways.admin.listen too; give it another port",
        ),
        (
            "[edge.web]",
            '[edge.app]\nhost = "a.example"\ngateways = ["buyer"]\ntls = "file:/a.pem"\n[edge.web]',
            "edge.web.tls: it is missing, and other public hosts have one; give it to all, or to none",
        ),
        ("[edge.web]", "[edge.front]", "edge.front: the proxy before all clients has this name; choose another name"),
        (
            "[edge.web]",
            '[edge.app]\nhost = "shop.example"\ngateways = ["buyer"]\n[edge.web]',
            "edge.web.host: 'shop.example' is that of edge.app too; give each a host of its own",
        ),
        (
            'service = "shop"',
            'service = "shop"\nreplicas = 2',
            "gateways.buyer.replicas: it runs in the processes of its service; set services.shop.replicas",
        ),
    ],
)
def test_what_the_hosts_of_clients_say_of_others(write: Callable[..., Path], old: str, new: str, line: str) -> None:
    assert_told(problems(write(GOOD, (old, new))), [line])


@pytest.mark.behaviour("all-7")
@pytest.mark.parametrize("seed", range(40))
def test_seven_independent_mistakes_give_exactly_seven_lines(write: Callable[..., Path], seed: int) -> None:
    order = random.Random(seed)
    chosen: dict[str, tuple[str, str]] = {}
    for old, new, line in order.sample([m for m in MISTAKES if "amqp" not in m[1]], len(MISTAKES) - 1):
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


_ASSUMED = 'documents = { url = "mongodb://db.internal/shop", replica_set = "assumed" }'


def test_production_refuses_a_replica_set_that_is_only_assumed(write: Callable[..., Path]) -> None:
    assumed = ('main = "embedded:postgres"', f'main = "embedded:postgres"\n{_ASSUMED}')
    assert problems(write(GOOD, assumed)) == []
    told = problems(write(GOOD, assumed, ('profile = "test"', 'profile = "production"')))
    assert_told(told, ["resources.documents.replica_set: replica_set = 'assumed' is for a trial", "simulators.payments: "])


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
    which = "'cache', 'lasting', 'second' could play"
    told = [f"deployment.on.bus: {which} 'bus'; name", f"deployment.on.jobs: {which} 'jobs', and 1 more want one; name"]
    assert_told(lines, told)
    settled = ('name = "atlas"', 'name = "atlas"\non = { bus = "second", jobs = "second", clock = "second" }')
    assert problems(write(GOOD, two, settled)) == []
    elsewhere = ("[plugins.auth]", '[plugins.auth]\non = { sessions = "lasting" }')
    lost = "plugins.auth.on.sessions: the gateways look for sessions on 'cache', and would not find what is kept on 'lasting'"
    assert_told(problems(write(GOOD, two, settled, elsewhere)), [lost])


def test_a_server_that_is_missing_is_one_mistake(write: Callable[..., Path]) -> None:
    lines = problems(write(GOOD, ('main = "embedded:postgres"\n', "")))
    assert_told(lines, ["deployment.on.sagas: no resource can play 'sagas', and 3 more want one; add one of"])


def test_a_deployed_plugin_must_be_run_somewhere_once(write: Callable[..., Path]) -> None:
    nowhere = write(GOOD, ('["auth", "catalog"]', '["catalog"]'))
    assert_told(problems(nowhere), ["plugins.auth: no service runs 'auth'; name it in plugins"])
    twice = write(GOOD, ('["auth", "catalog"]', '["auth", "catalog", "orders"]'))
    assert_told(problems(twice), ["services.trade.plugins[0]: 'orders' is in services.shop.plugins[2] too"])
