"""Keys: derived from a root for each purpose, or granted to a process that has none."""

from __future__ import annotations

import itertools
import stat
import tempfile
from pathlib import Path

import pytest

from marketplace_core import tokens
from marketplace_core._runtime.assembly import Assembly
from marketplace_core._runtime.keys import TOKENS, GrantedKeys, KeyMissing, RootKeys, callers, read_granted
from marketplace_core._supervisor.secrets import root_keys
from marketplace_core.deployment import Deployment, DeploymentErrors, load
from marketplace_core.deployment._secrets import weakness
from marketplace_core.testing._forks import command

SPLIT = Path(__file__).resolve().parents[2] / "examples" / "split.toml"
ROOT, FORMER = b"pT7vXq2LmZ9wRk4HsB8nYc3JdF6gUa1E-x5oQiWtKyMzNhVb", b"another root secret, that was good until yesterday"


@pytest.fixture
def deployment() -> Deployment:
    return load(SPLIT, secrets=False)


def test_each_name_has_a_key_of_its_own() -> None:
    keys = RootKeys(ROOT)
    names = ["plugin:auth", "plugin:cart", "rpc:a:b", "rpc:b:a", "public"]
    found = [keys.named(name)[0] for name in names] + [keys.of_plugin(plugin, "p")[0] for plugin in ("auth", "cart")]
    found += [keys.of_plugin("auth", "q")[0], *RootKeys(FORMER).named("plugin:auth")]
    assert len(set(found)) == len(found)
    assert {len(key) for key in found} == {32}
    assert found[:5] == [RootKeys(ROOT).named(name)[0] for name in names]


def test_while_a_secret_is_changed_both_are_known() -> None:
    before, both, after = RootKeys(FORMER), RootKeys(ROOT, FORMER), RootKeys(ROOT)
    assert both.of_plugin("cart", "t")[0] == after.of_plugin("cart", "t")[0]
    assert set(before.of_plugin("cart", "t")) | set(after.of_plugin("cart", "t")) == set(both.of_plugin("cart", "t"))
    assert both.public("auth") == after.public("auth") + before.public("auth")
    assert both.between("shop", "auth") == after.between("shop", "auth") + before.between("shop", "auth")


def test_auth_alone_can_sign(deployment: Deployment) -> None:
    """Of every process: what it was given, or could derive of it, makes no access token unless auth lives in it."""
    root = RootKeys(ROOT, FORMER)
    seeds = {root.of_plugin("auth", TOKENS)[index] for index in (0, 1)}
    assert {tokens.public_key(seed) for seed in seeds} == set(root.public("auth"))
    assembly, signing = Assembly.of(deployment), []
    for name in callers(deployment)[:-1]:
        given = _granted(assembly, root, name)
        try:
            signing += [name] if seeds & set(given.of_plugin("auth", TOKENS)) else []
        except KeyMissing:
            assert given.public("auth") == root.public("auth")
    assert signing == [deployment.service_of("auth").name]


def test_two_processes_share_what_is_between_them(deployment: Deployment) -> None:
    root, assembly = RootKeys(ROOT), Assembly.of(deployment)
    given = {name: _granted(assembly, root, name) for name in callers(deployment)[:-1]}
    services = set(deployment.services)
    for one, other in itertools.permutations(given, 2):
        for holder, keys in given.items():
            try:
                found = keys.between(one, other) == root.between(one, other)
            except KeyMissing:
                found = False
            assert found == (other in services and holder in (one, other)), (holder, one, other)


def _granted(assembly: Assembly, root: RootKeys, name: str) -> GrantedKeys:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keys"
        path.write_text(assembly.grant(root, name))
        return read_granted(path, assembly.deployment, name)


def test_the_command_writes_them_for_one_process(tmp_path: Path, deployment: Deployment) -> None:
    (tmp_path / "secret").write_bytes(ROOT)
    name = next(iter(deployment.gateways))
    out = tmp_path / "gateway.keys"
    done = command("secrets", SPLIT, name, "--data", tmp_path, "-o", out)
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert ROOT not in out.read_bytes()
    root = root_keys(deployment, tmp_path)
    assert read_granted(out, deployment, name).public("auth") == root.public("auth")
    for wrong in ("auth", None):
        with pytest.raises(ValueError, match=f"is of '{name}'"):
            read_granted(out, deployment, wrong)


# ── how strong ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("secret", "cause"),
    [
        ("x", "has fewer than 32 characters"),
        ("pT7vXq2LmZ9wRk4HsB8nYc3JdF6gUa1", "has fewer than 32 characters"),
        ("a" * 500, "can be guessed: it is worth less than 128 bits"),
        ("correct horse battery staple correct horse", "can be guessed: it is worth less than 128 bits"),
        ("MARKETPLACE_SECRET_MARKETPLACE_SECRET_2026", "can be guessed: it is worth less than 128 bits"),
        ("abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz", "can be guessed: it is worth less than 128 bits"),
        (ROOT.decode(), None),
    ],
)
def test_how_strong_a_secret_is(secret: str, cause: str | None) -> None:
    assert weakness(secret) == cause


def test_check_says_how_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = tmp_path / "small.toml"
    text = (SPLIT.parent / "small.toml").read_text()
    small.write_text(
        text.replace('secret = "env:MARKETPLACE_SECRET"', 'secret = "env:MARKETPLACE_SECRET"\nformer_secret = "env:OLD"')
    )
    monkeypatch.setenv("MARKETPLACE_SECRET", "x")
    monkeypatch.setenv("OLD", "password" * 6)
    with pytest.raises(DeploymentErrors) as caught:
        load(small)
    found = [(each.key, each.remedy) for each in caught.value.problems if each.key.startswith("deployment")]
    assert found == [(f"deployment.{key}", "make one by: openssl rand -base64 48") for key in ("secret", "former_secret")]
    assert "password" not in str(caught.value)
