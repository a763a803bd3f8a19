"""Which worker of a service runs what, and in which groups it reads the bus."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from marketplace_core._plugins.declarations import Declared, own_problems
from marketplace_core.deployment import Deployment, DeploymentErrors, PluginEntry, Resource, Service
from marketplace_core.deployment._problems import Problems
from marketplace_core.deployment._wiring import remembering
from marketplace_core.deployment._workers import bus_groups, check_inboxes, check_workers, workers_of
from marketplace_core.hookspecs import PluginInfo

HANDLERS = ["reviews.on_delivered", "reviews.store", "reviews.aggregate"]


def deployed(workers: dict[str, list[str]]) -> Deployment:
    return Deployment(
        file=__file__,  # type: ignore[arg-type]
        name="shop",
        currency="EUR",
        plugins={"reviews": PluginEntry(name="reviews")},
        services={"reviews": Service(name="reviews", plugins=("reviews",), workers=workers)},
    )


def declared(**more: Any) -> dict[str, Declared]:
    handlers = dict.fromkeys(HANDLERS, ("orders.delivered",))
    return {"reviews": Declared(info=PluginInfo(name="reviews", version="1"), subscriptions=handlers, **more)}


def problems_of(workers: dict[str, list[str]], **more: Any) -> list[str]:
    problems = Problems("shop.toml")
    check_workers(deployed(workers), declared(**more), problems)
    try:
        problems.raise_any()
    except DeploymentErrors as errors:
        return [str(problem) for problem in errors.problems]
    return []


@pytest.mark.parametrize("databases", [0, 1, 2])
def test_who_listens_without_a_store_needs_to_know_where_it_remembers(databases: int) -> None:
    problems = Problems("shop.toml")
    urls = [f"postgres://nowhere/{n}" for n in range(databases)]
    resources = {f"d{n}": Resource(name=f"d{n}", url=url, kind="postgres") for n, url in enumerate(urls)}
    deployment = replace(deployed({"worker": ["*"]}), resources=resources)
    entry = remembering(deployment, PluginEntry(name="reviews"))
    check_inboxes(replace(deployment, plugins={"reviews": entry}), declared(), problems)
    assert problems.none_at("plugins.reviews") == (databases == 1)


@pytest.mark.parametrize(("kind", "told"), [("postgres", False), ("folder", True)])
def test_a_handler_writes_where_what_it_has_seen_can_be_kept(kind: str, told: bool) -> None:
    problems = Problems("shop.toml")
    resources = {
        "main": Resource(name="main", url="postgres://nowhere/main", kind="postgres"),
        "other": Resource(name="other", url="x", kind=kind),
    }
    entry = PluginEntry(name="reviews", on={"reviews": "main", "ratings": "other"})
    deployment = replace(deployed({"worker": ["*"]}), resources=resources, plugins={"reviews": entry})
    check_inboxes(deployment, declared(roles={"reviews.aggregate": "ratings"}), problems)
    assert problems.none_at("plugins.reviews.on.ratings") != told


def test_a_handler_of_a_role_that_there_is_not_is_told() -> None:
    own = declared(roles={"reviews.aggregate": "rating"})["reviews"]
    own = replace(own, info=PluginInfo(name="reviews", version="1", roles={"ratings": ("postgres",)}))
    [problem] = [each for each in own_problems("reviews", own) if "no role" in each.cause]
    assert "did you mean 'ratings'?" in problem.remedy


def test_one_worker_reads_in_the_plugins_own_group() -> None:
    groups = bus_groups(deployed({"worker": ["*"]}), "reviews", HANDLERS)
    assert groups == {"reviews": ("worker", HANDLERS)}


def test_workers_that_share_a_plugin_read_each_in_a_group_of_their_own() -> None:
    parted = deployed({"review": ["reviews.on_*", "reviews.store"], "rating": ["reviews.aggregate"]})
    assert bus_groups(parted, "reviews", HANDLERS) == {
        "reviews.review": ("review", ["reviews.on_delivered", "reviews.store"]),
        "reviews.rating": ("rating", ["reviews.aggregate"]),
    }
    assert workers_of(parted, "reviews", "reviews.aggregate") == ["rating"]


def test_what_each_worker_runs_may_be_said_by_pattern() -> None:
    assert problems_of({"worker": ["*"]}, jobs=("reviews.mail",), schedules=("reviews.tidy",)) == []
    assert problems_of({"a": ["reviews.[so]*"], "b": ["reviews.aggregate"]}) == []


@pytest.mark.parametrize(
    ("workers", "more", "said"),
    [
        ({"a": ["reviews.store", "reviews.on_*"]}, {}, "none of them runs 'reviews.aggregate'"),
        ({"a": ["*"], "b": ["reviews.store"]}, {}, "both run 'reviews.store'"),
        ({"a": ["reviews.[soa]*"]}, {"schedules": ("reviews.tidy",)}, "none of them runs 'reviews.tidy'"),
        ({"a": ["reviews.[soa]*", "reviews.m1"], "b": ["reviews.m2"]}, {"jobs": ("reviews.m1", "reviews.m2")}, "parted among"),
    ],
)
def test_what_nobody_or_two_would_run_is_a_problem(workers: dict[str, list[str]], more: Any, said: str) -> None:
    [problem] = problems_of(workers, **more)
    assert problem.startswith("shop.toml: services.reviews.workers: ") and said in problem
