from __future__ import annotations

import sys
import types
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, time, timedelta
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from marketplace_core._plugins.registry import PluginError, Registry, check_extensions, load_plugins
from marketplace_core._plugins.specs import HookSpec, hook_specs
from marketplace_core.capabilities.catalog import Catalog
from marketplace_core.context import PluginContext
from marketplace_core.deployment import DeploymentErrors, Loaded, load_all
from marketplace_core.hookspecs import Job, Migration, PluginInfo, Schedule, hookimpl
from marketplace_core.http.routing import Request, Router
from marketplace_core.values import Page


class Found:
    """What an entry point is to us."""

    def __init__(self, plugin: object) -> None:
        self._plugin = plugin

    def load(self) -> object:
        return self._plugin


def plugin(name: str, *hooks: Callable[..., Any], **info: Any) -> Found:
    made = types.ModuleType(f"marketplace_{name}")

    @hookimpl
    def say() -> PluginInfo:
        return PluginInfo(**{"name": name, "version": "1.0", **info})

    made.info = say  # type: ignore[attr-defined]
    for hook in hooks:
        setattr(made, hook.__name__, hook)
    return Found(made)


@hookimpl
def provide_catalog(context: PluginContext) -> object:
    raise AssertionError("no service is made by a check")


def load(**found: Found) -> Registry:
    return load_plugins(tuple(found), found=found)


def told(registry: Registry) -> list[str]:
    return [f"{problem.plugin}: {problem.cause}; {problem.remedy}" for problem in registry.problems]


# ── registration ─────────────────────────────────────────────────────────────────────────────────────────────


def test_hooks_are_called_in_the_order_of_the_deployment() -> None:
    def named(name: str) -> Found:
        @hookimpl
        def jobs() -> Sequence[Job]:
            return [Job(f"{name}.one", print)]

        return plugin(name, jobs)

    registry = load(b=named("b"), a=named("a"), c=named("c"))
    assert registry.problems == []
    assert list(registry.infos) == ["b", "a", "c"]
    assert [jobs[0].name for jobs in registry.manager.hook.jobs(context=None)] == ["b.one", "a.one", "c.one"]
    assert registry.call("a", "jobs")[0].name == "a.one"
    assert registry.call("a", "sagas") is None
    assert registry.implements("a") == ["info", "jobs"]


def test_two_registries_know_nothing_of_each_other() -> None:
    one, other = load(a=plugin("a")), load(b=plugin("b"))
    assert [name for name, _ in one.manager.list_name_plugin()] == ["a"]
    assert [name for name, _ in other.manager.list_name_plugin()] == ["b"]


def test_every_capability_has_its_provider_hook() -> None:
    specs = hook_specs()
    assert specs["provide_catalog"] == HookSpec("provide_catalog", "catalog", False, ("context",))
    assert specs["routers"].capability is None


@hookimpl
def subscription() -> object:
    return ()


@hookimpl
async def jobs() -> object:
    return ()


@hookimpl(specname="routers")
def routes(contxt: object) -> object:
    return ()


@hookimpl(tryfirst=True, specname="schedules")
def early() -> object:
    return ()


@pytest.mark.behaviour("all-7")
@pytest.mark.parametrize(
    ("hook", "line"),
    [
        (subscription, "p: there is no hook 'subscription'; did you mean 'subscriptions'?"),
        (jobs, "p: the hook 'jobs' is async, and it runs at assembly; write it as a plain def"),
        (routes, "p: the hook 'routers' has no argument 'contxt'; did you mean 'context'?"),
        (early, "p: the hook 'schedules' is marked tryfirst; leave the mark out (the order is that of the deployment's file)"),
        (
            provide_catalog,
            "p: it has the hook 'provide_catalog' and does not say that it provides it; name it in info().provides",
        ),
    ],
)
def test_an_implementation_that_does_not_fit_is_refused_by_name(hook: Callable[..., Any], line: str) -> None:
    registry = load(p=plugin("p", hook), q=plugin("q"))
    assert told(registry) == [line]
    assert registry.broken == ["p"]
    assert list(registry.infos) == ["q"]


def test_a_plugin_must_be_what_its_entry_point_says() -> None:
    silent = Found(types.ModuleType("silent"))
    registry = load(a=plugin("b"), c=plugin("c", provides="catalog"), d=silent)
    assert told(registry) == [
        "a: it calls itself 'b'; call it 'a', as its entry point does",
        "c: it says that it provides 'catalog' and has no hook 'provide_catalog'; implement the hook",
        "d: it does not implement the hook 'info'; say there what it is",
    ]


