"""Whether a product is shown: by its seller, by what moderation finds, and by what a person decides days later."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, cast

from marketplace_catalog.config import CatalogConfig
from marketplace_catalog.domain import settled, unpublishable
from marketplace_catalog.store import CatalogStore, ProductRecord
from marketplace_core import calls
from marketplace_core.capabilities.catalog import ProductStatus, PublicationRequested, SellerProduct
from marketplace_core.capabilities.moderation import Cause, Content, ContentAppealed, ContentDecided, Judgement, Submission
from marketplace_core.ports import UnitOfWork, Units, handler, natural
from marketplace_core.values import Money, new_id

__all__ = ["PublishingUseCases", "judged_parts"]


def judged_parts(record: ProductRecord) -> tuple[Any, ...]:
    """What a moderator sees of it: once this changes it is judged anew."""
    variants = [(variant.title, dict(variant.options), variant.price) for variant in record.variants]
    return record.title, record.description, record.category_id, dict(record.attributes), _pictures(record), variants


class PublishingUseCases(ABC):
    """What moderation has to do with :class:`~marketplace_catalog.service.CatalogService`."""

    units: Units
    _store: CatalogStore
    _config: CatalogConfig
    _moderated: bool

    def _show(self, uow: UnitOfWork, record: ProductRecord) -> None:
        """It is to be published: at once, or once it is judged."""
        record.status = "published" if not self._moderated or self._config.show == "first" else "in_review"
        record.reason_code = None
        self._judge_later(uow, record, "new")

    def _judge_again(self, uow: UnitOfWork, record: ProductRecord) -> None:
        """It was changed in what is judged of it. What waits, or was rejected, waits until it is judged anew."""
        record.revision += 1
        if record.status in {"draft", "archived"} or not self._moderated:
            return
        if record.status == "rejected" or self._config.show == "approved":
            record.status, record.reason_code = "in_review", None
        self._judge_later(uow, record, "edited")

    def _judge_later(self, uow: UnitOfWork, record: ProductRecord, cause: Cause) -> None:
        if self._moderated:
            wanted = _submission(record, cause, calls.current().caller.account_id)
            uow.emit(
                PublicationRequested(
                    publication_id=new_id(), product_id=record.id, seller_id=record.seller_id, submission=wanted
                )
            )

    @natural
    async def settle_publication(self, uow: UnitOfWork, seller_id: str, judged: Judgement) -> None:
        await self._settle(uow, seller_id, judged)

    @handler(ContentDecided, when=lambda event: event.content.kind == "product" and event.by == "moderator")
    async def on_content_decided(self, uow: UnitOfWork, event: ContentDecided) -> None:
        verdict = Judgement(event.content, "approved" if event.approved else "rejected", event.reason_code)
        await self._settle(uow, event.seller_id, verdict)

    @handler(ContentAppealed, when=lambda event: event.content.kind == "product")
    async def on_content_appealed(self, uow: UnitOfWork, event: ContentAppealed) -> None:
        """It waits again, by a saga as at first."""
        record = await self._judged(uow, event.seller_id, event.content)
        if record is not None and record.status == "rejected":
            record.status, record.reason_code = "in_review", None
            self._judge_later(uow, record, "edited")
            await self._changed(uow, record)

    async def _settle(self, uow: UnitOfWork, seller_id: str | None, judged: Judgement) -> None:
        record = await self._judged(uow, seller_id, judged.content)
        if record is None:
            return
        complete = not unpublishable([variant.price is not None for variant in record.variants], [""] * len(record.variants))
        status = cast(ProductStatus, settled(record.status, judged.verdict, complete=complete))
        reason_code = judged.reason_code if status == "rejected" else None
        if (status, reason_code) != (record.status, record.reason_code):
            record.status, record.reason_code = status, reason_code
            await self._changed(uow, record)

    async def _judged(self, uow: UnitOfWork, seller_id: str | None, content: Content) -> ProductRecord | None:
        """The product, unless it is gone or was changed since it was submitted."""
        if seller_id is None:
            return None
        record = await self._store.lock_product(uow, seller_id, content.id)
        return None if record is None or record.revision != content.version else record

    @abstractmethod
    async def _changed(self, uow: UnitOfWork, record: ProductRecord) -> SellerProduct: ...


def _submission(record: ProductRecord, cause: Cause, author_id: str | None) -> Submission:
    priced = [variant for variant in record.variants if variant.price is not None]
    lowest = min(priced, key=lambda variant: variant.price or 0, default=None)
    snapshot = {"title": record.title, "description": record.description}
    snapshot |= {f"attributes.{name}": str(value) for name, value in sorted(record.attributes.items())}
    return Submission(
        content=Content("product", record.id, record.revision),
        cause=cause,
        author_id=author_id,
        seller_id=record.seller_id,
        snapshot=snapshot,
        images=tuple(_pictures(record)),
        price=None if lowest is None or lowest.currency is None else Money(lowest.price or 0, lowest.currency),
        category_id=record.category_id,
    )


def _pictures(record: ProductRecord) -> list[str]:
    return [image.key for image in record.images if image.status == "ready"]
