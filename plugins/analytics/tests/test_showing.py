"""Reports as people meet them: the command with all it can write, and each report as a picture whose axes say what they are."""

from __future__ import annotations

import csv
import json
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import matplotlib as mpl
import pytest
from marketplace_analytics import showing
from PIL import Image

from marketplace_core.capabilities.analytics import Report, ReportName
from marketplace_core.testing._forks import command
from marketplace_core.testing.contracts.analytics import HERE, THERE, at, confirmed, line, sent

MONEY = {"amount": 123456, "currency": "EUR"}
MONTH = {"from": "2026-01-01T00:00:00Z"}
#: An item of each report, and what its axes say, from top to bottom.
SHOWN: dict[str, tuple[dict[str, Any], list[str]]] = {
    "sales": ({"currency": "EUR", "orders": 3, "units": 4, "gross": MONEY, "net": MONEY}, ["count", "amount (EUR)"]),
    "funnel": ({"viewers": 9, "carts": 3, "orders": 1, "view_to_cart": 0.3333}, ["count", "share (%)"]),
    "returns": ({"currency": "JPY", "units": 4, "rate": 0.25, "refunded": MONEY}, ["count", "share (%)", "amount (EUR)"]),
    "cohorts": ({"first_month": "2026-01", "people": 4, "active": [4, 2, 1]}, ["still buying (%)"]),
    "lateness": ({"shipped": 4, "late": 1, "rate": 0.25, "median_days": 2.5}, ["count", "share (%)", "days"]),
    "search": ({"searches": 9, "without_result": 2, "click_through": 0.5}, ["count", "share (%)"]),
    "ratings": ({"reviews": 3, "average": 4.33}, ["count", "stars (1 to 5)"]),
    "moderation": ({"submitted": 3, "approved": 2, "oldest_seconds": 7200}, ["count", "hours"]),
    "performance": ({"late_rate": 0.1, "rating": 4.5}, ["share (%)", "stars (1 to 5)"]),
    "overview": ({"currency": "EUR", "orders": 3, "gross": MONEY, "sellers": 2}, ["count", "amount (EUR)"]),
}


@pytest.mark.parametrize("name", get_args(ReportName))
def test_a_picture_says_what_is_on_its_axes(name: str) -> None:
    mpl.use("Agg")
    item, units = SHOWN[name]
    later = {**item, "from": "2026-02-01T00:00:00Z"}
    figure = showing.figure_of(name, Report(items=[MONTH | item, later], as_of=at(2, 3), total=None))
    assert sorted(axes.get_ylabel() for axes in figure.axes) == sorted(units)
    below = "months after the first order" if name == "cohorts" else "beginning of the interval (UTC)"
    assert figure.axes[-1].get_xlabel() == below
    assert figure.get_suptitle() == f"{name}, as of 2026-02-03 12:00 UTC"
    assert all(axes.get_legend().get_texts() for axes in figure.axes)
    for axes in figure.axes:
        drawn = [value for each in axes.get_lines() for value in each.get_ydata()]
        assert axes.get_ylim()[0] <= 0 and drawn
        if axes.get_ylabel() == "amount (EUR)":
            assert set(drawn) == {1234.56}
        if axes.get_ylabel() == "hours":
            assert set(drawn) == {2.0}
    mpl.pyplot.close(figure)


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mp-") as folder:  # not pytest's: PostgreSQL's user could not pass it
        Path(folder).chmod(0o711)
        yield Path(folder, "data")


def test_events_are_taken_in_from_a_file_and_shown_in_every_form(data: Path, tmp_path: Path) -> None:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        done = command(*arguments, "--data", data)
        assert done.returncode == 0, done.stderr
        return done

    orders = [
        sent(confirmed(line(HERE, 2, 1250), line(THERE, 1, 999)), at(1, 5)),
        sent(confirmed(line(HERE, 3, 800, "JPY")), at(2, 6)),
    ]
    events = tmp_path / "events.jsonl"
    events.write_text("\n".join([*orders, orders[0]]) + "\n")
    assert "3 events were read and 3 taken in" in run("analytics", "rebuild", events).stdout
    table, picture = tmp_path / "sales.csv", tmp_path / "sales.png"
    days = ("--from", "2026-01-01", "--to", "2026-03-31", "--by", "month")
    shown = run("report", "sales", *days, "--csv", table, "--plot", picture, "--json")
    report = json.loads(shown.stdout.splitlines()[-1])
    found = [(item["from"], item["currency"], item["orders"], item["gross"]["amount"]) for item in report["items"]]
    assert found == [("2026-01-01T00:00:00Z", "EUR", 1, 3499), ("2026-02-01T00:00:00Z", "JPY", 1, 2400)]
    assert datetime.fromisoformat(report["as_of"]) == datetime(2026, 2, 6, 12, tzinfo=UTC)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["currency"], row["units"], row["gross"]) for row in rows] == [("EUR", "3", "34.99"), ("JPY", "3", "2400")]
    with Image.open(picture) as image:
        assert image.format == "PNG" and min(image.size) > 1000
        assert len(image.convert("RGB").getcolors(1 << 20) or ()) > 50  # something is drawn
