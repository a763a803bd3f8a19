"""The catalogue's routes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from marketplace_core.capabilities.catalog import (
    Card,
    Catalog,
    Category,
    CategoryDraft,
    CategoryPatch,
    CategoryTree,
    PriceRow,
    ProductDraft,
    ProductPage,
    ProductPatch,
    ProductQuery,
    RowResults,
    SellerProduct,
    SellerProductQuery,
    StockRow,
)
from marketplace_core.http.routing import Answer, Redirect, Request, Router, Upload
from marketplace_core.pictures import PictureItems, PictureOrder, Pictures
from marketplace_core.values import Page

__all__ = ["routers"]


class CategoryQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """``depth``: so many levels; what hangs below is counted all the same."""

    depth: Annotated[int, Meta(ge=1, le=30)] | None = None


class StockRows(Struct, frozen=True, forbid_unknown_fields=True):
    items: Annotated[list[StockRow], Meta(max_length=1000)]


class PriceRows(Struct, frozen=True, forbid_unknown_fields=True):
    items: Annotated[list[PriceRow], Meta(max_length=1000)]


def routers(catalog: Catalog, pictures: Pictures) -> Sequence[Router]:
    return buyer(catalog), seller(catalog, pictures), admin(catalog)


def buyer(catalog: Catalog) -> Router:
    router = Router("buyer", "catalog")

    @router.get("/products", access="anyone", cached="lists")
    async def list_products(query: ProductQuery) -> Page[Card]:
        """Published products."""
        return await catalog.list_products(query)

    @router.get("/products/{id}", access="anyone", cached="product:{id}")
    async def get_product(id: str) -> ProductPage | Redirect:
        """A product by id or slug."""
        found = await catalog.get_product(id)
        return found.page or Redirect(f"/products/{found.moved_to}")

    @router.get("/categories", access="anyone", cached="categories")
    async def get_categories(query: CategoryQuery) -> CategoryTree:
        """The tree of categories, with the number of products in each."""
        return await catalog.get_categories(query.depth)

    return router


def seller(catalog: Catalog, pictures: Pictures) -> Router:
    router = Router("seller", "catalog", scope="products")

    @router.get("/categories")
    async def get_categories(query: CategoryQuery) -> CategoryTree:
        """The tree of categories."""
        return await catalog.get_categories(query.depth)

    @router.get("/products", access="shop")
    async def list_products(request: Request, query: SellerProductQuery) -> Page[SellerProduct]:
        """The shop's products, in any state."""
        return await catalog.list_seller_products(request.seller_id, query)

    @router.post("/products", access="shop")
    async def create_product(request: Request, body: ProductDraft) -> Answer[SellerProduct]:
        """A new product, as a draft."""
        product = await catalog.create_product(request.seller_id, body)
        return Answer(product, location=f"/products/{product.id}")

    @router.get("/products/{id}", access="shop")
    async def get_product(request: Request, id: str) -> SellerProduct:
        """One of the shop's products."""
        return await catalog.get_seller_product(request.seller_id, id)

    @router.patch("/products/{id}", access="shop")
    async def update_product(request: Request, id: str, body: ProductPatch) -> SellerProduct:
        """Change a product; variants are matched by SKU, those not named stay."""
        return await catalog.update_product(request.seller_id, id, body, request.if_match)

    @router.delete("/products/{id}", access="shop")
    async def delete_product(request: Request, id: str) -> None:
        """Delete a product that is not published."""
        await catalog.delete_product(request.seller_id, id, request.if_match)

    @router.post("/products/{id}/publish", access="shop", status=202)
    async def publish_product(request: Request, id: str) -> SellerProduct:
        """Show a product to shoppers."""
        return await catalog.publish_product(request.seller_id, id)

    @router.post("/products/{id}/archive", access="shop", status=202)
    async def archive_product(request: Request, id: str) -> SellerProduct:
        """Take a product off the shop."""
        return await catalog.archive_product(request.seller_id, id)

    @router.post("/products/{id}/images", access="shop", status=202)
    async def add_images(request: Request, id: str, files: list[Upload]) -> PictureItems:
        """Pictures of a product: each is looked at, drawn in several sizes and shown, or rejected alone."""
        # Before they are kept: what is another's takes no room.
        await catalog.get_seller_product(request.seller_id, id)
        return await catalog.add_images(request.seller_id, id, await pictures.keep(files), request.if_match)

    @router.put("/products/{id}/images", access="shop")
    async def order_images(request: Request, id: str, body: PictureOrder) -> SellerProduct:
        """The order in which its pictures are shown; the first one is on cards."""
        return await catalog.order_images(request.seller_id, id, body, request.if_match)

    @router.delete("/products/{id}/images/{image}", access="shop")
    async def delete_image(request: Request, id: str, image: str) -> None:
        """Take a picture away."""
        await catalog.delete_image(request.seller_id, id, image, request.if_match)

    @router.post("/stock", access="shop", status=200)
    async def set_stock(request: Request, body: StockRows) -> RowResults:
        """New counts on hand, or changes of them, each row for itself."""
        return await catalog.set_stock(request.seller_id, body.items)

    @router.post("/prices", access="shop", status=200)
    async def set_prices(request: Request, body: PriceRows) -> RowResults:
        """New prices, each row for itself."""
        return await catalog.set_prices(request.seller_id, body.items)

    return router


def admin(catalog: Catalog) -> Router:
    router = Router("admin", "catalog", scope="categories")

    @router.get("/categories", access="staff")
    async def get_categories(query: CategoryQuery) -> CategoryTree:
        """The tree of categories."""
        return await catalog.get_categories(query.depth)

    @router.post("/categories", access="staff")
    async def create_category(body: CategoryDraft) -> Category:
        """A new category."""
        return await catalog.create_category(body)

    @router.patch("/categories/{id}", access="staff")
    async def update_category(id: str, body: CategoryPatch) -> Category:
        """Rename a category, or hang it elsewhere with all below it."""
        return await catalog.update_category(id, body)

    @router.delete("/categories/{id}", access="staff")
    async def delete_category(id: str) -> None:
        """Delete a category with nothing in it."""
        await catalog.delete_category(id)

    return router
