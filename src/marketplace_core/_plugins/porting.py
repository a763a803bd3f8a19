"""Whether the port of a capability that a plugin brings along can be called from another process."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from marketplace_core import capabilities
from marketplace_core._plugins.places import place, said
from marketplace_core._rpc.codec import MethodCodec

__all__ = ["port_faults"]


def port_faults(capability: str) -> Iterator[tuple[str, str]]:
    """Cause and remedy of each method of the port that no runner could carry."""
    module = capabilities.load_all().get(capability)
    if module is None:
        return
    port = capabilities.port_of(capability)
    if port is None:
        wanted = capabilities.port_name(capability)
        yield f"the module {module.__name__} of its capability has no class {wanted!r}", f"call the port {wanted}"
        return
    abstract: frozenset[str] = getattr(port, "__abstractmethods__", frozenset())
    for name, method in vars(port).items():
        if inspect.isfunction(method) and not name.startswith("_"):
            yield from _method(method, name in abstract)


def _method(method: Any, abstract: bool) -> Iterator[tuple[str, str]]:
    shown = f"the port method {place(method)}"
    if not inspect.iscoroutinefunction(method):
        yield f"{shown} is not async", "write it as async def"
    elif not abstract:
        yield f"{shown} is not abstract, so that no other process can call it", "write @abstractmethod above it"
    elif not hasattr(method, "__port__"):
        yield f"{shown} has no mark", "write @query, or @mutation(retriable=...), below @abstractmethod"
    else:
        try:
            MethodCodec(method)
        except KeyError as error:
            yield f"{shown} does not say the type of {error}", "annotate its arguments and its answer"
        except Exception as error:
            yield f"{shown} cannot be carried to another process ({said(error)})", "let its types be structs and plain values"
