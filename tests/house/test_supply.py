"""What is installed is what was locked, and nothing of it is known to be dangerous."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import audit  # noqa: E402
import licences  # noqa: E402
import lock  # noqa: E402

LOCKED = lock.locked(lock.LOCK.read_text())


@pytest.mark.parametrize("asked", sorted(lock.requirements()))
def test_every_requirement_is_locked(asked: str) -> None:
    """Else: `tox -e lock`."""
    assert Requirement(asked).specifier.contains(LOCKED[lock.name_of(asked)], prereleases=True)


def test_all_that_is_locked_has_hashes() -> None:
    asked = [line for line in lock.LOCK.read_text().replace(" \\\n", " ").splitlines() if line[:1].isalnum()]
    assert len(asked) >= len(LOCKED)
    assert [line for line in asked if "--hash=sha256:" not in line] == []


def test_no_known_vulnerability_is_locked(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main([]) == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("version", "fixed", "affected"),
    [
        ("6.2.14", ["6.2.20", "7.2.11"], True),
        ("6.2.20", ["6.2.20", "7.2.11"], False),
        ("7.2.1", ["6.2.20", "7.2.11"], True),
        ("7.2.11", ["6.2.20", "7.2.11"], False),
        ("5.0", ["6.2.20", "7.2.11"], True),
        ("8.0", ["6.2.20", "7.2.11"], False),
        ("1", [], True),
    ],
)
def test_what_is_affected(version: str, fixed: list[str], affected: bool) -> None:
    assert audit.is_affected(version, fixed) is affected


def test_a_record_is_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "advisories.json"
    kept.write_text("[]")
    monkeypatch.setattr(audit, "KEPT", kept)
    spans = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "999.1"}]}]
    record = {"id": "GHSA-1", "summary": "It burns.", "affected": [{"package": {"name": "Quart"}, "ranges": spans}]}
    (tmp_path / "one.json").write_text(json.dumps(record))
    assert audit.main([str(tmp_path / "one.json")]) == 1
    assert f"quart {LOCKED['quart']}: GHSA-1: It burns.; fixed: 999.1" in capsys.readouterr().out
    assert audit.main([]) == 1, "it is kept"


def test_the_licences_are_those_of_the_lock() -> None:
    """Else: `tox -e lock`."""
    listed = dict(line.split(" | ")[:2] for line in licences.PAGE.read_text().splitlines()[6:])
    assert {name.removeprefix("| "): version for name, version in listed.items()}.items() <= LOCKED.items()
    assert "see its files" not in licences.PAGE.read_text()


def test_the_bill_of_materials_names_all(tmp_path: Path) -> None:
    made = tmp_path / "sbom.json"
    command = ["cyclonedx-py", "requirements", str(lock.LOCK), "--of", "JSON", "-o", str(made)]
    subprocess.run([Path(sys.executable).with_name(command[0]), *command[1:]], check=True, capture_output=True)
    assert {one["name"].lower() for one in json.loads(made.read_text())["components"]} >= {"quart", "granian", "msgspec"}
