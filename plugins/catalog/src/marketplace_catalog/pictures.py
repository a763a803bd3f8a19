"""Pictures of products: those that sellers send, and those that an import names by their URLs, by one path."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from msgspec import Struct

from marketplace_catalog.config import CatalogConfig
from marketplace_catalog.store import CatalogStore, ProductRecord
from marketplace_core import calls
from marketplace_core.capabilities.catalog import Catalog, SellerProduct
from marketplace_core.capabilities.moderation import ContentDecided
from marketplace_core.errors import NotFound
from marketplace_core.pictures import PictureItems, PictureOrder, PictureRecord, Pictures, SentPicture
from marketplace_core.pictures.moderating import decided_of, name_of, submit
from marketplace_core.ports import UnitOfWork, Units, command, handler, natural
from marketplace_core.values import require

__all__ = ["FetchPictures", "PictureUseCases"]


class FetchPictures(Struct, frozen=True):
    """Of a product: these, or all that are to be made. ``author_id``: who sent them; None: an import, which nobody judges."""

    seller_id: str
    product_id: str
    ids: tuple[str, ...] = ()
    author_id: str | None = None


class PictureUseCases(Catalog):
    """The part of the catalogue's service that is about pictures."""

    units: Units
    _store: CatalogStore
    _pictures: Pictures
    _config: CatalogConfig
    _moderated: bool

    # ── for sellers ──────────────────────────────────────────────────────────────────────────────────────────

    @command
    async def add_images(
        self, uow: UnitOfWork, seller_id: str, product_id: str, sent: list[SentPicture], if_match: str | None
    ) -> PictureItems:
        record = await self._locked(uow, seller_id, product_id, if_match)
        taken = sum(image.status != "rejected" for image in record.images)
        new, items = self._pictures.accept(sent, self._config.max_images - taken)
        if new:
            record.images += new
            author = calls.current().caller.account_id
            ids = tuple(image.id for image in new)
            uow.enqueue("catalog.fetch_pictures", FetchPictures(seller_id, product_id, ids, author or seller_id))
            await self._changed(uow, record)
        return PictureItems(items)

    @command
    async def order_images(
        self, uow: UnitOfWork, seller_id: str, product_id: str, order: PictureOrder, if_match: str | None
    ) -> SellerProduct:
        record = await self._locked(uow, seller_id, product_id, if_match)
        images = {image.id: image for image in record.images}
        for index, id_ in enumerate(order.ids):
            require(id_ in images, f"/ids/{index}", "not_found", "The product has no such picture.")
            require(order.ids.index(id_) == index, f"/ids/{index}", "duplicate", "Name each picture once.")
        require(len(order.ids) == len(images), "/ids", "required", "Name every picture of the product.")
        record.images = [images[id_] for id_ in order.ids]
        return await self._changed(uow, record)

    @command
    async def delete_image(self, uow: UnitOfWork, seller_id: str, product_id: str, image_id: str, if_match: str | None) -> None:
        record = await self._locked(uow, seller_id, product_id, if_match)
        left = [image for image in record.images if image.id != image_id]
        if len(left) == len(record.images):
            raise NotFound("The product has no such picture.")
        record.images = left
        await self._changed(uow, record)

    # ── in a worker ──────────────────────────────────────────────────────────────────────────────────────────

    def _fetch_later(self, uow: UnitOfWork, records: Sequence[ProductRecord]) -> None:
        for record in records:
            if any(image.is_to_be_made for image in record.images):
                uow.enqueue("catalog.fetch_pictures", FetchPictures(record.seller_id, record.id))

    async def fetch_pictures(self, wanted: FetchPictures) -> None:
        """A job: one that is no picture fails alone."""
        record = await self._store.get_product(wanted.seller_id, wanted.product_id)
        images = record.images if record else []
        if made := await self._pictures.make([image for image in images if _is_meant(image, wanted)]):
            await self._show_pictures(wanted, {image.id: image for image in made})

    @natural
    async def _show_pictures(self, uow: UnitOfWork, wanted: FetchPictures, made: dict[str, PictureRecord]) -> None:
        record = await self._store.lock_product(uow, wanted.seller_id, wanted.product_id)
        if record is None:
            return
        record.images = [made.get(image.id, image) if image.is_to_be_made else image for image in record.images]
        if self._moderated and wanted.author_id is not None:
            for image in record.images:
                if image.id in made:
                    snapshot = {"title": record.title}
                    submit(uow, self._config.show, "catalog", record.id, image, wanted.author_id, snapshot)
        await self._changed(uow, record)

    @handler(ContentDecided, when=decided_of("catalog"))
    async def on_picture_decided(self, uow: UnitOfWork, event: ContentDecided) -> None:
        product_id, image_id = name_of(event.content)
        record = await self._store.lock_product(uow, None, product_id)
        image = next((image for image in record.images if image.id == image_id), None) if record else None
        if record and image and image.decide(approved=event.approved, code=event.reason_code):
            await self._changed(uow, record)

    async def sweep_pictures(self) -> None:
        """A schedule: deletes what no product and no order refers to any more."""
        await self._pictures.sweep(self._store.referred_pictures)

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    async def _locked(self, uow: UnitOfWork, seller_id: str, product_id: str, if_match: str | None = None) -> ProductRecord: ...

    @abstractmethod
    async def _changed(self, uow: UnitOfWork, record: ProductRecord) -> SellerProduct:
        """Save a product, and tell it."""


def _is_meant(image: PictureRecord, wanted: FetchPictures) -> bool:
    return image.is_to_be_made and (not wanted.ids or image.id in wanted.ids)
