"""Use cases of sellers. Whether a shop sells is known to the catalogue before the answer that says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Literal, TypeVar

from marketplace_core import calls
from marketplace_core.capabilities.catalog import Catalog, ProductChanged, SellerRef, SellerState
from marketplace_core.capabilities.reviews import SellerRated
from marketplace_core.capabilities.sellers import (
    AdminApplication,
    AdminSeller,
    Application,
    ApplicationDraft,
    ApplicationQuery,
    EnsuredSeller,
    ImportSeller,
    Membership,
    RequirementValue,
    SellerChanged,
    SellerPage,
    SellerQuery,
    SellerTerms,
    Shop,
    ShopPatch,
    ShopStatus,
)
from marketplace_core.errors import Conflict, MarketplaceError, NotFound, PreconditionFailed, Unavailable
from marketplace_core.pictures import Pictures
from marketplace_core.ports import Cache, UnitOfWork, Units, command, handler, natural
from marketplace_core.values import Clock, Imported, Page, etag, new_id, require
from marketplace_sellers import domain, views
from marketplace_sellers.config import SellersConfig
from marketplace_sellers.domain import NotPossible, Requirement, shop_slug
from marketplace_sellers.logos import LogoUseCases
from marketplace_sellers.names import name_key
from marketplace_sellers.store import SellersStore

__all__ = ["SellersService"]

T = TypeVar("T")

TOLD_AT_ONCE = 500
HIDDEN = frozenset({"suspended", "closed"})


class SellersService(LogoUseCases):
    def __init__(
        self,
        units: Units,
        store: SellersStore,
        catalog: Catalog,
        cache: Cache,
        clock: Clock,
        pictures: Pictures,
        config: SellersConfig,
        *,
        moderated: bool = False,
    ) -> None:
        """``moderated``: whether somebody judges what people show."""
        self._pictures = pictures
        self._moderated = moderated
        self.units = units
        self._store = store
        self._catalog = catalog
        self._cache = cache
        self._clock = clock
        self._config = config

    # ── applicants ───────────────────────────────────────────────────────────────────────────────────────────

    @command
    async def apply(self, uow: UnitOfWork, account_id: str, draft: ApplicationDraft) -> Application:
        if await self._store.has_shop(uow, account_id):
            raise Conflict("sellers.wrong_state", "This account has a shop already.")
        await self._check_name(uow, draft.name)
        application = domain.Application(
            id=new_id(),
            account_id=account_id,
            name=draft.name,
            legal_name=draft.legal_name,
            country=draft.country,
            contact_email=draft.contact_email,
            created_at=uow.now,
            requirements=[Requirement(each.key, each.kind) for each in self._config.requirements],
        )
        domain.begin(application)
        await self._store.add_application(uow, application)
        return views.application(application)

    async def get_application(self, account_id: str) -> Application:
        return views.application(_found(await self._store.find_application(account_id)))

    @command
    async def submit_requirement(self, uow: UnitOfWork, account_id: str, key: str, value: RequirementValue) -> Application:
        application = _found(await self._store.lock_application_of(uow, account_id))
        requirement = _requirement(application, key)
        confirmed = requirement.kind != "attested" or value.value == domain.ACCEPTED
        require(confirmed, "/value", "unknown_value", "Confirm it by the value 'accepted'.")
        _possible(lambda: domain.submit(application, requirement, value.value))
        await self._store.save_application(uow, application)
        return views.application(application)

    # ── shops ────────────────────────────────────────────────────────────────────────────────────────────────

    async def get_membership(self, account_id: str) -> Membership | None:
        return await self._store.get_membership(account_id)

    async def get_shop(self, seller_id: str) -> Shop:
        shops = await self._store.get_shops([seller_id])
        return await self._view(_found(shops[0] if shops else None))

    @command
    async def update_shop(self, uow: UnitOfWork, seller_id: str, patch: ShopPatch, if_match: str | None) -> Shop:
        shop = await self._locked(uow, seller_id, if_match)
        before = (shop.name, shop.description, shop.country)
        if isinstance(patch.name, str):
            require(name_key(patch.name) != "", "/name", "length", "A name shows something.")
            shop.name = patch.name
        if isinstance(patch.description, str):
            shop.description = patch.description
        if isinstance(patch.country, str):
            shop.country = patch.country
        if (shop.name, shop.description, shop.country) != before:
            await self._changed(uow, shop)
            uow.after_commit(lambda: self._forget([seller_id]))
        return await self._view(shop, uow)

    async def get_seller_page(self, seller_id: str) -> SellerPage:
        shops = await self._store.get_shops([seller_id])
        if not shops or shops[0].status in HIDDEN:
            raise NotFound("There is no such shop.")
        return views.page(shops[0], self._pictures.url)

    async def get_terms(self, seller_ids: list[str]) -> list[SellerTerms]:
        shops, rates = await self._store.get_shops(seller_ids), await self._store.get_rates(seller_ids)
        return [views.terms(shop, rates, self._config.commission_rate, self._clock.now()) for shop in shops]

    # ── for operators ────────────────────────────────────────────────────────────────────────────────────────

    async def list_applications(self, query: ApplicationQuery) -> Page[AdminApplication]:
        rows = await self._store.list_applications(query, query.position(datetime, str))
        found = query.page(rows, lambda row: row[1])
        open_ = [application for application, _ in found.items if application.seller_id is None]
        nobodys = await self._store.find_nobodys([name_key(application.name) for application in open_])
        items = [
            views.admin_application(one, None if one.seller_id else nobodys.get(name_key(one.name))) for one, _ in found.items
        ]
        return Page(items, found.next)

    async def accept(self, application_id: str) -> Application:
        application = await self._accept(application_id)
        await self._tell([application.seller_id or ""])
        return views.application(application)

    @command
    async def _accept(self, uow: UnitOfWork, application_id: str) -> domain.Application:
        application = _found(await self._store.lock_application(uow, application_id))
        if application.status == "active":
            return application
        _possible(lambda: domain.accept(application))
        shop = await self._hand_over(uow, application)
        if shop is None:
            shop = self._new_shop(uow, application.name, application.country)
            await self._store.add_shop(uow, shop, application.account_id)
        application.seller_id = shop.id
        await self._store.save_application(uow, application)
        _emit(uow, shop, application.account_id)
        return application

    async def _hand_over(self, uow: UnitOfWork, application: domain.Application) -> domain.Shop | None:
        """The shop that an import made under that name, with the applicant in it. None: there is none that nobody is in."""
        shop = await self._store.lock_nobodys(uow, name_key(application.name))
        if shop is None:
            return None
        if not await self._store.add_owner(uow, shop.id, application.account_id):
            raise Conflict("sellers.wrong_state", "The applicant is in a shop already.")
        shop.country = application.country
        shop.version += 1
        await self._store.save_shop(uow, shop)
        return shop

    @command
    async def reject(self, uow: UnitOfWork, application_id: str, reason: str) -> Application:
        application = _found(await self._store.lock_application(uow, application_id))
        _possible(lambda: domain.reject(application, reason))
        await self._store.save_application(uow, application)
        return views.application(application)

    @command
    async def decide_requirement(
        self, uow: UnitOfWork, application_id: str, key: str, decision: Literal["accept", "reject", "waive"], reason: str
    ) -> Application:
        application = _found(await self._store.lock_application(uow, application_id))
        requirement = _requirement(application, key)
        _possible(lambda: domain.decide(application, requirement, decision, reason))
        await self._store.save_application(uow, application)
        return views.application(application)

    async def list_sellers(self, query: SellerQuery) -> Page[AdminSeller]:
        rows = await self._store.list_shops(query, query.position(datetime, str))
        found = query.page(rows, lambda row: row[1])
        return Page([views.admin_seller(shop) for shop, _ in found.items], found.next)

    async def set_suspended(self, seller_id: str, suspended: bool, reason: str) -> AdminSeller:
        answer = await self._set_suspended(seller_id, suspended, reason)
        await self._tell([seller_id])
        return answer

    @command
    async def _set_suspended(self, uow: UnitOfWork, seller_id: str, suspended: bool, reason: str) -> AdminSeller:
        shop = _found(await self._store.lock_shop(uow, seller_id))
        if shop.status == "closed":
            raise Conflict("sellers.wrong_state", "This shop is closed.")
        if suspended != (shop.status == "suspended"):
            shop.status = "suspended" if suspended else "active"
            shop.reason = (reason or None) if suspended else None
            await self._changed(uow, shop)
        return views.admin_seller(shop)

    async def ensure_sellers(
        self, names: list[str], owner_id: str | None, countries: list[str | None] | None = None
    ) -> list[EnsuredSeller]:
        ensured = await self._ensure(names, owner_id, countries or [None] * len(names))
        await self._tell([seller.id for seller in ensured], again=False)
        return ensured

    @command
    async def _ensure(
        self, uow: UnitOfWork, names: list[str], owner_id: str | None, countries: list[str | None]
    ) -> list[EnsuredSeller]:
        keys = [name_key(name) for name in names]
        for index, key in enumerate(keys):
            require(key != "", f"/names/{index}", "length", "A name shows something.")
        known = await self._store.find_shops(uow, names, keys)
        new: dict[str, tuple[str, str]] = {}
        for name, key, country in zip(names, keys, countries, strict=True):
            if name not in known and key not in known:
                new.setdefault(key, (name, country or self._config.import_country))
        made = await self._make(uow, list(new.values()), owner_id)
        if new:  # also what somebody else made meanwhile
            known = await self._store.find_shops(uow, names, keys)
        found = [known.get(name) or known[key] for name, key in zip(names, keys, strict=True)]
        first = {shop.id: index for index, shop in reversed(list(enumerate(found)))}
        return [
            EnsuredSeller(shop.id, shop.name, made=shop.id in made and first[shop.id] == index)
            for index, shop in enumerate(found)
        ]

    async def import_sellers(self, sellers: list[ImportSeller]) -> list[Imported]:
        imported = await self._import(sellers)
        await self._tell([seller.id for seller in sellers], again=False)
        return imported

    @command
    async def _import(self, uow: UnitOfWork, sellers: list[ImportSeller]) -> list[Imported]:
        ids = [seller.id for seller in sellers]
        known = await self._store.find_shops(uow, ids, [])
        shops = [self._new_shop(uow, seller.name, seller.country, seller.id) for seller in sellers if seller.id not in known]
        made = await self._store.add_missing(uow, shops) if shops else set()
        for shop in shops:
            if shop.id in made:
                _emit(uow, shop)
        if len(made) < len(shops):  # also what somebody else made meanwhile
            known = await self._store.find_shops(uow, ids, [])
        taken = Imported("rejected", "duplicate", "Another shop has this name.")
        kept = {id_: Imported("written" if id_ in made else "unchanged") for id_ in {*known, *made}}
        return [kept.get(id_, taken) for id_ in ids]

    async def _make(self, uow: UnitOfWork, shops_of: Sequence[tuple[str, str]], owner_id: str | None) -> set[str]:
        """Gives the ids of those that nobody else has made; the first of them is the owner's. By names and countries."""
        shops = [self._new_shop(uow, name, country) for name, country in shops_of]
        made = await self._store.add_missing(uow, shops) if shops else set()
        added = [shop for shop in shops if shop.id in made]
        owns = bool(added and owner_id and await self._store.add_owner(uow, added[0].id, owner_id))
        for shop in added:
            _emit(uow, shop, owner_id if owns and shop is added[0] else None)
        return made

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────

    @handler(ProductChanged)
    async def on_product_changed(self, uow: UnitOfWork, event: ProductChanged) -> None:
        """A suspended shop's products have no page but are counted, so that it comes back with as many."""
        published = event.status == "published"
        if await self._store.set_published(uow, event.product_id, event.seller_id, published):
            uow.after_commit(lambda: self._forget([event.seller_id]))

    @handler(SellerChanged)
    async def on_seller_changed(self, _: UnitOfWork, event: SellerChanged) -> None:
        """What the command dropped is dropped again: it may have died between its commit and that."""
        await self._forget([event.seller_id])

    @handler(SellerRated)
    async def on_seller_rated(self, uow: UnitOfWork, event: SellerRated) -> None:
        await self._store.save_rating(uow, event.seller_id, event.rating.average, event.rating.count)
        uow.after_commit(lambda: self._forget([event.seller_id]))

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _locked(self, uow: UnitOfWork, seller_id: str, if_match: str | None) -> domain.Shop:
        shop = _found(await self._store.lock_shop(uow, seller_id))
        if if_match not in {None, "*", etag(await self._view(shop, uow))}:
            raise PreconditionFailed
        return shop

    async def _view(self, shop: domain.Shop, uow: UnitOfWork | None = None) -> Shop:
        rates = await self._store.get_rates([shop.id], uow)
        return views.shop(shop, rates, self._config.commission_rate, self._clock.now())

    async def _check_name(self, uow: UnitOfWork, name: str) -> None:
        key = name_key(name)
        require(key != "", "/name", "length", "A name shows something.")
        require(not await self._store.is_taken(uow, key), "/name", "duplicate", "Another shop has this name.")

    def _new_shop(self, uow: UnitOfWork, name: str, country: str, id_: str | None = None) -> domain.Shop:
        id_ = id_ or new_id()
        return domain.Shop(
            id=id_,
            name=name,
            slug=shop_slug(name, id_),
            description="",
            status="active",
            reason=None,
            country=country,
            version=1,
            products_count=0,
            created_at=uow.now,
        )

    async def _changed(self, uow: UnitOfWork, shop: domain.Shop) -> None:
        shop.version += 1
        await self._store.save_shop(uow, shop)
        _emit(uow, shop)

    async def _tell(self, seller_ids: Sequence[str], *, again: bool = True) -> None:
        """Let the catalogue and the cache know what these shops are now, which every repeat of a command does again.

        The event does the same in the end; here the answer waits for it. ``again=False``: only what they do not know.

        :raises Unavailable: they could not be told.
        """
        shops = await (self._store.get_shops(seller_ids) if again else self._store.untold(seller_ids))
        if not shops:
            return
        with calls.derived("catalog"):
            for start in range(0, len(shops), TOLD_AT_ONCE):
                await self._tell_some(shops[start : start + TOLD_AT_ONCE])
        await self._forget(shop.id for shop in shops)
        await self._told({shop.id: shop.version for shop in shops})

    async def _tell_some(self, shops: Sequence[domain.Shop]) -> None:
        states = [SellerState(SellerRef(shop.id, shop.name), shop.status == "active", shop.version) for shop in shops]
        try:
            await self._catalog.set_sellers(states)
        except MarketplaceError as error:
            raise Unavailable("It is done, but the catalogue could not be told yet; please repeat it.") from error

    @natural
    async def _told(self, uow: UnitOfWork, versions: dict[str, int]) -> None:
        await self._store.mark_told(uow, versions)

    async def _forget(self, seller_ids: Iterable[str]) -> None:
        await self._cache.drop([f"seller:{id_}" for id_ in seller_ids])


def _emit(uow: UnitOfWork, shop: domain.Shop, owner_id: str | None = None) -> None:
    status: ShopStatus = shop.status  # type: ignore[assignment]
    uow.emit(SellerChanged(seller_id=shop.id, name=shop.name, status=status, version_number=shop.version, account_id=owner_id))


def _found(record: T | None) -> T:
    if record is None:
        raise NotFound
    return record


def _requirement(application: domain.Application, key: str) -> Requirement:
    return _found(next((each for each in application.requirements if each.key == key), None))


def _possible(act: Callable[[], None]) -> None:
    try:
        act()
    except NotPossible as error:
        raise Conflict("sellers.wrong_state", str(error)) from error
