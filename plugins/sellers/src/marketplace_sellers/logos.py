"""Logos of shops: the last one that is ready is shown, while the next is drawn or judged."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable

from msgspec import Struct

from marketplace_core import calls
from marketplace_core.capabilities.moderation import ContentDecided
from marketplace_core.capabilities.sellers import Sellers
from marketplace_core.pictures import PictureItems, PictureRecord, Pictures, SentPicture
from marketplace_core.pictures.moderating import decided_of, name_of, submit
from marketplace_core.ports import UnitOfWork, Units, command, handler, natural
from marketplace_sellers.config import SellersConfig
from marketplace_sellers.domain import Shop
from marketplace_sellers.store import SellersStore

__all__ = ["LogoUseCases", "MakeLogo"]


class MakeLogo(Struct, frozen=True):
    """This picture of a shop, which the account has sent."""

    seller_id: str
    id: str
    author_id: str | None


class LogoUseCases(Sellers):
    """The part of the service of sellers that is about logos."""

    units: Units
    _store: SellersStore
    _pictures: Pictures
    _config: SellersConfig
    _moderated: bool

    @command
    async def set_logo(self, uow: UnitOfWork, seller_id: str, sent: list[SentPicture], if_match: str | None) -> PictureItems:
        await self._locked(uow, seller_id, if_match)
        new, items = self._pictures.accept(sent, 1)
        for logo in new:
            await self._store.save_logo(uow, seller_id, logo)
            uow.enqueue("sellers.make_logo", MakeLogo(seller_id, logo.id, calls.current().caller.account_id))
        return PictureItems(items)

    async def make_logo(self, wanted: MakeLogo) -> None:
        """A job."""
        kept = await self._store.get_logo(wanted.id)
        if kept is not None and kept.is_to_be_made:
            [made] = await self._pictures.make([kept])
            await self._show_logo(wanted, made)

    @natural
    async def _show_logo(self, uow: UnitOfWork, wanted: MakeLogo, made: PictureRecord) -> None:
        shop = await self._store.lock_shop(uow, wanted.seller_id)
        kept = await self._store.get_logo(wanted.id, uow)
        if shop is None or kept is None or not kept.is_to_be_made:
            return
        if self._moderated:
            submit(uow, self._config.show, "sellers", shop.id, made, wanted.author_id, {"name": shop.name})
        await self._keep_logo(uow, shop.id, made)

    @handler(ContentDecided, when=decided_of("sellers"))
    async def on_picture_decided(self, uow: UnitOfWork, event: ContentDecided) -> None:
        seller_id, id_ = name_of(event.content)
        await self._store.lock_shop(uow, seller_id)
        logo = await self._store.get_logo(id_, uow)
        if logo is not None and logo.decide(approved=event.approved, code=event.reason_code):
            await self._keep_logo(uow, seller_id, logo)

    async def sweep_pictures(self) -> None:
        """A schedule: deletes what no shop refers to any more."""
        await self._pictures.sweep(self._store.referred_pictures)

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _keep_logo(self, uow: UnitOfWork, seller_id: str, logo: PictureRecord) -> None:
        """What came before one that is shown goes."""
        await self._store.save_logo(uow, seller_id, logo)
        if logo.status == "ready":
            await self._store.delete_logos(uow, seller_id, logo.id)
        uow.after_commit(lambda: self._forget([seller_id]))

    @abstractmethod
    async def _locked(self, uow: UnitOfWork, seller_id: str, if_match: str | None) -> Shop: ...

    @abstractmethod
    async def _forget(self, seller_ids: Iterable[str]) -> None: ...