def test_a_broken_third_party_plugin_is_named_without_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vendor_one.py").write_text("import vendorlib_that_is_not_there\n")
    (tmp_path / "vendor_two.py").write_text("raise SystemExit('no licence; call us')\n")
    monkeypatch.syspath_prepend(tmp_path)
    names = ("one", "two")
    found = {name: EntryPoint(name, f"vendor_{name}", "marketplace.plugins") for name in names}
    registry = load_plugins((*names, "three"), found=found)
    remedy = "install it anew, or take it out of the file"
    assert told(registry) == [
        "one: the plugin 'one' cannot be imported "
        f"(ModuleNotFoundError: No module named 'vendorlib_that_is_not_there', at {tmp_path}/vendor_one.py:1); {remedy}",
        f"two: the plugin 'two' cannot be imported (SystemExit: no licence, call us, at {tmp_path}/vendor_two.py:1); {remedy}",
        "three: no plugin 'three' is installed; install its package",
    ]
    assert "vendor_one" not in sys.modules


# ── extension hooks ──────────────────────────────────────────────────────────────────────────────────────────

SPECS = {
    "check_lines": HookSpec("check_lines", "orders", True, ("lines", "caller")),
    "price_rules": HookSpec("price_rules", "catalog", True, ("variants",)),
    "routers": HookSpec("routers", None, False, ("context",)),
}


class Good:
    async def check_lines(self, lines: object) -> list[object]:
        return [lines]

    def _helper(self) -> None: ...


class Bad:
    async def check_line(self, lines: object) -> None: ...
    def price_rules(self, variant: object) -> None: ...


def test_extensions_are_the_public_methods_of_an_object() -> None:
    good = Good()
    assert check_extensions("coupons", good, SPECS) == {"check_lines": good.check_lines}


def test_an_extension_that_does_not_fit_is_refused_by_name() -> None:
    with pytest.raises(PluginError) as caught:
        check_extensions("coupons", Bad(), SPECS)
    assert str(caught.value).splitlines() == [
        "the plugin 'coupons': there is no extension hook 'check_line'; did you mean 'check_lines'?",
        "the plugin 'coupons': the hook 'price_rules' has no argument 'variant'; did you mean 'variants'?",
        "the plugin 'coupons': the extension hook 'price_rules' is not async; write it as async def",
    ]


# ── what plugins declare ─────────────────────────────────────────────────────────────────────────────────────

FILE = """
[deployment]
currency = "EUR"
profile = "embedded"
[resources]
main = "embedded:postgres"
redis = "embedded:redis"
[plugins]
{plugins}
[services.shop]
plugins = ["shop"]
"""


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    prefix: str = ""


def routers_of(*paths: str, call: bool = False) -> Callable[..., Any]:
    @hookimpl
    def routers(context: PluginContext) -> Sequence[Router]:
        catalog = context.port(Catalog)
        if call:
            catalog.get_product("1")
        prefix = context.config(Settings).prefix
        router = Router("buyer", "shop")

        async def show(request: Request, id: str) -> Page[str]:
            return Page([])

        for path in paths:
            router.get(prefix + path)(show)
        return [router]

    return routers


class Chores:
    """What its jobs and schedules are methods of."""

    async def _work(self) -> None: ...


@hookimpl
def extensions(context: PluginContext) -> Chores:
    return Chores()


@hookimpl
def settings() -> type[Struct]:
    return Settings


@hookimpl
def service() -> object:
    raise AssertionError("no service is made by a check")


def loaded(tmp_path: Path, found: Mapping[str, Found]) -> Loaded:
    path = tmp_path / "shop.toml"
    path.write_text(FILE.format(plugins="\n".join(f"{name} = {{}}" for name in found)))
    return load_all(path, found=found)


def problems(tmp_path: Path, **found: Found) -> list[str]:
    with pytest.raises(DeploymentErrors) as caught:
        loaded(tmp_path, found)
    return [f"{problem.key}: {problem.cause}; {problem.remedy}" for problem in caught.value.problems]


def test_what_a_plugin_declares_is_known_without_a_process(tmp_path: Path) -> None:
    @hookimpl
    def schedules() -> Sequence[Schedule]:
        return [Schedule("shop.expire", Chores._work, timedelta(seconds=1))]

    found = {"shop": plugin("shop", settings, service, schedules, routers_of("/things/{id}"))}
    declared = loaded(tmp_path, found).declared["shop"]
    assert [(route.method, route.audience, route.path) for route in declared.routes] == [("GET", "buyer", "/things/{id}")]
    assert declared.schedules == ("shop.expire",)


