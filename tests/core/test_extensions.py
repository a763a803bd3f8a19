from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
import structlog

from marketplace_core.extensions import ExtensionError, Extensions


async def check_length(lines: list[str]) -> list[str]:
    return [line for line in lines if len(line) > 3]


async def check_case(lines: list[str], strict: bool) -> list[str]:
    return [line for line in lines if strict and line.isupper()]


async def rates() -> Mapping[str, int]:
    return {"economy": 1}


async def other_rates() -> Mapping[str, int]:
    return {"express": 2}


def made(*functions: Any, hook: str = "check", limit: float = 1.0, trace: bool = False) -> Extensions:
    return Extensions({hook: [(f"plugin_{n}", function) for n, function in enumerate(functions)]}, limit, trace=trace)


async def test_problems_of_all_come_in_the_order_of_the_deployment() -> None:
    extensions = made(check_case, check_length)
    assert await extensions.check("check", lines=["long one", "ABC"], strict=True) == ["ABC", "long one"]
    assert await extensions.check("nobody implements this", lines=[]) == []


async def test_contributions_are_merged_and_a_collision_names_the_plugin() -> None:
    assert await made(rates, other_rates, hook="rates").contribute("rates") == {"economy": 1, "express": 2}
    with pytest.raises(ExtensionError, match=r"plugin_1.*'economy'"):
        await made(rates, rates, hook="rates").contribute("rates")


async def test_an_exception_names_the_plugin_and_the_hook() -> None:
    async def broken(lines: list[str]) -> list[str]:
        raise ZeroDivisionError("by zero")

    with pytest.raises(ExtensionError, match=r"'plugin_0' failed in the hook 'check': ZeroDivisionError: by zero"):
        await made(broken).check("check", lines=[])


async def test_each_has_a_time_limit_of_its_own() -> None:
    async def slow(lines: list[str]) -> list[str]:
        await asyncio.sleep(60)
        return []

    async def timed_out(lines: list[str]) -> list[str]:
        raise TimeoutError("of a database, not of ours")

    with pytest.raises(ExtensionError, match=r"it took longer than 0.02 s"):
        await made(slow, limit=0.02).check("check", lines=[])
    with pytest.raises(ExtensionError, match=r"TimeoutError: of a database, not of ours"):
        await made(timed_out).check("check", lines=[])


async def test_a_cancellation_is_no_failure_of_the_plugin() -> None:
    begun = asyncio.Event()

    async def waiting(lines: list[str]) -> list[str]:
        begun.set()
        await asyncio.sleep(60)
        return []

    task = asyncio.create_task(made(waiting, limit=30).check("check", lines=[]))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_trace_logs_every_call() -> None:
    with structlog.testing.capture_logs() as logs:
        await made(check_length, trace=True).check("check", lines=[])
        await made(check_length).check("check", lines=[])
    assert [(line["event"], line["plugin"], line["hook"]) for line in logs] == [("hook", "plugin_0", "check")]
