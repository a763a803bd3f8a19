"""Reviews in MongoDB: a document each, and what belongs to one but is written by others beside it."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from pymongo import ReplaceOne, UpdateOne

from marketplace_core.adapters.mongo import Connection, Database, Document
from marketplace_core.capabilities.reviews import ReviewQuery, SellerReviewQuery
from marketplace_core.context import PluginContext
from marketplace_core.pictures import PictureRecord
from marketplace_core.ports import UnitOfWork
from marketplace_core.values import PageQuery
from marketplace_reviews.domain import Line, Review
from marketplace_reviews.store import Command, Position, ReviewStore

__all__ = ["MongoReviewStore", "make"]

_LINES, _COMMANDS, _REVIEWS = "reviews.lines", "reviews.commands", "reviews.reviews"
_VOTES, _REPORTS, _PICTURES = "reviews.votes", "reviews.reports", "reviews.pictures"
_EPOCH = datetime.fromtimestamp(0, UTC)

#: per sort: its key, and which way it goes
SORTS = {"newest": ("created", -1), "helpful": ("helpful", -1), "rating": ("rating", 1), "-rating": ("rating", -1)}


class MongoReviewStore(ReviewStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    # ── lines ────────────────────────────────────────────────────────────────────────────────────────────────

    async def add_lines(self, uow: UnitOfWork, lines: Sequence[Line]) -> None:
        new = [UpdateOne({"_id": line.item_id}, {"$setOnInsert": _of_line(line)}, upsert=True) for line in lines]
        await self._database.on(uow).write(_LINES, new)

    async def ship_lines(self, uow: UnitOfWork, package_id: str, item_ids: Sequence[str]) -> None:
        await self._database.on(uow).update(_LINES, {"_id": {"$in": list(item_ids)}}, {"$set": {"package_id": package_id}})

    async def deliver_lines(self, uow: UnitOfWork, package_id: str, at: datetime) -> list[Line]:
        connection, sent = self._database.on(uow), {"package_id": package_id, "delivered_at": None}
        rows = await connection.find(_LINES, sent, sort=[("_id", 1)])
        await connection.update(_LINES, sent, {"$set": {"delivered_at": at}})
        return [_line({**row, "delivered_at": at}) for row in rows]

    async def lock_line(self, uow: UnitOfWork, item_id: str) -> Line | None:
        row = await self._database.on(uow).lock(_LINES, {"_id": item_id})
        return None if row is None else _line(row)

    async def save_line(self, uow: UnitOfWork, line: Line) -> None:
        change = {"$set": {"review_id": line.review_id, "number": line.number}}
        await self._database.on(uow).update(_LINES, {"_id": line.item_id}, change)

    # ── commands ─────────────────────────────────────────────────────────────────────────────────────────────

    async def add_command(self, uow: UnitOfWork, command: Command) -> None:
        row = {
            "review_id": command.review.id,
            "number": command.number,
            "account_id": command.review.account_id,
            "act": command.act,
            "review": _of_review(command.review),
        }
        await self._database.on(uow).insert(_COMMANDS, [row])

    async def close_commands(self, uow: UnitOfWork, review_id: str, number: int) -> None:
        await self._database.on(uow).delete(_COMMANDS, {"review_id": review_id, "number": {"$lte": number}})

    # ── reviews ──────────────────────────────────────────────────────────────────────────────────────────────

    async def find(self, review_id: str, uow: UnitOfWork | None = None) -> Review | None:
        source = self._database if uow is None else self._database.on(uow)
        # In this order: a command that is carried out in between is in the review by then.
        command = await source.find_one(_COMMANDS, {"review_id": review_id}, sort=[("number", -1)])
        row = await source.find_one(_REVIEWS, {"_id": review_id})
        if command is not None:
            row = None if command["act"] == "delete" else _coming(command, row)
        return await _shown(source, row)

    async def get(self, review_id: str) -> Review | None:
        return await _shown(self._database, await self._database.find_one(_REVIEWS, {"_id": review_id}))

    async def lock(self, uow: UnitOfWork, review_id: str) -> Review | None:
        connection = self._database.on(uow)
        return await _shown(connection, await connection.lock(_REVIEWS, {"_id": review_id}))

    async def save(self, uow: UnitOfWork, review: Review) -> None:
        own = _of_review(review)
        change = {"$set": own, "$setOnInsert": {"helpful": 0}}
        await self._database.on(uow).change(_REVIEWS, {"_id": own.pop("_id")}, change, upsert=True)

    async def delete(self, uow: UnitOfWork, review_id: str) -> None:
        connection = self._database.on(uow)
        for name in (_PICTURES, _VOTES, _REPORTS):
            await connection.delete(name, {"review_id": review_id})
        await connection.delete(_REVIEWS, {"_id": review_id})

    async def list_published(
        self, product_id: str, query: ReviewQuery, after: Position | None
    ) -> list[tuple[Review, Position]]:
        where: Document = {"product_id": product_id, "status": "published"}
        if query.rating is not None:
            where["rating"] = query.rating
        return await self._page(where, *SORTS[query.sort], after, query.size + 1)

    async def list_of_seller(
        self, seller_id: str, query: SellerReviewQuery, after: Position | None
    ) -> list[tuple[Review, Position]]:
        where: Document = {"seller_id": seller_id, "status": "published"}
        if query.product_id is not None:
            where["product_id"] = query.product_id
        if query.rating is not None:
            where["rating"] = query.rating
        if query.replied is not None:
            where["reply"] = {"$ne": None} if query.replied else None
        return await self._page(where, *SORTS["newest"], after, query.size + 1)

    async def list_own(self, account_id: str, query: PageQuery, after: Position | None) -> list[tuple[Review, Position]]:
        commands = await self._database.find(_COMMANDS, {"account_id": account_id}, sort=[("number", 1)])
        accepted = {command["review_id"]: command for command in commands}  # the last one of each
        there = await self._database.find(_REVIEWS, {"_id": {"$in": list(accepted)}}) if accepted else []
        known = {row["_id"]: row for row in there}
        coming = [_coming(each, known.get(id_)) for id_, each in accepted.items() if each["act"] != "delete"]
        found = await self._page(
            {"account_id": account_id, "_id": {"$nin": list(accepted)}}, *SORTS["newest"], after, query.size + 1
        )
        found += [(review, (review.created_at, review.id)) for review in await _all_shown(self._database, coming)]
        found.sort(key=lambda one: one[1], reverse=True)
        return [one for one in found if after is None or one[1] < tuple(after)][: query.size + 1]

    async def _page(
        self, where: Document, key: str, way: int, after: Position | None, limit: int
    ) -> list[tuple[Review, Position]]:
        if after is not None:
            value, beyond = _stored(after[0]), "$lt" if way < 0 else "$gt"
            where = {"$and": [where, {"$or": [{key: {beyond: value}}, {key: value, "_id": {beyond: after[1]}}]}]}
        rows = await self._database.find(_REVIEWS, where, sort=[(key, way), ("_id", way)], limit=limit)
        reviews = await _all_shown(self._database, rows)
        return [(one, (one.created_at if key == "created" else getattr(one, key), one.id)) for one in reviews]

    # ── pictures ─────────────────────────────────────────────────────────────────────────────────────────────

    async def get_pictures(self, review_id: str) -> list[PictureRecord]:
        rows = await self._database.find(_PICTURES, {"review_id": review_id}, sort=[("_id", 1)])
        return [_picture(row) for row in rows]

    async def lock_pictures(self, uow: UnitOfWork, review_id: str) -> list[PictureRecord]:
        connection = self._database.on(uow)
        return [_picture(row) for row in await connection.lock_all(_PICTURES, {"review_id": review_id})]

    async def save_pictures(self, uow: UnitOfWork, review_id: str, pictures: Sequence[PictureRecord]) -> None:
        saving = []
        for one in pictures:
            keys = [one.key, *([] if one.source is None else [one.source]), *(size.url for size in one.sizes.values())]
            row = {"review_id": review_id, "keys": keys, "picture": msgspec.to_builtins(one)}
            saving.append(ReplaceOne({"_id": one.id}, row, upsert=True))
        await self._database.on(uow).write(_PICTURES, saving)

    async def referred_pictures(self, keys: Sequence[str]) -> set[str]:
        rows = await self._database.find(_PICTURES, {"keys": {"$in": list(keys)}}, fields={"keys": 1})
        return {key for row in rows for key in row["keys"]} & set(keys)

    # ── what others think of it ──────────────────────────────────────────────────────────────────────────────

    async def vote(self, uow: UnitOfWork, review_id: str, account_id: str, helpful: bool) -> bool:
        connection, one = self._database.on(uow), {"review_id": review_id, "account_id": account_id}
        changed = await _is_new(connection, _VOTES, one) if helpful else await connection.delete(_VOTES, one) > 0
        if changed:
            await connection.update(_REVIEWS, {"_id": review_id}, {"$inc": {"helpful": 1 if helpful else -1}})
        return changed

    async def report(self, uow: UnitOfWork, review_id: str, account_id: str, reason: str, at: datetime) -> int | None:
        connection, one = self._database.on(uow), {"review_id": review_id, "account_id": account_id}
        if not await _is_new(connection, _REPORTS, one, reason=reason, created_at=at):
            return None
        return await connection.count(_REPORTS, {"review_id": review_id})


async def _is_new(connection: Connection, name: str, one: Document, **more: object) -> bool:
    """Whether there was none, which there is now."""
    return await connection.change(name, one, {"$setOnInsert": {**one, **more}}, upsert=True, before=True) is None


# ── documents ────────────────────────────────────────────────────────────────────────────────────────────────


def _stored(value: Any) -> Any:
    """Times as microseconds, of which MongoDB's own would lose some."""
    return (value - _EPOCH) // timedelta(microseconds=1) if isinstance(value, datetime) else value


