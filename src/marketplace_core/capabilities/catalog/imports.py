"""Values of an import into catalog."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from marketplace_core.capabilities.catalog.values import Attributes, Options
from marketplace_core.pictures.values import PictureSize
from marketplace_core.values import Money


class ImportVariant(Struct, frozen=True, kw_only=True):
    """``price``: None for one that is not sold yet; then its product is a draft. ``stock_unsaid``: it stays as it was; it is
    ``stock`` only of a new one. ``compare_at`` stays likewise if it is ``UNSET``; None takes it away.
    """

    sku: str
    price: Money | None
    stock: int
    options: Options = {}
    id: str | None = None
    compare_at: Money | UnsetType | None = UNSET
    stock_unsaid: bool = False


class ImportImage(Struct, frozen=True):
    """``key`` of a blob; size in pixels. ``sizes``: further ones by name, as of
    :class:`~marketplace_core.pictures.PictureRecord`."""

    key: str
    width: int
    height: int
    sizes: dict[str, PictureSize] = {}

    def __hash__(self) -> int:
        return hash(self.key)


class ImportProduct(Struct, frozen=True, kw_only=True):
    """One product of an import file; ``key`` is the seller's own, unique per seller.

    Where it has an ``id`` (and its variants theirs), it is found by that, and may have gone to another seller.
    A ``status`` that is ``UNSET`` stays as it was, and so do pictures where there is none; a new product is published.

    :param addresses: URLs of further pictures, which are fetched after it is written.
    :param facts: attributes that are set beside those that stay.
    :param unsaid: what the file does not say, and stays as it was.
    :param keeps: skus that the file names in rows that are not good: these variants stay as they are.
    :param takes: skus that another product of the seller has, which the file names too and gives others: they move, with
        what is promised of them.
    """

    key: str
    seller_id: str
    title: str
    description: str
    category: tuple[str, ...]
    attributes: Attributes
    image: ImportImage | None
    variants: tuple[ImportVariant, ...]
    id: str | None = None
    images: tuple[ImportImage, ...] = ()
    addresses: tuple[str, ...] = ()
    facts: Attributes = {}
    status: Literal["draft", "published", "archived"] | UnsetType = UNSET
    unsaid: tuple[Literal["description", "category", "attributes"], ...] = ()
    keeps: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()


class ImportProblem(Struct, frozen=True):
    """Why a variant is not written. ``holder``: the key of the seller's other product that has its sku."""

    code: str
    detail: str
    holder: str | None = None


class ImportResult(Struct, frozen=True):
    """Per product, in the same order: what happened; ``variants`` likewise per variant, by sku, and why for the rejected.

    A product is rejected if none of its variants can be written; ``code`` and ``detail`` say why.
    """

    status: Literal["written", "unchanged", "rejected"]
    variants: dict[str, Literal["written", "unchanged", "rejected"]]
    code: str | None = None
    detail: str | None = None
    problems: dict[str, ImportProblem] = {}
