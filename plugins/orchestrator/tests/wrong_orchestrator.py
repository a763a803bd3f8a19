"""Orchestrators with one mistake each, made of the right one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from marketplace_core import calls
from marketplace_core.capabilities.orchestrator import SagaQuery
from marketplace_core.errors import Conflict, NotFound
from marketplace_core.testing.contracts import Method, Wrong
from marketplace_core.values import Page, new_id

__all__ = ["MISTAKES", "Mistake"]

Mistake = Callable[[Any], Mapping[str, Method]]
"""From the right service to the methods that are wrong."""


# ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────


def shows_no_steps(right: Any) -> Mapping[str, Method]:
    async def get_saga(saga_id: str) -> Any:
        return replace(await right.get_saga(saga_id), steps=[])

    return {"get_saga": get_saga}


def says_nothing_of_what_is_not_there(right: Any) -> Mapping[str, Method]:
    async def get_saga(saga_id: str) -> Any:
        with contextlib.suppress(NotFound):
            return await right.get_saga(saga_id)

    return {"get_saga": get_saga}


def lists_any_status(right: Any) -> Mapping[str, Method]:
    async def list_sagas(query: Any) -> Any:
        return await right.list_sagas(replace(query, status=None))

    return {"list_sagas": list_sagas}


def is_always_at_rest(right: Any) -> Mapping[str, Method]:
    async def runnable() -> int:
        return 0

    return {"runnable": runnable}


def counts_whatever_has_not_ended(right: Any) -> Mapping[str, Method]:
    async def runnable() -> int:
        pages = [await right.list_sagas(SagaQuery(status=status)) for status in ("running", "waiting")]
        return sum(len(page.items) for page in pages)

    return {"runnable": runnable}


def begins_again(right: Any) -> Mapping[str, Method]:
    """Each time under another id, but for the first."""
    store, known = right._store, set()

    async def add_saga(uow: Any, saga: Any) -> str:
        again = saga.id in known
        known.add(saga.id)
        return str(await store.add_saga(uow, replace(saga, id=new_id()) if again else saga))

    right._store = Wrong(store, {"add_saga": add_saga})
    return {}


def counts_no_tries(right: Any) -> Mapping[str, Method]:
    async def get_saga(saga_id: str) -> Any:
        view = await right.get_saga(saga_id)
        return replace(view, steps=[replace(step, attempts=1) for step in view.steps])

    return {"get_saga": get_saga}


def shows_what_has_ended_only(right: Any) -> Mapping[str, Method]:
    async def get_saga(saga_id: str) -> Any:
        view = await right.get_saga(saga_id)
        return replace(view, steps=[step for step in view.steps if step.status != "running"])

    return {"get_saga": get_saga}


def takes_refused_for_something_else(right: Any) -> Mapping[str, Method]:
    async def list_sagas(query: Any) -> Any:
        page = await right.list_sagas(query)
        return Page([view for view in page.items if query.status in {None, view.status}], page.next)

    return {"list_sagas": list_sagas}


def mends_what_has_ended(right: Any) -> Mapping[str, Method]:
    async def retry(saga_id: str) -> None:
        with contextlib.suppress(Conflict):
            await right.retry(saga_id)

    return {"retry": retry}


def pages_by_number(right: Any) -> Mapping[str, Method]:
    async def list_sagas(query: Any) -> Any:
        begin = int(query.cursor or 0)
        found = await right.list_sagas(replace(query, limit=100, cursor=None))
        more = begin + query.limit < len(found.items)
        return Page(found.items[begin : begin + query.limit], str(begin + query.limit) if more else None)

    return {"list_sagas": list_sagas}


def finds_any_name(right: Any) -> Mapping[str, Method]:
    async def list_sagas(query: Any) -> Any:
        return await right.list_sagas(replace(query, name=None))

    return {"list_sagas": list_sagas}


# ── signals and deadlines ────────────────────────────────────────────────────────────────────────────────────


def tells_everybody(right: Any) -> Mapping[str, Method]:
    store = right._store

    async def get_ids(uow: Any, _: str) -> list[str]:
        return list(await store.get_ids(uow, "a"))

    right._store = Wrong(store, {"get_ids": get_ids})
    return {}


def is_deaf(right: Any) -> Mapping[str, Method]:
    async def get_ids(*_: Any) -> list[str]:
        return []

    right._store = Wrong(right._store, {"get_ids": get_ids})
    return {}


def has_a_clock_of_its_own(right: Any) -> Mapping[str, Method]:
    """By which next to no time goes by."""

    store = right._store

    async def take_due(now: Any) -> Any:
        return replace(await store.take_due(now), waits=[])

    right._store = Wrong(store, {"take_due": take_due})
    return {}


def cannot_wait(right: Any) -> Mapping[str, Method]:
    store = right._store

    async def take_due(now: Any) -> Any:
        return await store.take_due(now + timedelta(minutes=2))

    right._store = Wrong(store, {"take_due": take_due})
    return {}


# ── mending ──────────────────────────────────────────────────────────────────────────────────────────────────


def shows_it_as_running(right: Any) -> Mapping[str, Method]:
    async def list_sagas(query: Any) -> Any:
        status = {"running": "waiting", "waiting": "running"}.get(query.status, query.status)
        return await right.list_sagas(replace(query, status=status))

    return {"list_sagas": list_sagas}


def forgets_to_retry(right: Any) -> Mapping[str, Method]:
    async def retry(saga_id: str) -> None:
        await right.get_saga(saga_id)

    return {"retry": retry}


def knows_no_keys(right: Any) -> Mapping[str, Method]:
    async def retry(saga_id: str) -> None:
        with calls.keyless():
            await right.retry(saga_id)

    return {"retry": retry}


def retries_instead(right: Any) -> Mapping[str, Method]:
    return {"compensate": right.retry}


def gives_up_once(right: Any) -> Mapping[str, Method]:
    """A repeat, whose first answer was lost, is told of a conflict."""
    given_up: set[str] = set()

    async def compensate(saga_id: str) -> None:
        if saga_id in given_up:
            raise Conflict("orchestrator.wrong_state")
        await right.compensate(saga_id)
        given_up.add(saga_id)

    return {"compensate": compensate}


def lets_one_change_ones_mind(right: Any) -> Mapping[str, Method]:
    async def retry(saga_id: str) -> None:
        with contextlib.suppress(Conflict):
            await right.retry(saga_id)

    return {"retry": retry}


def gives_up_only_what_is_parked(right: Any) -> Mapping[str, Method]:
    async def compensate(saga_id: str) -> None:
        if (await right.get_saga(saga_id)).status != "waiting":
            raise Conflict("orchestrator.wrong_state")
        await right.compensate(saga_id)

    return {"compensate": compensate}


def gives_up_anything(right: Any) -> Mapping[str, Method]:
    async def compensate(saga_id: str) -> None:
        with contextlib.suppress(Conflict):
            await right.compensate(saga_id)

    return {"compensate": compensate}


def tries_every_undo_for_ever(right: Any) -> Mapping[str, Method]:
    """What is being undone cannot be given up."""

    async def compensate(saga_id: str) -> None:
        view = await right.get_saga(saga_id)
        undoing = any("undo" in step.name for step in view.steps)
        await (right.retry if undoing else right.compensate)(saga_id)

    return {"compensate": compensate}


def leaves_alone_what_failed(right: Any) -> Mapping[str, Method]:
    async def retry(saga_id: str) -> None:
        if (await right.get_saga(saga_id)).status == "failed":
            raise Conflict("orchestrator.wrong_state")
        await right.retry(saga_id)

    return {"retry": retry}


def tries_what_failed_again(right: Any) -> Mapping[str, Method]:
    """Instead of undoing it."""
    failed: set[str] = set()

    async def compensate(saga_id: str) -> None:
        if (await right.get_saga(saga_id)).status == "failed":
            failed.add(saga_id)
        await (right.retry if saga_id in failed else right.compensate)(saga_id)

    return {"compensate": compensate}


def hides_what_failed(right: Any) -> Mapping[str, Method]:
    async def list_sagas(query: Any) -> Any:
        return Page([], None) if query.status == "failed" else await right.list_sagas(query)

    return {"list_sagas": list_sagas}


MISTAKES = [
    (shows_no_steps, "test_a_saga_is_seen_to_its_end"),
    (says_nothing_of_what_is_not_there, "test_a_saga_is_seen_to_its_end"),
    (lists_any_status, "test_a_saga_is_seen_to_its_end"),
    (is_always_at_rest, "test_a_saga_is_seen_to_its_end"),
    (begins_again, "test_an_event_that_comes_again_begins_nothing"),
    (counts_no_tries, "test_tries_are_counted_while_nobody_answers"),
    (shows_what_has_ended_only, "test_tries_are_counted_while_nobody_answers"),
    (takes_refused_for_something_else, "test_what_is_refused_before_the_pivot_has_ended"),
    (mends_what_has_ended, "test_what_is_refused_before_the_pivot_has_ended"),
    (pages_by_number, "test_sagas_are_found_by_pages"),
    (finds_any_name, "test_sagas_are_found_by_pages"),
    (counts_whatever_has_not_ended, "test_who_waits_for_an_answer_cannot_go_on_by_itself"),
    (tells_everybody, "test_who_waits_for_an_answer_cannot_go_on_by_itself"),
    (is_deaf, "test_who_waits_for_an_answer_cannot_go_on_by_itself"),
    (has_a_clock_of_its_own, "test_a_deadline_is_by_the_deployments_clock"),
    (cannot_wait, "test_a_deadline_is_by_the_deployments_clock"),
    (counts_whatever_has_not_ended, "test_what_waits_for_a_person_is_listed_and_goes_on"),
    (shows_it_as_running, "test_what_waits_for_a_person_is_listed_and_goes_on"),
    (forgets_to_retry, "test_what_waits_for_a_person_is_listed_and_goes_on"),
    (leaves_alone_what_failed, "test_what_failed_is_listed_and_goes_on"),
    (hides_what_failed, "test_what_failed_is_listed_and_goes_on"),
    (tries_what_failed_again, "test_what_failed_can_be_given_up"),
    (knows_no_keys, "test_one_key_is_one_retry"),
    (retries_instead, "test_what_waits_for_a_person_can_be_given_up"),
    (gives_up_once, "test_what_waits_for_a_person_can_be_given_up"),
    (lets_one_change_ones_mind, "test_what_waits_for_a_person_can_be_given_up"),
    (gives_up_only_what_is_parked, "test_what_waits_for_an_answer_can_be_given_up"),
    (gives_up_anything, "test_what_goes_on_is_not_given_up"),
    (tries_every_undo_for_ever, "test_an_undo_that_is_refused_waits_and_can_be_left_out"),
]
