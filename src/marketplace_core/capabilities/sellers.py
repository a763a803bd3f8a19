"""sellers: who sells here. From an application over its requirements to an active shop, and on what terms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from marketplace_core.capabilities.auth import Email
from marketplace_core.capabilities.catalog import Rating
from marketplace_core.errors import declare_codes
from marketplace_core.events import Event, PersonId, event
from marketplace_core.hookspecs import hookspec
from marketplace_core.pictures.values import PictureItems, SentPicture
from marketplace_core.ports import mutation, patient, query
from marketplace_core.scopes import declare_scopes
from marketplace_core.values import NOT_BLANK, Country, CountryText, Imported, Page, PageQuery, tidy_fields

if TYPE_CHECKING:
    from marketplace_core.context import PluginContext

# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────

ShopName = Annotated[str, Meta(min_length=1, max_length=200, pattern=NOT_BLANK)]
ApplicationStatus = Literal["draft", "submitted", "active", "rejected"]
RequirementKind = Literal["computed", "attested", "verified"]
RequirementStatus = Literal["open", "submitted", "accepted", "rejected", "waived"]
ShopStatus = Literal["active", "suspended", "holiday", "closed"]
MemberRole = Literal["owner", "manager", "fulfilment", "finance"]


class Requirement(Struct, frozen=True):
    key: str
    kind: RequirementKind
    status: RequirementStatus
    detail: str | None = None


class Application(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    status: ApplicationStatus
    reason: str | None
    requirements: list[Requirement]
    created_at: datetime


class AdminApplication(Application, frozen=True, kw_only=True):
    """An application with what an operator decides by; ``submitted``: the applicant's values by requirement; ``takes_over``:
    the id of the shop that it is for, if an import made one of that name and nobody is in it."""

    account_id: str
    legal_name: str
    country: str
    contact_email: str
    submitted: dict[str, str]
    takes_over: str | None = None


class ApplicationDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: ShopName
    legal_name: ShopName
    country: Country
    contact_email: Email

    def __post_init__(self) -> None:
        tidy_fields(self, "name", "legal_name")


class RequirementValue(Struct, frozen=True, forbid_unknown_fields=True):
    value: Annotated[str, Meta(min_length=1, max_length=2000)]


class Commission(Struct, frozen=True):
    """``rate`` is a decimal fraction such as ``0.1000``."""

    category_id: str | None
    rate: str
    valid_from: datetime


class PayoutAccount(Struct, frozen=True):
    holder: str
    last4: str


class Shop(Struct, frozen=True, kw_only=True):
    """A shop as its members see it. ``country``: where its parcels come from; None: an import did not say."""

    id: str
    name: str
    slug: str
    description: str
    status: ShopStatus
    commission: list[Commission]
    payout_account: PayoutAccount | None
    country: str | None = None


class ShopPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: ShopName | UnsetType = UNSET
    description: Annotated[str, Meta(max_length=5000)] | UnsetType = UNSET
    country: Country | UnsetType = UNSET

    def __post_init__(self) -> None:
        tidy_fields(self, "name")


class SellerPage(Struct, frozen=True, kw_only=True):
    """A shop as shoppers see it."""

    id: str
    name: str
    description: str
    logo: str | None
    rating: Rating
    products_count: int
    on_holiday: bool


class Membership(Struct, frozen=True):
    """In which shop a person acts, and as what."""

    seller_id: str
    role: MemberRole
    status: ShopStatus


class SellerTerms(Struct, frozen=True):
    """What an order freezes of a seller: its name, the commission's rate, where its parcels come from."""

    id: str
    name: str
    commission_rate: str
    country: str


class EnsuredSeller(Struct, frozen=True):
    """``made``: the shop was not there before."""

    id: str
    name: str
    made: bool


class ImportSeller(Struct, frozen=True, kw_only=True):
    """A shop that another system knows, and that nobody here is a member of."""

    id: str
    name: ShopName
    country: CountryText


class SellerQuery(PageQuery, frozen=True, kw_only=True):
    status: ShopStatus | None = None


class ApplicationQuery(PageQuery, frozen=True, kw_only=True):
    status: ApplicationStatus | None = None


