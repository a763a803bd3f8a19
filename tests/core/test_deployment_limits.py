"""``[limits]`` of a deployment file: defaults, rates, and every mistake with its remedy."""

from __future__ import annotations

import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from marketplace_core.context import PluginContext
from marketplace_core.deployment import DEFAULT_FILE, DeploymentErrors, Limits, Rate, load, outline
from marketplace_core.hookspecs import PluginInfo, hookimpl
from marketplace_core.http.routing import Router

FILE = """
[deployment]
name = "atlas"
profile = "{profile}"
currency = "EUR"
secret = "file:secret"
[resources]
main = "embedded:postgres"
lasting = "embedded:redis"
cache = {{ url = "embedded:redis", role = "cache" }}
files = "embedded:folder"
[plugins.gifts]
[services.shop]
plugins = ["gifts"]
[limits]
{limits}
"""


class Installed:
    """A plugin with a route under a rate of its own."""

    def load(self) -> Any:
        made: Any = types.ModuleType("marketplace_gifts")

        @hookimpl
        def info() -> PluginInfo:
            return PluginInfo(name="gifts", version="1.0")

        @hookimpl
        def routers(context: PluginContext) -> Sequence[Router]:
            router = Router("buyer", "gifts")

            @router.post("/gift-cards/check", access="guest", rate="gift_cards")
            async def check() -> None:
                return None

            return [router]

        made.info, made.routers = info, routers
        return made


def limits_of(folder: Path, limits: str, profile: str = "test") -> Limits:
    (folder / "secret").write_text("G7vYp2Qm9RkW4tZx8LdN3sHf6BcJ1aVe5UgTyKoM0iXq")
    file = folder / "atlas.toml"
    file.write_text(FILE.format(limits=limits, profile=profile))
    return load(file, found={"gifts": Installed()}).limits  # type: ignore[dict-item]


def test_what_is_limited_without_a_word(tmp_path: Path) -> None:
    limits = limits_of(tmp_path, 'gift_cards = "5/hour"')
    assert limits.rates["general"] == Rate(600, 60)
    assert limits.rates.keys() == {"general", "login", "register", "refresh", "password", "carts", "gift_cards"}
    assert limits.exempt == ("127.0.0.0/8", "::1/128")
    embedded = outline(DEFAULT_FILE).limits
    assert (embedded.exempt, embedded.body_seconds) == (limits.exempt, 20.0)


@pytest.mark.parametrize("profile", ["test", "production"])
def test_who_is_exempt_is_said_or_follows_from_the_profile(tmp_path: Path, profile: str) -> None:
    rate = 'gift_cards = "5/hour"\n'
    assert bool(limits_of(tmp_path, rate, profile).exempt) == (profile == "test")
    assert limits_of(tmp_path, rate + "exempt = []", profile).exempt == ()
    assert limits_of(tmp_path, rate + 'exempt = ["192.0.2.0/24"]', profile).exempt == ("192.0.2.0/24",)


def test_rates_are_read(tmp_path: Path) -> None:
    limits = limits_of(tmp_path, 'gift_cards = "5/hour"\nlogin = "3/second"\nregister = "10/day"\nheader_seconds = 5')
    assert (limits.rates["gift_cards"], limits.rates["login"], limits.rates["register"]) == (
        Rate(5, 3600),
        Rate(3, 1),
        Rate(10, 86400),
    )
    assert limits.header_seconds == 5


@pytest.mark.parametrize(
    ("limits", "line"),
    [
        ('login = "many"', "limits.login: 'many' is no rate; write it as \"600/minute\"; a second, minute, hour or day"),
        ("login = 5", 'limits.login: 5 is no rate; write it as "600/minute"; a second, minute, hour or day'),
        (
            'login = "0/minute"',
            "limits.login: '0/minute' is no rate; write it as \"600/minute\"; a second, minute, hour or day",
        ),
        ('logn = "5/minute"', "limits.logn: there is no such limit, and no route is under it; did you mean 'login'?"),
        ('exempt = ["home"]', "limits.exempt[0]: 'home' is no network of addresses; write it as \"10.0.0.0/8\""),
        ("header_seconds = 0", "limits.header_seconds: Expected int >= 1; give whole seconds, 1 to 300"),
        ("body_seconds = 301", "limits.body_seconds: Expected float <= 300.0; give seconds, 1 to 300"),
        ("connections = 1", "limits.connections: Expected int >= 16; give 16 to 100000 connections"),
    ],
)
def test_each_mistake_gives_its_one_line(tmp_path: Path, limits: str, line: str) -> None:
    with pytest.raises(DeploymentErrors) as caught:
        limits_of(tmp_path, f'gift_cards = "5/hour"\n{limits}')
    assert [f"{problem.key}: {problem.cause}; {problem.remedy}" for problem in caught.value.problems] == [line]


def test_a_rate_that_a_route_is_under_must_be_set(tmp_path: Path) -> None:
    with pytest.raises(DeploymentErrors) as caught:
        limits_of(tmp_path, "")
    [problem] = caught.value.problems
    assert (problem.key, problem.remedy) == ("limits.gift_cards", 'write gift_cards = "60/minute"')
    assert problem.cause == "POST /buyer/v1/gift-cards/check is under it, and it is not set"