def _of_review(review: Review) -> Document:
    """What its author says, and what has become of it; votes are counted, and pictures kept, by others."""
    row: Document = msgspec.to_builtins(review)
    del row["helpful"], row["images"]
    return {"_id": row.pop("id"), "created": _stored(review.created_at), **row}


def _coming(command: Document, row: Document | None) -> Document:
    """As the review will be: what others have done to it meanwhile stays."""
    kept = row or {"helpful": 0, "reply": None}
    return {**command["review"], "helpful": kept["helpful"], "reply": kept["reply"]}


async def _shown(source: Any, row: Document | None) -> Review | None:
    return None if row is None else (await _all_shown(source, [row]))[0]


async def _all_shown(source: Any, rows: Sequence[Document]) -> list[Review]:
    """With their pictures."""
    pictures: Mapping[str, list[Document]] = defaultdict(list)
    if ids := [row["_id"] for row in rows]:
        for row in await source.find(_PICTURES, {"review_id": {"$in": ids}}, sort=[("_id", 1)]):
            pictures[row["review_id"]].append({**row["picture"], "id": row["_id"]})
    return [msgspec.convert({**row, "id": row["_id"], "images": pictures[row["_id"]]}, Review) for row in rows]


def _picture(row: Document) -> PictureRecord:
    return msgspec.convert({**row["picture"], "id": row["_id"]}, PictureRecord)


def _of_line(line: Line) -> Document:
    row = dataclasses.asdict(line)
    del row["item_id"]
    return row


def _line(row: Document) -> Line:
    return Line(item_id=row["_id"], **{each.name: row[each.name] for each in dataclasses.fields(Line)[1:]})


def make(context: PluginContext) -> MongoReviewStore:
    """On the MongoDB that the deployment gives the plugin for its reviews."""
    return MongoReviewStore(context.connection())
