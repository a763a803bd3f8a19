"""The port of catalog: what other plugins may ask."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime

from marketplace_core.capabilities.catalog.imports import ImportProduct, ImportResult
from marketplace_core.capabilities.catalog.values import (
    Card,
    Category,
    CategoryDraft,
    CategoryPatch,
    CategoryTree,
    LineRequest,
    PriceRow,
    ProductDraft,
    ProductFound,
    ProductPage,
    ProductPatch,
    ProductQuery,
    Reservation,
    RowResults,
    SellerProduct,
    SellerProductQuery,
    SellerRef,
    SellerState,
    StockRow,
    VariantView,
)
from marketplace_core.capabilities.moderation import Judgement
from marketplace_core.pictures.values import PictureItems, PictureOrder, SentPicture
from marketplace_core.ports import mutation, patient, query
from marketplace_core.values import Page


class Catalog(ABC):
    """Products for shoppers, for their sellers, and for carts and orders."""

    # for shoppers

    @abstractmethod
    @query
    async def list_products(self, query: ProductQuery) -> Page[Card]: ...

    @abstractmethod
    @query
    async def get_product(self, id_or_slug: str) -> ProductFound:
        """:raises NotFound: there is none, or shoppers may not see it."""

    @abstractmethod
    @query
    async def get_categories(self, depth: int | None = None) -> CategoryTree:
        """The tree, or its first ``depth`` levels; what hangs below is counted in any case."""

    # for what is built of it, such as an index

    @abstractmethod
    @query
    async def scan_pages(self, after: str, limit: int) -> list[ProductPage]:
        """What shoppers see, pictures as keys, in the order of ids, from behind the id ``after`` ("": from the first).

        Fewer than ``limit``, of at most 1,000, are the last ones. What changes meanwhile may be in it as it was or as it is;
        all else is there once.
        """

    @abstractmethod
    @query
    async def get_pages(self, ids: list[str]) -> list[ProductPage]:
        """Those of them that shoppers see, pictures as keys, in no particular order; at most 1,000."""

    # for carts and orders

    @abstractmethod
    @query
    async def get_variants(self, ids: list[str]) -> list[VariantView]:
        """Those that exist, in any state, in no particular order."""

    @abstractmethod
    @mutation(retriable=True)
    async def reserve(self, key: str, lines: list[LineRequest], seconds: int, instead_of: str | None = None) -> Reservation:
        """Hold stock for an order: all lines or none; equal variants add up; the same ``key`` gives the same answer.

        What was extended is told with its later end. After a release of an unknown ``key`` nothing is held under it.
        What is held under the key ``instead_of`` passes over in the same step; if it is not enough, it stays where it is.
        Released again, it goes back there, as far as it is free.

        :raises Conflict: ``orders.out_of_stock`` with a problem per line (``/lines/<n>``) that cannot be had.
        """

    @abstractmethod
    @mutation(retriable=True)
    async def extend(self, key: str, until: datetime) -> None:
        """Let a held reservation live until then at least. What is not held any more stays so."""

    @abstractmethod
    @mutation(retriable=True)
    async def release(self, key: str) -> None:
        """Give held stock back. A committed reservation stays; an unknown key is remembered as released."""

    @abstractmethod
    @mutation(retriable=True)
    async def withdraw(self, key: str) -> bool:
        """Release, and say whether the order can still go through: False if it is committed, and else it never will be."""

    @abstractmethod
    @mutation(retriable=True)
    async def commit(self, key: str) -> None:
        """The order goes through: what is held becomes allocated. An expired reservation takes stock anew.

        :raises Conflict: ``orders.out_of_stock``: what had expired cannot be had any more, or nothing is held under ``key``.
        """

    @abstractmethod
    @mutation(retriable=True)
    async def restock(self, key: str) -> None:
        """Undo a commit: nothing is allocated or held under ``key`` from now on, whatever comes late."""

    # for sellers

    @abstractmethod
    @mutation(retriable=True)
    async def create_product(self, seller_id: str, draft: ProductDraft) -> SellerProduct:
        """:raises Conflict: ``catalog.sku_taken``."""

    @abstractmethod
    @mutation(retriable=True)
    async def update_product(self, seller_id: str, product_id: str, patch: ProductPatch, if_match: str | None) -> SellerProduct:
        """:raises PreconditionFailed: ``if_match`` is not the entity tag of what :meth:`get_seller_product` gives."""

    @abstractmethod
    @mutation(retriable=True)
    async def publish_product(self, seller_id: str, product_id: str) -> SellerProduct:
        """Show a draft or an archived product, at once or once moderation has judged it: until then it is ``in_review``.

        :raises Invalid: what a published product needs is missing. :raises Conflict: ``catalog.wrong_state``.
        """

    @abstractmethod
    @mutation(retriable=True)
    async def settle_publication(self, seller_id: str, judged: Judgement) -> None:
        """A product was judged: it is published, in review or rejected from now on. One that was changed since, archived or
        deleted stays as it is."""

    @abstractmethod
    @mutation(retriable=True)
    async def archive_product(self, seller_id: str, product_id: str) -> SellerProduct:
        """Once this has returned, no shopper sees it, and nobody can reserve it."""

    @abstractmethod
    @mutation(retriable=True)
    async def delete_product(self, seller_id: str, product_id: str, if_match: str | None) -> None:
        """:raises Conflict: ``catalog.wrong_state``: it is published, or units of it are held, or sold and not shipped."""

    @abstractmethod
    @mutation(retriable=True)
    async def add_images(self, seller_id: str, product_id: str, sent: list[SentPicture], if_match: str | None) -> PictureItems:
        """Pictures at the end of the product's, shown once they are drawn; one that is none is rejected alone."""

    @abstractmethod
    @mutation(retriable=True)
    async def order_images(self, seller_id: str, product_id: str, order: PictureOrder, if_match: str | None) -> SellerProduct:
        """:raises Invalid: not each picture of the product is named once."""

    @abstractmethod
    @mutation(retriable=True)
    async def delete_image(self, seller_id: str, product_id: str, image_id: str, if_match: str | None) -> None:
        """What was ordered shows it all the same."""

    @abstractmethod
    @query
    async def get_seller_product(self, seller_id: str, product_id: str) -> SellerProduct: ...

    @abstractmethod
    @query
    async def list_seller_products(self, seller_id: str, query: SellerProductQuery) -> Page[SellerProduct]: ...

    @abstractmethod
    @mutation(retriable=True)
    async def set_stock(self, seller_id: str, rows: list[StockRow]) -> RowResults:
        """Each row for itself, results in the same order; at most 1,000."""

    @abstractmethod
    @mutation(retriable=True)
    async def set_prices(self, seller_id: str, rows: list[PriceRow]) -> RowResults:
        """Each row for itself; one that would give a product two currencies is rejected."""

    @abstractmethod
    @patient(seconds=60.0)
    @mutation(retriable=True)
    async def import_products(self, products: list[ImportProduct]) -> list[ImportResult]:
        """Write a batch of an import file; a product that says what it said last time is unchanged.

        A variant that the file has no more goes, unless units of it are held or sold: then it stays without any to buy.
        Who has which sku is judged by what the batch leaves: products may exchange them. A variant that cannot be written takes
        no other with it.
        """

    # for operators

    @abstractmethod
    @mutation(retriable=True)
    async def create_category(self, draft: CategoryDraft) -> Category:
        """:raises Invalid: its parent has one of that name (case, blanks and accents' spelling aside), or is 30 levels deep."""

    @abstractmethod
    @mutation(retriable=True)
    async def update_category(self, category_id: str, patch: CategoryPatch) -> Category:
        """Rename it or hang it elsewhere, with all below it. :raises Invalid: below itself, a name twice, 31 levels."""

    @abstractmethod
    @mutation(retriable=True)
    async def delete_category(self, category_id: str) -> None:
        """:raises Conflict: ``catalog.category_in_use``: a product or a category is in it."""

    @abstractmethod
    @mutation(retriable=True)
    async def set_seller(self, seller: SellerRef, active: bool, version: int) -> None:
        """Know a seller; of one that is not active nothing can be seen or bought once this has returned.

        ``version`` counts the seller's changes: an earlier one that comes late changes nothing.
        """

    @abstractmethod
    @mutation(retriable=True)
    async def set_sellers(self, states: list[SellerState]) -> None:
        """:meth:`set_seller` for many at once."""
