"""The part of the catalogue's suite that is about pictures, before any is drawn."""

from __future__ import annotations

import pytest

from marketplace_core import calls
from marketplace_core.capabilities.catalog import Catalog, SellerImage
from marketplace_core.errors import Invalid, NotFound, PreconditionFailed
from marketplace_core.pictures import PictureItem, PictureOrder, SentPicture
from marketplace_core.testing.contracts.catalog_shelves import Shelf, open_seller, shelve
from marketplace_core.values import etag, new_id

__all__ = ["PictureRules", "sent"]


def sent(count: int) -> list[SentPicture]:
    """As they stand in the blobs, so far as anybody looks."""
    return [SentPicture(f"{n}.png", f"uploads/catalog/ab/{new_id()}") for n in range(count)]


async def _images(catalog: Catalog, shelf: Shelf) -> list[SellerImage]:
    return (await catalog.get_seller_product(shelf.seller.id, shelf.product_id)).images


class PictureRules:
    @pytest.mark.behaviour("catalog-4")
    async def test_a_bad_picture_is_refused_and_no_other(self, catalog: Catalog) -> None:
        shelf = await shelve(catalog, 5)
        good, other = sent(2)
        files = [good, SentPicture("no.svg", code="format"), other]
        with calls.scope(calls.Call(key="k", guest="g")):
            items = (await catalog.add_images(shelf.seller.id, shelf.product_id, files, None)).items
            again = (await catalog.add_images(shelf.seller.id, shelf.product_id, files, None)).items
        assert [(item.name, item.status, item.code) for item in items] == [
            ("0.png", "pending", None),
            ("no.svg", "rejected", "format"),
            ("1.png", "pending", None),
        ]
        assert again == items, "one key is one act"
        assert items[1] == PictureItem(None, "no.svg", "rejected", "format")
        wanted = [SellerImage(item.id or "", None, "pending") for item in items if item.id]
        assert await _images(catalog, shelf) == wanted
        page = (await catalog.get_product(shelf.product_id)).page
        assert page is not None and page.images == []

    async def test_pictures_stand_in_the_order_that_names_each_once(self, catalog: Catalog) -> None:
        shelf = await shelve(catalog, 5)
        seller, product = shelf.seller.id, shelf.product_id
        added = await catalog.add_images(seller, product, sent(3), None)
        first, second, third = (item.id or "" for item in added.items)
        bad = {"required": [first, second], "duplicate": [first, first, second], "not_found": [first, second, third, "x"]}
        for code, ids in bad.items():
            with pytest.raises(Invalid) as refused:
                await catalog.order_images(seller, product, PictureOrder(ids), None)
            assert [problem.code for problem in refused.value.errors] == [code]
        before = etag(await catalog.get_seller_product(seller, product))
        after = await catalog.order_images(seller, product, PictureOrder([third, first, second]), before)
        assert [image.id for image in after.images] == [third, first, second]
        for act in (
            lambda: catalog.order_images(seller, product, PictureOrder([first, second, third]), before),
            lambda: catalog.delete_image(seller, product, first, before),
            lambda: catalog.add_images(seller, product, sent(1), before),
        ):
            with pytest.raises(PreconditionFailed):
                await act()
        await catalog.delete_image(seller, product, first, etag(after))
        assert [image.id for image in await _images(catalog, shelf)] == [third, second]
        with pytest.raises(NotFound):
            await catalog.delete_image(seller, product, first, None)

    async def test_nobody_changes_the_pictures_of_another(self, catalog: Catalog) -> None:
        shelf, other = await shelve(catalog, 5), await open_seller(catalog)
        [item] = (await catalog.add_images(shelf.seller.id, shelf.product_id, sent(1), None)).items
        for act in (
            lambda: catalog.add_images(other.id, shelf.product_id, sent(1), None),
            lambda: catalog.order_images(other.id, shelf.product_id, PictureOrder([item.id or ""]), None),
            lambda: catalog.delete_image(other.id, shelf.product_id, item.id or "", None),
        ):
            with pytest.raises(NotFound):
                await act()
        assert [image.id for image in await _images(catalog, shelf)] == [item.id]