class AdminSeller(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    status: ShopStatus
    reason: str | None
    created_at: datetime


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────


@event("sellers.changed", key="seller_id")
class SellerChanged(Event, frozen=True, kw_only=True):
    """A shop after a change; ``version`` counts its changes. Only what is ``active`` may be sold."""

    seller_id: str
    name: str
    status: ShopStatus
    version_number: int
    account_id: PersonId | None = None


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────

declare_codes(403, "sellers.no_shop", "sellers.suspended")
declare_codes(409, "sellers.wrong_state")
declare_scopes("seller", "shop")
declare_scopes("admin", "sellers")


# ── port ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Sellers(ABC):
    """Shops, their members and terms."""

    @abstractmethod
    @mutation(retriable=True)
    async def apply(self, account_id: str, draft: ApplicationDraft) -> Application:
        """:raises Conflict: ``sellers.wrong_state``: the person has an open application or a shop."""

    @abstractmethod
    @query
    async def get_application(self, account_id: str) -> Application: ...

    @abstractmethod
    @mutation(retriable=True)
    async def submit_requirement(self, account_id: str, key: str, value: RequirementValue) -> Application:
        """:raises NotFound: there is no such requirement. :raises Conflict: ``sellers.wrong_state``."""

    @abstractmethod
    @query
    async def get_membership(self, account_id: str) -> Membership | None:
        """The shop that a person acts for."""

    @abstractmethod
    @query
    async def get_shop(self, seller_id: str) -> Shop: ...

    @abstractmethod
    @mutation(retriable=True)
    async def update_shop(self, seller_id: str, patch: ShopPatch, if_match: str | None) -> Shop: ...

    @abstractmethod
    @mutation(retriable=True)
    async def set_logo(self, seller_id: str, sent: list[SentPicture], if_match: str | None) -> PictureItems:
        """A picture that is shown once it is drawn, instead of the one before.

        :raises PreconditionFailed: ``if_match`` is not the entity tag of what :meth:`get_shop` gives.
        """

    @abstractmethod
    @query
    async def get_seller_page(self, seller_id: str) -> SellerPage:
        """:raises NotFound: there is none, or shoppers may not see it."""

    @abstractmethod
    @query
    async def get_terms(self, seller_ids: list[str]) -> list[SellerTerms]:
        """On what terms these sell now; those that exist, in no particular order."""

    # for operators

    @abstractmethod
    @query
    async def list_applications(self, query: ApplicationQuery) -> Page[AdminApplication]: ...

    @abstractmethod
    @mutation(retriable=True)
    async def accept(self, application_id: str) -> Application:
        """Open the shop: it can list products once this has returned. :raises Conflict: ``sellers.wrong_state``."""

    @abstractmethod
    @mutation(retriable=True)
    async def reject(self, application_id: str, reason: str) -> Application: ...

    @abstractmethod
    @mutation(retriable=True)
    async def decide_requirement(
        self, application_id: str, key: str, decision: Literal["accept", "reject", "waive"], reason: str
    ) -> Application: ...

    @abstractmethod
    @query
    async def list_sellers(self, query: SellerQuery) -> Page[AdminSeller]: ...

    @abstractmethod
    @mutation(retriable=True)
    async def set_suspended(self, seller_id: str, suspended: bool, reason: str) -> AdminSeller:
        """Nothing of a suspended seller can be seen or bought once this has returned; its orders go on.

        :raises Unavailable: the catalogue could not be told.
        """

    @abstractmethod
    @mutation(retriable=True)
    async def ensure_sellers(
        self, names: list[str], owner_id: str | None, countries: list[str | None] | None = None
    ) -> list[EnsuredSeller]:
        """Active shops by these names (or ids), made if absent; in the same order. ``owner_id`` owns what is made.

        ``countries``: of each that is made, ISO 3166-1 alpha-2; None: the deployment's.
        """

    @abstractmethod
    @patient(seconds=60.0)
    @mutation(retriable=True)
    async def import_sellers(self, sellers: list[ImportSeller]) -> list[Imported]:
        """Make those whose ids are not known, active, in the same order; ``duplicate`` where the name is another's.

        The catalogue knows them once this has returned. :raises Unavailable: it could not be told.
        """


# ── hooks ────────────────────────────────────────────────────────────────────────────────────────────────────


class SellersHooks:
    @hookspec
    def provide_sellers(self, context: PluginContext) -> Sellers:  # type: ignore[empty-body]
        """The capability's provider."""
