"""What stands in for ports, stores and servers while no process runs: it may be kept, and is not used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry

from marketplace_core.metrics import PluginMetrics

__all__ = ["LooseStandIn", "StandIn", "involves_stand_in", "metrics_of"]


class StandIn:
    """To call it is a mistake: who declares does nothing."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(self)(f"{self._what}.{name}")

    def __call__(self, *_: object, **__: object) -> Any:
        raise RuntimeError(f"it calls {self._what} while it declares")


class LooseStandIn(StandIn):
    """A call gives another one, as a service that is put together may need."""

    def __call__(self, *_: object, **__: object) -> Any:
        return LooseStandIn(f"{self._what}()")


def involves_stand_in(error: BaseException) -> bool:
    """Whether an error came of a loose stand-in, where a process would have had something real."""
    if LooseStandIn.__name__ in str(error):
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and any(isinstance(value, LooseStandIn) for value in _seen(trace.tb_frame.f_locals))


def _seen(names: Mapping[str, Any]) -> Iterator[Any]:
    """The values at hand where it was raised, and what they, such as ``self``, hold."""
    yield from names.values()
    for value in names.values():
        yield from getattr(value, "__dict__", {}).values()


def metrics_of(plugin: str) -> PluginMetrics:
    """Metrics that are real but for that nobody scrapes them."""
    return PluginMetrics(plugin, CollectorRegistry())
