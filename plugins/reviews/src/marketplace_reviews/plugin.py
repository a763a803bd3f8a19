"""The reviews plugin's hooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from marketplace_core.capabilities.moderation import Moderation
from marketplace_core.capabilities.reviews import Reviews
from marketplace_core.capabilities.users import Users
from marketplace_core.context import PluginContext
from marketplace_core.hookspecs import Job, Migration, PluginInfo, Schedule, hookimpl, migrations_of
from marketplace_core.http.routing import Router
from marketplace_reviews import router, worker
from marketplace_reviews.config import ReviewsConfig
from marketplace_reviews.service import ReviewService
from marketplace_reviews.store import RatingStore, ReviewStore

STORES = {"postgres": "marketplace_reviews.stores.postgres:make", "mongo": "marketplace_reviews.stores.mongo:make"}
RATINGS = {"postgres": "marketplace_reviews.stores.postgres_ratings:make"}


@hookimpl
def info() -> PluginInfo:
    return PluginInfo(
        name="reviews",
        version="0.1.0",
        provides="reviews",
        requires=("users",),
        uses=("moderation",),
        stores=("postgres", "mongo"),
        roles={"ratings": ("postgres",)},
        emits=("moderation",),
    )


@hookimpl
def settings() -> type[ReviewsConfig]:
    return ReviewsConfig


@hookimpl
def migrations() -> Sequence[Migration]:
    return migrations_of(__package__)


@hookimpl
def provide_reviews(context: PluginContext) -> Reviews:
    store: ReviewStore = context.store(STORES)
    ratings: RatingStore = context.store(RATINGS, "ratings")
    return ReviewService(
        context.units,
        context.units_of("ratings"),
        store,
        ratings,
        context.port(Users),
        context.cache,
        context.pictures,
        context.config(ReviewsConfig),
        moderated=context.optional_port(Moderation) is not None,
    )


@hookimpl
def routers(context: PluginContext) -> Sequence[Router]:
    return router.routers(context.port(Reviews), context.pictures)


@hookimpl
def subscriptions() -> Sequence[Callable[..., Any]]:
    return worker.SUBSCRIPTIONS


@hookimpl
def jobs() -> Sequence[Job]:
    return worker.JOBS


@hookimpl
def schedules() -> Sequence[Schedule]:
    return worker.SCHEDULES
