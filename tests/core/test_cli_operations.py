"""The commands of operators, as processes on a data folder where nothing runs: they start its servers, and stop them again."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from marketplace_core.testing._forks import command

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mp-") as folder:  # not pytest's: PostgreSQL's user could not pass it
        Path(folder).chmod(0o711)
        yield Path(folder, "data")


@pytest.fixture
def run(data: Path) -> Run:
    return lambda *arguments, given="": command(*arguments, "--data", data, given=given)


def document(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_accounts_of_closed_audiences(run: Run, data: Path) -> None:
    made = ["accounts", "create", "--role", "courier", "--email", "cleo@example.org", "--json"]
    account = document(run(*made, "--carrier", "simulator", given="correct horse battery\n"))
    assert (account["email"], account["roles"]) == ("cleo@example.org", ["courier:simulator"])
    again = document(
        run("accounts", "create", "--role", "admin", "--email", "cleo@example.org", "--json", given="another one 1\n")
    )
    assert (again["id"], again["roles"]) == (account["id"], ["admin", "courier:simulator"])
    weak = run("accounts", "create", "--role", "admin", "--email", "weak@example.org", given="short\n")
    assert weak.returncode == 1 and "auth.weak_password" in weak.stderr
    nobody = run("accounts", "create", "--role", "courier", "--email", "c@example.org", given="x\n")
    assert nobody.returncode == 2 and "--carrier" in nobody.stderr
    assert not [p for p in psutil.process_iter(["cwd"]) if (p.info["cwd"] or "").startswith(str(data))]


def test_nothing_has_failed_yet(run: Run) -> None:
    assert document(run("events", "dead", "list", "--json")) == {"items": []}
    assert document(run("sagas", "list", "--json")) == {"items": []}
    assert document(run("jobs", "list", "--json")) == {"items": []}
    for act in ("retry", "drop"):
        unknown = run("jobs", act, "no-such-job")
        assert unknown.returncode == 2 and "no such failed job" in unknown.stderr
    missing = run("sagas", "show", "no-such-saga")
    assert missing.returncode == 2 and missing.stderr.count("\n") == 1
    unknown = run("events", "dead", "replay", "no-such-event")
    assert unknown.returncode == 2 and "no such parked event" in unknown.stderr


def test_the_clock_of_an_ordinary_deployment_stands_by_itself(run: Run) -> None:
    for arguments in (["show"], ["advance", "1d"], ["set", "2030-01-01T00:00:00Z"]):
        done = run("clock", *arguments)
        assert done.returncode == 2 and "--clock movable" in done.stderr
    assert run("clock", "advance", "soon").returncode == 2
    assert run("clock", "set", "2030-01-01").returncode == 2


def test_products_are_imported_where_nothing_runs(run: Run, tmp_path: Path) -> None:
    row = {"product": "a", "sku": "A", "title": "A", "seller": "S", "price": "1.00", "currency": "EUR", "stock": 1}
    path = tmp_path / "products.jsonl"
    path.write_text(json.dumps(row) + "\n" + json.dumps({**row, "sku": "B", "price": "free"}) + "\n")
    report = document(run("import", "products", str(path), "--json"))
    assert report["variants"] == {"read": 2, "written": 1, "unchanged": 0, "rejected": 1}
    assert [bad["line"] for bad in report["rejected"]] == [2]
    shown = run("import", "products", str(path))
    assert shown.returncode == 0 and "line 2: range: price" in shown.stdout
    path.write_text("{}\n")
    assert run("import", "products", str(path)).returncode == 2
    assert run("import", "products", str(tmp_path / "nothing.jsonl")).returncode == 2


def test_openapi_without_starting_anything() -> None:
    from marketplace_core.deployment import DEFAULT_FILE  # noqa: PLC0415

    for audience, path in (("buyer", "/orders"), ("seller", "/products"), ("logistics", "/shipments"), ("admin", "/quiesce")):
        done = command("openapi", DEFAULT_FILE, audience)
        assert (done.returncode, path in json.loads(done.stdout)["paths"]) == (0, True)
    assert command("openapi", DEFAULT_FILE, "nobody").returncode == 2
