"""Routers: what a plugin answers over HTTP. A route decodes, makes one port call, and its answer is encoded here.

.. code-block:: python

    buyer = Router("buyer", "catalog")

    @buyer.get("/products/{id}", access="anyone", cached="product:{id}")
    async def show(request: Request, id: str) -> ProductPage:
        return await catalog.get_product(id)

What a handler takes is said by its parameters: ``request``, the path's own parameters, ``query`` (a
:class:`~marketplace_core.values.PageQuery` or another struct; a field ``option: dict[str, str]`` of it, or of lists, takes all
parameters ``option.NAME``), ``body`` (a struct, from JSON, or from a form's fields
beside ``files``), ``files`` (multipart), ``raw`` (the bytes as they came). Its return annotation is the answer; both are
the route's part of the OpenAPI document.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_type_hints

from msgspec import Struct

from marketplace_core.calls import Call
from marketplace_core.http._contents import Answer, Content, Redirect, ServerSentEvents, Upload
from marketplace_core.validation import closest
from marketplace_core.values import AUDIENCES, Audience, Caller

__all__ = ["Answer", "Content", "Redirect", "Request", "Route", "Router", "ServerSentEvents", "Upload", "everybody_of"]

Access = Literal["open", "anyone", "guest", "account", "shop", "staff"]
"""Who may call a route. A token that is sent is checked, but on ``open`` ones.

``open``: where one comes in, perhaps with a token that has run out, and where signed calls arrive.
``anyone``: a public read, the same for all. ``guest``: with or without an account. ``account``: a person of this audience.
``shop``: an account with a shop (seller); where the shop is suspended, only reads and what is declared ``while_suspended``.
``staff``: a role of a closed audience (logistics, admin).

On the admin audience a route that needs somebody is for ``roles``, by default for ``admin`` alone.
"""

Role = Literal["admin", "moderator"]
"""What an account of the admin audience may be."""


def everybody_of(audience: Audience) -> tuple[Role, ...] | None:
    """``roles`` of what everybody has who logs in on ``audience``: the own sessions, the own profile."""
    return get_args(Role) if audience == "admin" else None


Key = Literal["optional", "required", "ignored"]
"""What an ``Idempotency-Key`` means to a route that changes something."""

CachedFor = Literal["everybody", "guests"]
"""Whose answers of a read are kept: the same for all, or those of requests with neither a token nor a cart's token."""

RatedFor = Literal["everybody", "guests"]
"""Whose requests a rate of a route's own counts: all, or those of nobody that is known."""

Subject = Callable[[Any], str]
"""From a route's body to whom a request is about, such as an e-mail."""

Handler = TypeVar("Handler", bound=Callable[..., Awaitable[Any]])
T = TypeVar("T")

#: Access levels that ask for nobody.
ANYBODY = frozenset({"open", "anyone", "guest"})
PARAMETERS = frozenset({"request", "query", "body", "files", "raw"})
METHODS = ("get", "post", "put", "patch", "delete")
OCTETS = "application/octet-stream"
#: The tag of reads that have none of their own.
TIMED = "timed"
JSON_LIMIT = 1 << 20
FILE_LIMIT = 10 << 20
FILE_COUNT = 20
_FIELD = re.compile(r"\{(\w+)\}")


class Request(Struct, frozen=True):
    """What accompanies a call. ``headers`` are by lower-case name; ``if_match`` is the header as it came.

    ``address`` is for whom an anonymous request is counted (of IPv6 the /64), or empty where nobody is.
    """

    call: Call
    method: str
    path: str
    headers: Mapping[str, str]
    audience: Audience
    if_match: str | None = None
    address: str = ""

    @property
    def caller(self) -> Caller:
        return self.call.caller

    @property
    def account_id(self) -> str:
        """The account of a route that needs one."""
        if self.call.caller.account_id is None:
            raise RuntimeError(f"{self.path} asks for an account and does not need one")
        return self.call.caller.account_id

    @property
    def seller_id(self) -> str:
        """The shop of a route that needs one."""
        if self.call.caller.seller_id is None:
            raise RuntimeError(f"{self.path} asks for a shop and does not need one")
        return self.call.caller.seller_id


class Route(Struct, frozen=True, kw_only=True):
    """One method on one path of one audience, all of it known at assembly."""

    audience: Audience
    tag: str
    method: str
    path: str
    handler: Callable[..., Awaitable[Any]]
    name: str
    summary: str
    access: Access
    roles: tuple[Role, ...] = ()
    while_suspended: bool = False
    status: int
    key: Key
    cached: str | None
    params: tuple[str, ...]
    query: Any
    body: Any
    files: bool
    raw: bool
    answer: Any
    wants_request: bool
    limit: int
    count: int
    rate: str = "general"
    rated_for: RatedFor = "everybody"
    subject: Subject | None = None
    scope: str | None = None
    cached_seconds: float | None = None
    cached_for: CachedFor = "everybody"
    description: str = ""
    headers: tuple[str, ...] = ()
    media_type: str = OCTETS
    also: tuple[int, ...] = ()

    @property
    def ceiling(self) -> int:
        """The most bytes that a body of this route has; some are left for what stands between files."""
        return self.limit * self.count + JSON_LIMIT if self.files else self.limit


