"""What every run begins with: operators, three shops with things to buy, and shoppers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.distributed.equivalence.same import STEP
from tests.distributed.equivalence.world import Person, Product, World

__all__ = ["ADJECTIVES", "NOUNS", "begin", "draft", "open_shop", "register"]

ADJECTIVES = ("Copper", "Iron", "Tin", "Steel", "Brass", "Zinc", "Enamel", "Hammered")
NOUNS = ("Kettle", "Lamp", "Teapot", "Bowl", "Tray", "Jug")
SHOPS = ("Ahornhaus", "Birkenhof", "Cedarworks")
COLOURS = ("red", "blue", "green")


async def begin(world: World, products: int = 12) -> None:
    """By the same requests as all later acts, compared alike."""
    await world.move(timedelta())
    for person in (world.admin, world.courier):
        await world.log_in(person)
    for name in ("Kitchen", "Garden"):
        made = await world.ask(world.admin, "POST", "/categories", {"name": world.named(name)})
        world.categories.append(made.body["id"])
    for name in SHOPS:
        await world.move(STEP)
        await open_shop(world, name)
    for number in range(products):
        await world.move(STEP)
        await offer(world, world.sellers[number % len(world.sellers)], number)
    for name in ("bea", "carl", "dora"):
        await register(world, "buyer", name)
    await world.rest()


async def register(world: World, audience: str, name: str) -> Person:
    person = Person(audience, world.email(name), name.title())
    body = {"email": person.email, "password": person.password, "name": person.name}
    reply = await world.ask(None, "POST", "/auth/register", body, audience=audience)
    world.signed_in(person, reply.body["session"])
    (world.buyers if audience == "buyer" else world.sellers).append(person)
    return person


async def apply(world: World, person: Person, name: str) -> str:
    """The id of the application, with all that it takes."""
    body = {"name": world.named(name), "legal_name": f"{name} Ltd", "country": "DE", "contact_email": person.email}
    application = await world.ask(person, "POST", "/applications", body)
    for key, value in (("terms", "accepted"), ("identity", "passport X123")):
        await world.ask(person, "POST", f"/applications/current/requirements/{key}", {"value": value})
    await world.rest()
    return str(application.body["id"])


async def open_shop(world: World, name: str) -> None:
    person = await register(world, "seller", name.lower())
    application = await apply(world, person, name)
    await world.ask(world.admin, "POST", f"/sellers/applications/{application}/accept")
    await world.rest()
    person.shop = (await world.ask(person, "GET", "/shop")).body["id"]


def draft(world: World, number: int) -> dict[str, Any]:
    """A product of one to three variants."""
    noun = NOUNS[number % len(NOUNS)]
    title = f"{ADJECTIVES[number * 5 % len(ADJECTIVES)]} {noun}"
    price, stock = 900 + 250 * (number * 7 % 23), (2 if number % 5 == 3 else 30)
    colours = COLOURS[: 1 + number % 3]
    variants: list[dict[str, Any]] = [
        {
            "sku": f"S{number}-{colour}",
            "price": {"amount": price + 100 * at, "currency": "EUR"},
            "stock": stock,
            **({"options": {"colour": colour}} if len(colours) > 1 else {}),
        }
        for at, colour in enumerate(colours)
    ]
    return {
        "title": world.named(title),
        "description": f"A {noun.lower()} for every day, number {number}.",
        "category_id": world.categories[number % len(world.categories)],
        "variants": variants,
    }


async def offer(world: World, seller: Person, number: int, *, published: bool = True) -> Product:
    body = draft(world, number)
    made = (await world.ask(seller, "POST", "/products", body)).body
    product = Product(
        made["id"], seller, body["title"], [one["id"] for one in made["variants"]], [one["sku"] for one in made["variants"]]
    )
    if published:
        await world.ask(seller, "POST", f"/products/{made['id']}/publish")
    world.products.append(product)
    await world.rest()
    return product
