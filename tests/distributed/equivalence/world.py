"""What acts know and ask with: people, products, orders; and the two deployments, each of which is asked all of it."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from tests.distributed.equivalence import rules
from tests.distributed.equivalence.same import Comparison, Difference, Names, Reply
from tests.distributed.equivalence.sides import Asked, Side

__all__ = ["PASSWORD", "Order", "Person", "Product", "Review", "World"]

T = TypeVar("T")

PASSWORD = "correct horse battery"
#: After which somebody asks for another access token: it lives for ten minutes.
RENEWED_AFTER = timedelta(minutes=6)


@dataclass
class Person:
    """``headers`` go with each request. ``since``: when the token was had."""

    audience: str
    email: str
    name: str
    password: str = PASSWORD
    headers: dict[str, str] = field(default_factory=dict)
    refresh: str = ""
    since: datetime = datetime.min
    gone: bool = False
    addresses: list[str] = field(default_factory=list)
    shop: str = ""
    cursor: tuple[str, str] | None = None


@dataclass
class Product:
    id: str
    seller: Person
    title: str
    variants: list[str]
    skus: list[str]
    images: list[str] = field(default_factory=list)


@dataclass
class Order:
    """``buyer``: who has the token of it, if a guest. ``shipments`` by package."""

    id: str
    buyer: Person
    headers: dict[str, str]
    card: str
    seen: Any = None
    shipments: dict[str, Any] = field(default_factory=dict)


@dataclass
class Review:
    id: str
    author: Person
    product: Product
    replied: bool = False


class World:
    """``mark`` is in the names of people, shops and things, where others are on the deployments too: then what shows all of a
    deployment is not asked for, and ``shared`` is true.
    """

    def __init__(self, sides: tuple[Side, Side], seed: int, began: datetime, mark: str, *, shared: bool) -> None:
        self.sides, self.mark, self.shared = sides, mark, shared
        self.chance = random.Random(seed)
        self.names = Names()
        self._chance = rules.NUMBERS if shared else frozenset()
        self.began = self.now = began
        self.act = 0
        self.requests = 0
        self.differences: list[Difference] = []
        self.admin = self.courier = Person("admin", "", "")
        self.buyers: list[Person] = []
        self.sellers: list[Person] = []
        self.applicants: list[tuple[Person, str]] = []
        self.products: list[Product] = []
        self.orders: list[Order] = []
        self.reviews: list[Review] = []
        self.categories: list[str] = []
        self.keys: list[tuple[Person, str]] = []
        self.images = 0

    # ── chance ───────────────────────────────────────────────────────────────────────────────────────────────

    def one(self, things: list[T]) -> T | None:
        """By its place among those that are known, which is the same on both sides."""
        return self.chance.choice(things) if things else None

    def often(self, share: float) -> bool:
        return self.chance.random() < share

    def email(self, name: str) -> str:
        return f"{name}.{self.mark}@example.org" if self.mark else f"{name}@example.org"

    def named(self, name: str) -> str:
        return f"{name} {self.mark}" if self.mark else name

    # ── both sides ───────────────────────────────────────────────────────────────────────────────────────────

    async def rest(self) -> None:
        await asyncio.gather(*(side.rest() for side in self.sides))

    async def move(self, by: timedelta) -> None:
        """Both clocks to the same moment, and what is due then is done."""
        self.now += by
        await asyncio.gather(*(side.set_clock(self.now) for side in self.sides))
        await self.rest()

    async def simulate(self, simulator: str, path: str, body: Any) -> None:
        """The same happens outside of both."""
        real = self.names.real
        statuses = await asyncio.gather(
            *(each.simulate(simulator, real(path, side), real(body, side)) for side, each in enumerate(self.sides))
        )
        if statuses[0] != statuses[1]:
            self._differ(f"POST {simulator} {path}", "status", *statuses)
        await self.rest()

    async def pictures(self, url: str) -> None:
        """The bytes of one."""
        left, right = await asyncio.gather(*(each.fetch(self.names.real(url, side)) for side, each in enumerate(self.sides)))
        self._compare(Comparison(self.names, self.began, ""), f"curl {url}", left, right)

    async def ask(
        self,
        person: Person | None,
        method: str,
        path: str,
        body: Any = None,
        *,
        audience: str = "buyer",
        headers: dict[str, str] | None = None,
        files: tuple[tuple[str, bytes], ...] = (),
        raw: bytes | None = None,
    ) -> Reply:
        """Ask both, and compare. ``audience``: of nobody in particular."""
        if person is not None:
            await self._renew(person)
            audience = person.audience
        sent = {"X-Request-Id": f"act-{self.act}", **(person.headers if person is not None else {}), **(headers or {})}
        return await self.both(Asked(audience, method, path, sent, body, files, raw))

    async def both(self, asked: Asked) -> Reply:
        self.requests += 1
        left, right = await asyncio.gather(*(each.send(self._of(asked, side)) for side, each in enumerate(self.sides)))
        comparison = Comparison(self.names, self.began, f"{asked.method} {asked.path}", self._chance)
        return self._compare(comparison, asked.curl(), left, right)

    def _of(self, asked: Asked, side: int) -> Asked:
        real = self.names.real
        path, headers = real(asked.path, side), real(dict(asked.headers), side)
        return Asked(asked.audience, asked.method, path, headers, real(asked.body, side), asked.files, asked.raw)

    def _compare(self, comparison: Comparison, request: str, left: Reply, right: Reply) -> Reply:
        reply = comparison.reply(left, right)
        for where, mine, theirs in comparison.found:
            self._differ(request, where, mine, theirs)
        return reply

    def _differ(self, request: str, where: str, left: Any, right: Any) -> None:
        self.differences.append(Difference(self.act, request, where, left, right))

    # ── people ───────────────────────────────────────────────────────────────────────────────────────────────

    def signed_in(self, person: Person, session: Any) -> None:
        person.headers = {"Authorization": f"Bearer {session['access_token']}"}
        person.refresh, person.since = session["refresh_token"], self.now

    async def log_in(self, person: Person, password: str | None = None) -> Reply:
        body = {"email": person.email, "password": password or person.password}
        reply = await self.ask(None, "POST", "/auth/login", body, audience=person.audience, headers=dict(person.headers))
        if reply.status == 200:
            self.signed_in(person, reply.body["session"])
        return reply

    async def _renew(self, person: Person) -> None:
        """Before the token runs out; where that is refused, by logging in anew."""
        if not person.refresh or self.now - person.since < RENEWED_AFTER:
            return
        refresh, person.refresh = person.refresh, ""
        path, body = "/auth/refresh", {"refresh_token": refresh}
        reply = await self.ask(None, "POST", path, body, audience=person.audience)
        if reply.status == 200:
            self.signed_in(person, reply.body)
        else:
            person.headers = {}
            await self.log_in(person)