class RouteError(ValueError):
    """A route, or a router, that cannot be: why, and what to do about it."""

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(cause)
        self.remedy = remedy


class Router:
    """The routes of one plugin on one audience, in the order in which they are declared.

    A route is under a ``rate`` of the deployment's ``[limits]``: ``general`` counts every request of a client; any other
    counts besides, in all processes together, by address and by ``subject(body)``, else by account.
    """

    def __init__(self, audience: Audience, tag: str, *, scope: str | None = None, roles: Sequence[Role] | None = None) -> None:
        """``roles``: of the admin audience, who may use what names no ``roles`` itself; without them ``admin`` alone.

        ``scope``: what an API key needs, with ``:read`` for a GET and ``:write`` for the rest; without one, no key will do.

        Only routes that need an account are closed to keys. See :func:`marketplace_core.scopes.declare_scopes`.
        """
        _known("audience", audience, AUDIENCES, f"Router {tag!r}")
        self.audience: Audience = audience
        self.tag = tag
        self.scope = scope
        self.roles: tuple[Role, ...] = ("admin",) if roles is None else tuple(roles)
        self.routes: list[Route] = []

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(name)
            raise RouteError(f"a Router has no method {name!r}", _use(name, METHODS))

    def get(
        self,
        path: str,
        *,
        access: Access = "account",
        cached: str | None = None,
        cached_seconds: float | None = None,
        cached_for: CachedFor = "everybody",
        rate: str = "general",
        scope: str | None = None,
        roles: Sequence[Role] | None = None,
        headers: Sequence[str] = (),
        media_type: str = OCTETS,
        also: Sequence[int] = (),
    ) -> Callable[[Handler], Handler]:
        """``cached``: keep the encoded answer of a public read under this tag, which names path parameters in braces.

        The plugin drops it by :meth:`marketplace_core.ports.Cache.drop` with the same tag. ``cached_seconds``: it is kept no
        longer; without a tag it goes by that alone. ``cached_for="guests"``: whoever has a token is answered by the handler.

        For the document: ``headers`` that the handler reads, ``media_type`` of the :class:`Content` that it returns, ``also``:
        other statuses of its answer.
        """
        if cached is None and cached_seconds is not None:
            cached = TIMED
        if cached is None and cached_for != "everybody":
            raise ValueError(f"{path}: cached_for says whose answers are kept, and none are: add cached or cached_seconds")
        fitting = ("anyone",) if cached_for == "everybody" else ("anyone", "guest")
        if cached is not None and (access not in fitting or rate != "general"):
            raise ValueError(f"{path}: only what is the same for {cached_for}, and under no rate of its own, can be cached")
        if cached_seconds is not None and cached_seconds <= 0:
            raise ValueError(f"{path}: cached_seconds is more than 0")
        about: dict[str, Any] = {"headers": headers, "media_type": media_type, "also": also}
        about |= {"cached_seconds": cached_seconds, "cached_for": cached_for, "roles": roles}
        return self._route("GET", path, access, 200, "ignored", cached, rate=rate, scope=scope, **about)

    def post(
        self,
        path: str,
        *,
        access: Access = "account",
        status: int = 201,
        key: Key = "optional",
        limit: int | None = None,
        count: int | None = None,
        rate: str = "general",
        rated_for: RatedFor = "everybody",
        subject: Subject | None = None,
        scope: str | None = None,
        roles: Sequence[Role] | None = None,
        while_suspended: bool = False,
        headers: Sequence[str] = (),
    ) -> Callable[[Handler], Handler]:
        """``limit``: the most bytes of the body (default 1 MiB), or of each file (10 MiB); ``count``: the most files (20).

        ``rated_for="guests"``: whoever has an account is not counted under ``rate``. ``roles``: of the admin audience, who may,
        instead of ``admin``; ``while_suspended``: a suspended shop may, too. ``headers`` as of :meth:`get`.
        """
        about: dict[str, Any] = {"rated_for": rated_for, "roles": roles, "while_suspended": while_suspended}
        return self._route("POST", path, access, status, key, None, limit, count, rate, subject, scope, headers, **about)

    def put(
        self, path: str, *, access: Access = "account", status: int = 200, key: Key = "optional", **options: Any
    ) -> Callable[[Handler], Handler]:
        """``options`` are ``rate``, ``subject``, ``scope``, ``roles`` and ``while_suspended``, as of :meth:`post`; so for the
        two below."""
        return self._route("PUT", path, access, status, key, None, **options)

    def patch(
        self, path: str, *, access: Access = "account", status: int = 200, key: Key = "optional", **options: Any
    ) -> Callable[[Handler], Handler]:
        return self._route("PATCH", path, access, status, key, None, **options)

    def delete(
        self, path: str, *, access: Access = "account", status: int = 204, key: Key = "optional", **options: Any
    ) -> Callable[[Handler], Handler]:
        return self._route("DELETE", path, access, status, key, None, **options)

    def _route(
        self,
        method: str,
        path: str,
        access: Access,
        status: int,
        key: Key,
        cached: str | None,
        limit: int | None = None,
        count: int | None = None,
        rate: str = "general",
        subject: Subject | None = None,
        scope: str | None = None,
        headers: Sequence[str] = (),
        media_type: str = OCTETS,
        also: Sequence[int] = (),
        cached_seconds: float | None = None,
        cached_for: CachedFor = "everybody",
        roles: Sequence[Role] | None = None,
        while_suspended: bool = False,
        rated_for: RatedFor = "everybody",
    ) -> Callable[[Handler], Handler]:
        named = scope or self.scope
        where = f"{method} {path}"
        _known("access", access, get_args(Access), where)
        _known("key", key, get_args(Key), where)
        for_roles = self._roles(where, access, roles)

        def declare(handler: Handler) -> Handler:
            params = tuple(_FIELD.findall(path))
            hints = get_type_hints(handler, include_extras=True)
            names = tuple(inspect.signature(handler).parameters)
            _check_handler(where, handler, params, hints)
            if cached is not None and (stray := set(_FIELD.findall(cached)) - set(params)):
                raise ValueError(f"{method} {path}: the tag {cached!r} names {sorted(stray)}, which are not in the path")
            files = "files" in names
            summary, _, rest = (inspect.getdoc(handler) or "").partition("\n")
            self.routes.append(
                Route(
                    audience=self.audience,
                    tag=self.tag,
                    method=method,
                    path=path,
                    handler=handler,
                    name=f"{self.tag}.{handler.__name__}",
                    summary=summary,
                    description=rest.strip(),
                    access=access,
                    roles=for_roles,
                    while_suspended=while_suspended or method == "GET",
                    status=status,
                    key=key,
                    cached=cached,
                    cached_seconds=cached_seconds,
                    cached_for=cached_for,
                    params=params,
                    query=hints.get("query"),
                    body=hints.get("body"),
                    files=files,
                    raw="raw" in names,
                    answer=hints.get("return"),
                    wants_request="request" in names,
                    limit=limit or (FILE_LIMIT if files else JSON_LIMIT),
                    count=count or (FILE_COUNT if files else 1),
                    rate=rate,
                    rated_for=rated_for,
                    subject=subject,
                    scope=None if named is None else f"{named}:{'read' if method == 'GET' else 'write'}",
                    headers=tuple(headers),
                    media_type=media_type,
                    also=tuple(also),
                )
            )
            return handler

        return declare

    def _roles(self, where: str, access: Access, named: Sequence[Role] | None) -> tuple[Role, ...]:
        """:raises RouteError: roles are named where nobody has one, or one that there is not."""
        needed = self.audience == "admin" and access not in ANYBODY
        if named is None:
            named = self.roles if needed else ()
        elif not needed or not named:
            raise RouteError(f"{where}: roles are named for nobody", "name them on admin routes that need an account")
        for role in named:
            _known("role", role, get_args(Role), where)
        return tuple(named)


