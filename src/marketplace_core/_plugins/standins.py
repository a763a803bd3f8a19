"""What stands in for ports, stores and servers while no process runs: it may be kept, and is not used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry

from marketplace_core.metrics import PluginMetrics

__all__ = ["StandIn", "involves_stand_in", "metrics_of"]


class StandIn:
    """``lenient``: a call gives another one, as a service that is put together may need; else a call is a mistake."""

    def __init__(self, what: str, *, lenient: bool = False) -> None:
        self._what, self._lenient = what, lenient

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return StandIn(f"{self._what}.{name}", lenient=self._lenient)

    def __call__(self, *_: object, **__: object) -> Any:
        if self._lenient:
            return StandIn(f"{self._what}()", lenient=True)
        raise RuntimeError(f"it calls {self._what} while it declares")


def involves_stand_in(error: BaseException) -> bool:
    """Whether an error came of a stand-in where a process would have had something real."""
    if StandIn.__name__ in str(error):
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    return any(isinstance(value, StandIn) for value in _seen(trace.tb_frame.f_locals))


def _seen(names: Mapping[str, Any]) -> Iterator[Any]:
    """The values at hand where it was raised, and what the first of them, perhaps ``self``, holds."""
    yield from names.values()
    for value in names.values():
        yield from getattr(value, "__dict__", {}).values()


def metrics_of(plugin: str) -> PluginMetrics:
    """Metrics that are real but for that nobody scrapes them."""
    return PluginMetrics(plugin, CollectorRegistry())
