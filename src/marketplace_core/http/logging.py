"""Logs of every process: one JSON object a line on standard error, the standard library's records among them."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import msgspec
import structlog

from marketplace_core import calls

__all__ = ["configure_logging"]


def configure_logging(level: str = "info", json: bool = True) -> None:
    """Send the logs of structlog and of :mod:`logging` to standard error, from ``level`` on.

    ``json`` false: for a person at a terminal.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_request,
    ]
    render: list[Any] = [structlog.processors.format_exc_info, _to_json] if json else [structlog.dev.ConsoleRenderer()]
    structlog.configure(
        processors=[*shared, _name_of_event_logger, *render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=_stderr_logger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)


class _NamedPrintLogger(structlog.PrintLogger):
    def __init__(self, name: str) -> None:
        super().__init__(sys.stderr)
        self.name = name


def _stderr_logger(*args: Any) -> structlog.PrintLogger:
    return _NamedPrintLogger(args[0] if args else "marketplace")


def _name_of_event_logger(logger: Any, _: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event["logger"] = logger.name
    return event


def _add_request(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """What is logged during a call can be found by the request that made it, and by its trace."""
    call = calls.current()
    if call.request_id != "-":
        event.setdefault("request_id", call.request_id)
    if call.trace:
        event.setdefault("trace_id", calls.trace_id(call.trace))
    return event


def _to_json(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    return msgspec.json.encode(event, enc_hook=repr).decode()