def _known(what: str, given: str, known: Sequence[str], where: str) -> None:
    """:raises RouteError: there is no such audience, access or meaning of a key."""
    if given not in known:
        raise RouteError(f"{where}: there is no {what} {given!r}", _use(given, known))


def _use(given: object, known: Sequence[str]) -> str:
    likely = closest(given, known)
    return f"did you mean {likely!r}?" if likely is not None else f"use {', '.join(known)}"


def _check_handler(where: str, handler: Callable[..., Any], params: Sequence[str], hints: Mapping[str, Any]) -> None:
    """:raises RouteError: it takes what no request has, or does not say what it takes and answers."""
    where = f"{where}: the handler {handler.__name__}"
    names = tuple(inspect.signature(handler).parameters)
    if not inspect.iscoroutinefunction(handler):
        raise RouteError(f"{where} is not async", "write it as async def")
    if unknown := [name for name in names if name not in PARAMETERS and name not in params]:
        remedy = f"take {', '.join(sorted(PARAMETERS))}, or name it in braces in the path"
        raise RouteError(f"{where} takes {unknown}, which no request has", remedy)
    if missing := [name for name in params if name not in names]:
        raise RouteError(f"{where} does not take {missing}", "take what the path names in braces")
    if untyped := [name for name in names if name in ("query", "body") and name not in hints]:
        raise RouteError(f"{where} takes {untyped[0]!r} and does not say of which type", "annotate it with a msgspec.Struct")
    if "return" not in hints:
        raise RouteError(f"{where} does not say what it answers", "annotate its return, with None for no content")