@pytest.mark.behaviour("all-7")
def test_one_route_may_be_declared_once_whatever_its_parameters_are_called(tmp_path: Path) -> None:
    @hookimpl
    def routers() -> Sequence[Router]:
        router = Router("buyer", "extra")

        async def show(slug: str) -> Page[str]:
            return Page([])

        router.get("/things/{slug}")(show)
        return [router]

    found = {"shop": plugin("shop", settings, routers_of("/things/{id}")), "extra": plugin("extra", routers)}
    assert problems(tmp_path, **found) == [
        "plugins.extra: the route 'GET /buyer/v1/things/{slug}' is declared by the plugin 'shop' too; keep one of them"
    ]


def test_a_hook_that_does_more_than_declare_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # below which the file is not, so that the whole of its path is shown
    line = next(n for n, text in enumerate(Path(__file__).read_text().splitlines(), 1) if "catalog.get_product(" in text)
    assert problems(tmp_path, shop=plugin("shop", settings, routers_of("/{id}", call=True))) == [
        "plugins.shop: its hook 'routers' failed (RuntimeError: it calls Catalog.get_product while it declares, at "
        f"{__file__}:{line}); mend it there, or tell the plugin's author"
    ]


def test_names_bear_the_plugins_and_occur_once(tmp_path: Path) -> None:
    @hookimpl
    def jobs() -> Sequence[Job]:
        return [Job("shop.mail", Chores._work), Job("mail", Chores._work), Job("shop.mail", Chores._work)]

    assert problems(tmp_path, shop=plugin("shop", service, jobs)) == [
        "plugins.shop: the job 'mail' does not bear its name; call it 'shop.mail'",
        "plugins.shop: the job 'shop.mail' is declared twice; keep one of them",
    ]


def test_what_runs_is_a_method_of_one_service(tmp_path: Path) -> None:
    @hookimpl
    def jobs() -> Sequence[Job]:
        return [Job("shop.mail", Chores._work)]

    assert problems(tmp_path, shop=plugin("shop", jobs)) == [
        "plugins.shop: it has 'shop.mail' and no service that this is a method of; implement the hook 'service'"
    ]
    both = plugin("shop", provide_catalog, service, provides="catalog")
    assert problems(tmp_path, shop=both) == [
        "plugins.shop: it has the hook 'service', and its service is what 'provide_catalog' gives; leave 'service' out"
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "needs one of every and at"),
        ({"every": timedelta(days=1), "at": time(3)}, "needs one of every and at"),
        ({"every": timedelta()}, "needs every above 0"),
        ({"at": time(3, tzinfo=UTC)}, "by the deployment's time zone"),
        ({"at": time(3), "on": ("sunday",)}, "cannot be on sunday"),
        ({"every": timedelta(days=1), "on": ("sun",)}, "cannot be on sun"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_told(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    @hookimpl
    def schedules() -> Sequence[Schedule]:
        return [Schedule("shop.tidy", print, **given)]

    [told] = problems(tmp_path, shop=plugin("shop", service, schedules))
    assert "its hook 'schedules' failed" in told and said in told


def test_migrations_count_from_one_per_store(tmp_path: Path) -> None:
    @hookimpl
    def migrations() -> Sequence[Migration]:
        return [Migration("postgres", 1, "a", ""), Migration("postgres", 3, "b", ""), Migration("mongo", 1, "c", "")]

    assert problems(tmp_path, shop=plugin("shop", migrations, stores=("postgres", "mongo"))) == [
        "plugins.shop: its postgres migrations are numbered 1, 3; number them from 1 without a gap"
    ]


def test_settings_are_decoded_by_the_plugins_struct(tmp_path: Path) -> None:
    path = tmp_path / "shop.toml"
    found = {"shop": plugin("shop", settings)}
    path.write_text(FILE.format(plugins="shop = { prefix = '/v' }"))
    made = load_all(path, found=found)
    assert made.registry.decode_settings(made.deployment) == {"shop": Settings("/v")}
    path.write_text(FILE.format(plugins="shop = { prefx = '/v' }"))
    with pytest.raises(DeploymentErrors) as caught:
        load_all(path, found=found)
    assert [str(p).split(": ", 1)[1] for p in caught.value.problems] == [
        "plugins.shop.prefx: there is no such key; did you mean 'prefix'?"
    ]
