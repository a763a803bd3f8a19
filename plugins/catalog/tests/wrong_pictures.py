"""Catalogues with one mistake each about pictures."""

from __future__ import annotations

from typing import Any

from marketplace_catalog import pictures
from marketplace_catalog.service import CatalogService
from msgspec.structs import replace

from marketplace_core.pictures import PictureItems, PictureOrder, SentPicture
from plugins.catalog.tests.mistake import Mistake

__all__ = ["PICTURES"]


class RefusesAllForOne(CatalogService):
    async def add_images(self, seller_id: str, product_id: str, sent: list[SentPicture], if_match: str | None) -> Any:
        code = next((one.code for one in sent if one.code), None)
        return await super().add_images(seller_id, product_id, [replace(one, code=code) for one in sent], if_match)


class ForgetsItsKeys(CatalogService):
    async def add_images(self, seller_id: str, product_id: str, sent: list[SentPicture], if_match: str | None) -> Any:
        return await self.units.run(
            lambda uow: CatalogService.add_images.__wrapped__(self, uow, seller_id, product_id, sent, if_match)  # type: ignore[attr-defined]
        )


class KeepsTheRest(CatalogService):
    """Those that are not named stay at the end."""

    async def order_images(self, seller_id: str, product_id: str, order: PictureOrder, if_match: str | None) -> Any:
        product = await self.get_seller_product(seller_id, product_id)
        rest = [image.id for image in product.images if image.id not in order.ids]
        return await super().order_images(seller_id, product_id, PictureOrder([*order.ids, *rest]), if_match)


class TakesAnyTag(CatalogService):
    async def delete_image(self, seller_id: str, product_id: str, image_id: str, if_match: str | None) -> None:
        await super().delete_image(seller_id, product_id, image_id, None)


class ServesAnySeller(CatalogService):
    async def add_images(self, seller_id: str, product_id: str, sent: list[SentPicture], if_match: str | None) -> PictureItems:
        rows = await self._store._database.fetch("SELECT seller_id FROM catalog.products WHERE id = $1", product_id)  # type: ignore[attr-defined]
        return await super().add_images(rows[0]["seller_id"], product_id, sent, if_match)


_BAD, _ORDER = "test_a_bad_picture_is_refused_and_no_other", "test_pictures_stand_in_the_order_that_names_each_once"


PICTURES = {
    "refuses all for one": Mistake(_BAD, {"service": RefusesAllForOne}),
    "adds again": Mistake(_BAD, {"service": ForgetsItsKeys}),
    "keeps what is not named": Mistake(_ORDER, {"service": KeepsTheRest}),
    "deletes whatever the tag": Mistake(_ORDER, {"service": TakesAnyTag}),
    "takes any order": Mistake(_ORDER, patches=[(pictures, "require", lambda *_: None)]),
    "adds to any product": Mistake("test_nobody_changes_the_pictures_of_another", {"service": ServesAnySeller}),
}
