"""What people do to find something: browse, search, follow what they are shown, and look at things."""

from __future__ import annotations

from datetime import timedelta

from marketplace_core.values import utc_text
from tests.distributed.equivalence.acts import act
from tests.distributed.equivalence.beginning import ADJECTIVES, COLOURS, NOUNS
from tests.distributed.equivalence.world import Person, World

SORTS = ("newest", "price", "-price", "rating")


def _somebody(world: World) -> Person | None:
    """Perhaps nobody in particular."""
    return world.one(world.buyers) if world.often(0.5) else None


def _own(world: World) -> str:
    """What leaves out all that others have put on a deployment."""
    return f"&seller={world.one(world.sellers[:3]).shop}" if world.shared else ""  # type: ignore[union-attr]


@act(4)
async def browse(world: World) -> None:
    """A shelf, and perhaps its next page."""
    where = world.chance.choice([f"category={world.one(world.categories)}", f"seller={world.one(world.sellers[:3]).shop}"])  # type: ignore[union-attr]
    if not world.shared and world.often(0.3):
        where = ""
    path = f"/products?{where}&sort={world.chance.choice(SORTS)}&limit={world.chance.choice([3, 5, 20])}"
    if world.often(0.2):
        path += "&min_price=1500&max_price=4000"
    reply = await world.ask(_somebody(world), "GET", path)
    if reply.status == 200 and reply.body["next"]:
        await world.ask(None, "GET", f"{path}&cursor={reply.body['next']}")


@act(4)
async def look_at_product(world: World) -> None:
    """Then again, as a browser that has kept it."""
    product = world.one(world.products)
    assert product is not None
    reply = await world.ask(_somebody(world), "GET", f"/products/{product.id}")
    if reply.status == 200:
        await world.ask(None, "GET", f"/products/{reply.body['slug']}", headers={"If-None-Match": reply.headers["ETag"]})


@act(1)
async def look_at_shop(world: World) -> None:
    seller = world.one(world.sellers)
    await world.ask(None, "GET", f"/sellers/{seller.shop or seller.email}")  # type: ignore[union-attr]


@act(1, whole=True)
async def look_at_categories(world: World) -> None:
    await world.ask(None, "GET", "/categories")
    await world.ask(world.one(world.sellers), "GET", "/categories?depth=1")


@act(8)
async def search(world: World) -> None:
    """By words that are right, begun, misspelt or unknown; with facets and in every order."""
    noun, adjective = world.chance.choice(NOUNS), world.chance.choice(ADJECTIVES)
    words = [
        noun,
        f"{adjective} {noun}",
        f"{noun[:3]}{noun[4:]}",
        noun[:4].lower(),
        f"{noun} {adjective.lower()}",
        "",
        "the zyx",
    ]
    query = world.chance.choice(words)
    if world.shared:
        query = f"{world.mark} {query}".strip()
    path = f"/search?q={query.replace(' ', '+')}&limit=100{_own(world)}"
    filters = [
        f"&category={world.one(world.categories)}",
        f"&option.colour={world.chance.choice(COLOURS)}",
        "&in_stock=true",
        "&min_price=1000&max_price=3000",
        f"&seller={world.one(world.sellers[:3]).shop}",  # type: ignore[union-attr]
    ]
    chosen = world.chance.sample(filters, world.chance.choice([0, 0, 1, 2]))
    path += "".join(chosen if query else dict.fromkeys([filters[0], *chosen]))
    if world.often(0.4):
        path += f"&sort={world.chance.choice(SORTS)}"
    reply = await world.ask(_somebody(world), "GET", path)
    if reply.status == 200 and reply.body["items"] and world.often(0.3):
        await world.ask(world.one(world.buyers), "POST", "/search/clicks", {"q": query or "lamp", "position": 1})


@act(2, whole=True)
async def search_sellers(world: World) -> None:
    await world.ask(None, "GET", f"/search?kind=sellers&q={world.chance.choice(['ahornhaus', 'birk', 'cedarwork', 'lamp'])}")


@act(3, whole=True)
async def suggest(world: World) -> None:
    word = world.chance.choice([*NOUNS, *ADJECTIVES, "Ahornhaus"])
    await world.ask(_somebody(world), "GET", f"/search/suggest?q={word[: world.chance.choice([2, 3, 5])].lower()}")


@act(4, whole=True)
async def look_at_feed(world: World) -> None:
    reply = await world.ask(_somebody(world), "GET", f"/feed?limit={world.chance.choice([5, 10, 20])}")
    if reply.status == 200 and reply.body["next"] and world.often(0.5):
        await world.ask(None, "GET", f"/feed?limit=10&cursor={reply.body['next']}")


@act(3, whole=True)
async def look_at_recommendations(world: World) -> None:
    await world.ask(world.one(world.buyers), "GET", "/recommendations?limit=10")


@act(2, whole=True)
async def look_at_similar(world: World) -> None:
    await world.ask(_somebody(world), "GET", f"/products/{world.one(world.products).id}/similar?limit=8")  # type: ignore[union-attr]


@act(4)
async def tell_views(world: World) -> None:
    """What a page tells of what was seen on it; an id may be nobody's."""
    kinds, at = ("view", "click", "impression"), utc_text(world.now - timedelta(minutes=1))
    items = [
        {"type": world.chance.choice(kinds), "product_id": product.id, "source": "feed", "at": at}
        for product in world.chance.sample(world.products, min(3, len(world.products)))
    ]
    await world.ask(world.one(world.buyers), "POST", "/events", {"items": items})
