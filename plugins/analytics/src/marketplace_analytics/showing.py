"""A report as a table, as CSV and as a picture."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from marketplace_core.capabilities.analytics import ITEMS, Report
from marketplace_core.values import minor_units

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["columns_of", "draw", "figure_of", "print_report", "write_csv"]

#: The axis of a column, where it is no count: what stands beside it, and what a value is multiplied by.
AXES: Mapping[str, tuple[str, float]] = {
    **dict.fromkeys(("rate", "promise_kept", "view_to_cart", "cart_to_order", "click_through"), ("share (%)", 100)),
    **dict.fromkeys(("late_rate", "cancel_rate", "return_rate"), ("share (%)", 100)),
    **dict.fromkeys(("average", "rating"), ("stars (1 to 5)", 1)),
    "median_days": ("days", 1),
    "oldest_seconds": ("hours", 1 / 3600),
}


def columns_of(name: str) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(ITEMS[name])]


def decimal(money: Mapping[str, Any]) -> str:
    """An amount in the currency's own unit: ``19.99``."""
    places = minor_units(money["currency"])
    amount = abs(money["amount"])
    text = f"{amount // 10**places}" + (f".{amount % 10**places:0{places}}" if places else "")
    return f"-{text}" if money["amount"] < 0 else text


def _is_money(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"amount", "currency"}


def _cell(value: Any) -> str:
    """As CSV has it."""
    if value is None:
        return ""
    if _is_money(value):
        return decimal(value)
    return msgspec.json.encode(value).decode() if isinstance(value, list | dict) else str(value)


def _shown(name: str, value: Any) -> str:  # noqa: PLR0911 - a case for each kind of column
    """As people read it."""
    if value is None:
        return "-"
    if _is_money(value):
        return decimal(value)
    if name == "from":
        return str(value)[:10]
    if AXES.get(name, ("", 0))[1] == 100:
        return f"{value:.1%}"
    if name == "top":
        return ", ".join(f"{one['query']} ({one['searches']})" for one in value)
    if name == "regions":
        return ", ".join(f"{one['region'] or one['country']} ({one['orders']})" for one in value)
    if name == "reasons":
        return ", ".join(f"{one['reason']} ({one['returned']})" for one in value)
    if isinstance(value, dict):
        return " ".join(f"{key}:{count}" for key, count in value.items())
    if isinstance(value, list):
        return " ".join(str(one) for one in value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def print_report(name: str, report: Report) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    columns = columns_of(name)
    table = Table(title=name, caption=f"as of {report.as_of or 'no event yet'}", caption_justify="left")
    for column in columns:
        left = column in ("from", "currency", "first_month", "top", "reasons", "regions", "histogram", "active")
        table.add_column(column, justify="left" if left else "right", no_wrap=column == "from")
    for item in report.items:
        table.add_row(*(_shown(column, item.get(column)) for column in columns))
    console = Console()
    if not console.is_terminal:  # for whoever reads it later: nothing is cut
        console.width = 240
    console.print(table)


def write_csv(path: Path, name: str, report: Report) -> None:
    columns = columns_of(name)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([_cell(item.get(column)) for column in columns] for item in report.items)


# ── picture ──────────────────────────────────────────────────────────────────────────────────────────────────


def draw(path: Path, name: str, report: Report) -> None:
    """One picture, as PNG: under each other a plot for each unit that the report's columns are in."""
    import matplotlib as mpl  # noqa: PLC0415 - a second, and only for who wants a picture

    mpl.use("Agg")
    from matplotlib import pyplot  # noqa: PLC0415

    figure = figure_of(name, report)
    try:
        figure.savefig(path, dpi=120, format="png")
    finally:
        pyplot.close(figure)


def figure_of(name: str, report: Report) -> Figure:
    from matplotlib import pyplot  # noqa: PLC0415
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    panels = _cohort_panels(report) if name == "cohorts" else _panels(name, report)
    figure, axes = pyplot.subplots(len(panels), 1, figsize=(11, 1 + 3.2 * len(panels)), sharex=True, squeeze=False)
    for place, (unit, lines) in zip(axes[:, 0], panels.items(), strict=True):
        _plot(place, unit, lines)
    if name == "cohorts":
        axes[-1, 0].set_xlabel("months after the first order")
        axes[-1, 0].xaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        axes[-1, 0].set_xlabel("beginning of the interval (UTC)")
        figure.autofmt_xdate()
    figure.suptitle(f"{name}, as of {report.as_of:%Y-%m-%d %H:%M} UTC" if report.as_of else f"{name}: no event yet")
    figure.tight_layout()
    return figure


Lines = dict[str, tuple[list[Any], list[float]]]
"""What is drawn in one plot: x and y by the name of the line."""


def _plot(axes: Axes, unit: str, lines: Lines) -> None:
    for label, (x, y) in lines.items():
        axes.plot(x, y, marker="o", markersize=3, linewidth=1.4, label=label)
    axes.set_ylabel(unit)
    axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    axes.grid(visible=True, alpha=0.3)
    axes.yaxis.set_major_formatter("{x:,.10g}")
    if lines:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.02), fontsize="small")  # beside: it would cover what is drawn


def _panels(name: str, report: Report) -> dict[str, Lines]:
    panels: dict[str, Lines] = {}
    for item in report.items:
        at = datetime.fromisoformat(item["from"])
        for column, unit, value in _numbers(name, item):
            x, y = panels.setdefault(unit, {}).setdefault(column, ([], []))
            x.append(at)
            y.append(value)
    return panels or {"count": {}}


def _numbers(name: str, item: Mapping[str, Any]) -> Iterator[tuple[str, str, float]]:
    """The columns of an item that can be drawn: ``(label, unit, value)``."""
    for column in columns_of(name):
        value: Any = item.get(column)
        if _is_money(value):
            yield column, f"amount ({value['currency']})", value["amount"] / 10 ** minor_units(value["currency"])
        elif isinstance(value, int | float):
            unit, factor = AXES.get(column, ("count", 1))
            yield column if "currency" not in item else f"{column} ({item['currency']})", unit, value * factor


def _cohort_panels(report: Report) -> dict[str, Lines]:
    lines: Lines = {}
    for item in report.items:
        active: Sequence[int] = item["active"]
        lines[item["first_month"]] = (list(range(len(active))), [100 * count / item["people"] for count in active])
    return {"still buying (%)": lines}
