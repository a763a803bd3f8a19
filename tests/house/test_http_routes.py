"""The routes that whoever provides a capability has: those of our own plugins. One that changes, or comes, is meant to."""

from __future__ import annotations

from pathlib import Path

from marketplace_core._plugins.openapi import describe
from marketplace_core.deployment import DEFAULT_FILE
from marketplace_core.testing.contracts import http
from marketplace_core.values import AUDIENCES

ROOT = Path(__file__).resolve().parents[2]
RECORD = Path(http.__file__).with_name("http_routes.txt")


def routes() -> list[str]:
    found = [route for audience in AUDIENCES for route in http.routes_in(describe(DEFAULT_FILE, audience), audience)]
    return sorted(route.line() for route in found if route.tag != "core")


def test_the_routes_are_those_on_record() -> None:
    assert routes() == RECORD.read_text().splitlines(), f"if it is meant so: python {Path(__file__).relative_to(ROOT)}"


def test_a_line_says_all_of_a_route() -> None:
    lines = RECORD.read_text().splitlines()
    assert [http.HttpRoute.of(line).line() for line in lines] == lines


if __name__ == "__main__":
    RECORD.write_text("\n".join(routes()) + "\n")
