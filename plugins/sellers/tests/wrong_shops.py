"""Providers of sellers with one mistake each about shops, made of the right one."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from marketplace_core import calls
from marketplace_core.capabilities.catalog import SellerRef
from marketplace_core.capabilities.sellers import ApplicationQuery, SellerPage
from marketplace_core.errors import NotFound
from marketplace_core.testing.contracts import Method
from marketplace_core.values import Imported, new_id
from plugins.sellers.tests.wrong_sellers import Mistake

__all__ = ["MISTAKES"]


# ── logos ────────────────────────────────────────────────────────────────────────────────────────────────────


def takes_any_tag_for_a_logo(right: Any) -> Mapping[str, Method]:
    async def set_logo(seller_id: str, sent: Any, _: str | None) -> Any:
        return await right.set_logo(seller_id, sent, None)

    return {"set_logo": set_logo}


def shows_a_logo_as_it_came(right: Any) -> Mapping[str, Method]:
    shown: dict[str, str | None] = {}

    async def set_logo(seller_id: str, sent: Any, if_match: str | None) -> Any:
        shown[seller_id] = sent[0].key or shown.get(seller_id)
        return await right.set_logo(seller_id, sent, if_match)

    async def get_seller_page(seller_id: str) -> Any:
        return replace(await right.get_seller_page(seller_id), logo=shown.get(seller_id))

    return {"set_logo": set_logo, "get_seller_page": get_seller_page}


# ── shops ────────────────────────────────────────────────────────────────────────────────────────────────────


def suspends_later(right: Any) -> Mapping[str, Method]:
    """The catalogue hears of it sooner or later."""

    async def set_suspended(*args: Any) -> Any:
        return await right._set_suspended(*args)

    return {"set_suspended": set_suspended}


def takes_orders_away(right: Any) -> Mapping[str, Method]:
    """The people of a suspended shop are let in no more."""

    async def get_membership(account_id: str) -> Any:
        found = await right.get_membership(account_id)
        return found if found and found.status == "active" else None

    return {"get_membership": get_membership}


def has_a_page_for_every_shop(right: Any) -> Mapping[str, Method]:
    async def get_seller_page(seller_id: str) -> Any:
        shop = await right.get_shop(seller_id)
        return SellerPage(
            id=shop.id, name=shop.name, description="", logo=None, rating=None, products_count=0, on_holiday=False
        )  # type: ignore[arg-type]

    return {"get_seller_page": get_seller_page}


def never_reinstates(right: Any) -> Mapping[str, Method]:
    """Its page comes back, and its products do not."""

    async def set_suspended(seller_id: str, suspended: bool, reason: str) -> Any:
        found = await right.set_suspended(seller_id, suspended, reason)
        if not suspended:
            await right._catalog.set_seller(SellerRef(seller_id, found.name), False, 1_000_000)
        return found

    return {"set_suspended": set_suspended}


def acts_for_the_first_shop(right: Any) -> Mapping[str, Method]:
    first: list[Any] = []

    async def get_membership(account_id: str) -> Any:
        found = await right.get_membership(account_id)
        first.extend([found] if found else [])
        return first[0] if first else None

    return {"get_membership": get_membership}


def says_nothing_of_what_is_not_there(right: Any) -> Mapping[str, Method]:
    async def set_suspended(*args: Any) -> Any:
        with contextlib.suppress(NotFound):
            return await right.set_suspended(*args)

    return {"set_suspended": set_suspended}


def takes_an_application_for_a_shop(right: Any) -> Mapping[str, Method]:
    async def get_shop(seller_id: str) -> Any:
        listed = await right.list_applications(ApplicationQuery())
        return None if seller_id in {each.id for each in listed.items} else await right.get_shop(seller_id)

    return {"get_shop": get_shop}


def reads_no_tags(right: Any) -> Mapping[str, Method]:
    async def update_shop(seller_id: str, patch: Any, _: Any) -> Any:
        return await right.update_shop(seller_id, patch, None)

    return {"update_shop": update_shop}


def clears_what_is_not_named(right: Any) -> Mapping[str, Method]:
    async def update_shop(seller_id: str, patch: Any, if_match: Any) -> Any:
        description = patch.description if isinstance(patch.description, str) else ""
        return await right.update_shop(seller_id, replace(patch, description=description), if_match)

    return {"update_shop": update_shop}


def shows_an_old_page(right: Any) -> Mapping[str, Method]:
    pages: dict[str, Any] = {}

    async def get_seller_page(seller_id: str) -> Any:
        pages.setdefault(seller_id, await right.get_seller_page(seller_id))
        return replace(pages[seller_id], name="Kettle")

    return {"get_seller_page": get_seller_page}


def has_terms_for_anybody(right: Any) -> Mapping[str, Method]:
    async def get_terms(seller_ids: list[str]) -> Any:
        found = await right.get_terms(seller_ids)
        return [*found, *(replace(found[0], id=id_) for id_ in seller_ids if id_ not in {each.id for each in found})]

    return {"get_terms": get_terms}


def has_one_rate_and_shows_another(right: Any) -> Mapping[str, Method]:
    async def get_terms(seller_ids: list[str]) -> Any:
        return [replace(each, commission_rate="0.3000") for each in await right.get_terms(seller_ids)]

    return {"get_terms": get_terms}


def suspends_again(right: Any) -> Mapping[str, Method]:
    """What sets a value is taken to be the same when it is done twice; it is not when something came between."""

    async def set_suspended(*args: Any) -> Any:
        with calls.keyless():
            return await right.set_suspended(*args)

    return {"set_suspended": set_suspended}


def tells_what_it_was(right: Any) -> Mapping[str, Method]:
    """A repeat tells the catalogue again what it told it then."""

    async def accept(application_id: str) -> Any:
        accepted = await right.accept(application_id)
        [membership] = [
            found
            for each in (await right.list_applications(ApplicationQuery())).items
            if each.id == application_id and (found := await right.get_membership(each.account_id))
        ]
        await right._catalog.set_seller(SellerRef(membership.seller_id, accepted.name), True, 1_000_000)
        return accepted

    return {"accept": accept}


# ── imports ──────────────────────────────────────────────────────────────────────────────────────────────────


def answers_in_any_order(right: Any) -> Mapping[str, Method]:
    async def ensure_sellers(names: list[str], owner_id: Any) -> Any:
        return sorted(await right.ensure_sellers(names, owner_id), key=lambda each: each.id)

    return {"ensure_sellers": ensure_sellers}


def makes_one_per_row(right: Any) -> Mapping[str, Method]:
    async def ensure_sellers(names: list[str], owner_id: Any) -> Any:
        return [replace(each, made=True) for each in await right.ensure_sellers(names, owner_id)]

    return {"ensure_sellers": ensure_sellers}


def reinstates_what_it_finds(right: Any) -> Mapping[str, Method]:
    async def ensure_sellers(names: list[str], owner_id: Any) -> Any:
        found = await right.ensure_sellers(names, owner_id)
        for each in found:
            await right.set_suspended(each.id, False, "")
        return found

    return {"ensure_sellers": ensure_sellers}


def gives_them_ids_of_our_own(right: Any) -> Mapping[str, Method]:
    async def import_sellers(sellers: list[Any]) -> Any:
        return await right.import_sellers([replace(each, id=new_id()) for each in sellers])

    return {"import_sellers": import_sellers}


def takes_equal_names_for_one_shop(right: Any) -> Mapping[str, Method]:
    async def import_sellers(sellers: list[Any]) -> Any:
        found = await right.import_sellers(sellers)
        return [Imported("unchanged") if each.status == "rejected" else each for each in found]

    return {"import_sellers": import_sellers}


MISTAKES: Sequence[tuple[Mistake, str]] = [
    (suspends_later, "test_nothing_of_a_suspended_seller_is_seen_or_bought"),
    (takes_orders_away, "test_nothing_of_a_suspended_seller_is_seen_or_bought"),
    (has_a_page_for_every_shop, "test_nothing_of_a_suspended_seller_is_seen_or_bought"),
    (never_reinstates, "test_nothing_of_a_suspended_seller_is_seen_or_bought"),
    (acts_for_the_first_shop, "test_a_membership_is_its_persons"),
    (says_nothing_of_what_is_not_there, "test_what_is_not_there_is_not_found"),
    (takes_an_application_for_a_shop, "test_what_is_not_there_is_not_found"),
    (reads_no_tags, "test_a_shop_is_changed_as_it_was_read"),
    (takes_any_tag_for_a_logo, "test_a_logo_is_set_in_the_shop_as_it_was_read"),
    (shows_a_logo_as_it_came, "test_a_logo_is_set_in_the_shop_as_it_was_read"),
    (clears_what_is_not_named, "test_a_shop_is_changed_as_it_was_read"),
    (shows_an_old_page, "test_a_shop_is_changed_as_it_was_read"),
    (has_terms_for_anybody, "test_terms_are_what_an_order_freezes"),
    (has_one_rate_and_shows_another, "test_terms_are_what_an_order_freezes"),
    (suspends_again, "test_a_late_repeat_undoes_nothing"),
    (tells_what_it_was, "test_a_late_repeat_undoes_nothing"),
    (answers_in_any_order, "test_sellers_of_an_import"),
    (makes_one_per_row, "test_sellers_of_an_import"),
    (reinstates_what_it_finds, "test_an_import_changes_no_shop_that_is_there"),
    (gives_them_ids_of_our_own, "test_shops_of_another_system_keep_their_ids"),
    (takes_equal_names_for_one_shop, "test_shops_of_another_system_keep_their_ids"),
]
