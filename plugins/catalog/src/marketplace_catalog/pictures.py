"""Pictures that a file names by URL: fetched by a job, looked at whole, and shown after that."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence

from msgspec import Struct

from marketplace_catalog.store import CatalogStore, ImageRecord, ProductRecord
from marketplace_core.capabilities.catalog import SellerProduct
from marketplace_core.errors import Unavailable
from marketplace_core.http.egress import Egress, Unreached
from marketplace_core.pictures import MAX_BYTES, BadPicture, read_picture
from marketplace_core.ports import Blobs, UnitOfWork, Units, natural

__all__ = ["FetchPictures", "PictureUseCases"]

#: What another moment may mend.
_LATER = frozenset(("timeout", "no_connection", "unresolved"))


class FetchPictures(Struct, frozen=True):
    """Of a product: those that are pending and have a URL."""

    seller_id: str
    product_id: str


async def _fetch(image: ImageRecord, egress: Egress, blobs: Blobs) -> ImageRecord:
    """The picture as it is to be kept: ready, or rejected for good.

    :raises Unavailable: the other host does not answer; ask again.
    """
    url = image.source or ""
    try:
        answer = await egress.request("GET", url, headers={"accept": "image/*"}, most=MAX_BYTES)
    except Unreached as error:
        if error.reason in _LATER:
            raise Unavailable(f"A picture cannot be fetched: {error}") from error
        return ImageRecord(image.id, "", "rejected", source=url)
    if answer.status >= 500 or answer.status == 429:
        raise Unavailable(f"A picture cannot be fetched: its host answers {answer.status}.")
    try:
        if answer.status != 200 or not answer.whole:
            raise BadPicture("format", "It is not there.")
        picture = await asyncio.to_thread(read_picture, answer.body, "It")
    except BadPicture:
        return ImageRecord(image.id, "", "rejected", source=url)
    key = f"catalog/{picture.name[:2]}/{picture.name}"
    await blobs.put({key: picture.content})
    return ImageRecord(image.id, key, "ready", picture.width, picture.height, url)


class PictureUseCases(ABC):
    """What a worker does for the pictures of :class:`~marketplace_catalog.service.CatalogService`."""

    units: Units
    _store: CatalogStore
    _blobs: Blobs
    _egress: Egress

    def _fetch_later(self, uow: UnitOfWork, records: Sequence[ProductRecord]) -> None:
        for record in records:
            if any(image.status == "pending" and image.source for image in record.images):
                uow.enqueue("catalog.fetch_pictures", FetchPictures(record.seller_id, record.id))

    async def fetch_pictures(self, wanted: FetchPictures) -> None:
        """A job: the pictures that an import named by their URLs. One that is none fails alone."""
        record = await self._store.get_product(wanted.seller_id, wanted.product_id)
        pending = [image for image in record.images if image.status == "pending" and image.source] if record else []
        fetched = {image.id: await _fetch(image, self._egress, self._blobs) for image in pending}
        if fetched:
            await self._show_pictures(wanted, fetched)

    @natural
    async def _show_pictures(self, uow: UnitOfWork, wanted: FetchPictures, fetched: dict[str, ImageRecord]) -> None:
        record = await self._store.lock_product(uow, wanted.seller_id, wanted.product_id)
        if record is not None:
            record.images = [fetched.get(image.id, image) for image in record.images]
            await self._changed(uow, record)

    @abstractmethod
    async def _changed(self, uow: UnitOfWork, record: ProductRecord) -> SellerProduct:
        """Save a product, and tell it."""
