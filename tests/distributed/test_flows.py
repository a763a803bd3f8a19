"""The flows of the drawing, by their numbers, on the real servers: asked of nginx by TLS, and then seen in the store itself."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import Client as Temporal

from marketplace_core._supervisor.state import running as state_of
from marketplace_core._supervisor.state import targets_of
from marketplace_core.testing.client import Answer, Client
from marketplace_core.testing.contracts import eventually
from marketplace_core.testing.deployments import Running, elsewhere, up
from marketplace_core.values import new_id
from tests.distributed.probe import probing
from tests.distributed.world import PATIENCE, Distributed, opened
from tests.scenarios.prometheus import prometheus

pytestmark = [pytest.mark.xdist_group("distributed"), pytest.mark.timeout(600)]  # fifty processes begin on two cores

SERVICES = [
    *("auth", "users", "catalog", "cart", "orders", "reviews", "logistics", "sellers", "search", "payments"),
    *("recommendations", "moderation", "orchestrator", "analytics"),
]

FILE = Path(__file__).parents[2] / "examples" / "distributed.toml"


@pytest.fixture(scope="module")
def standing() -> Iterator[tuple[Running, Path]]:
    """All of it, once for all flows: fifty processes and their servers."""
    folder = Path(tempfile.mkdtemp(prefix="mp-"))
    folder.chmod(0o711)
    try:
        with up(elsewhere(FILE, folder), folder / "data", "--servers", "native") as started:
            yield started, folder / "data"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest_asyncio.fixture
async def world(standing: tuple[Running, Path]) -> AsyncIterator[Distributed]:
    async with opened(*standing, mark=new_id()[-8:]) as found:
        yield found


async def _sold(world: Distributed, title: str, price: int = 2495) -> tuple[Client, Client, Any, Any]:
    """A seller, a buyer, a product and its order, which is confirmed."""
    seller = await world.people.open_seller("Kettle")
    product = await world.people.list_product(seller, title, price)
    buyer = await world.people.buyer()
    await seller.until(f"/products/{product['id']}", lambda one: one["status"] == "published", PATIENCE)
    placed = await world.people.order(buyer, [(product, 1)])
    order = await buyer.until(f"/orders/{placed['id']}", lambda one: one["status"] != "pending", PATIENCE)
    assert order["status"] == "confirmed"
    return seller, buyer, product, order


@pytest.mark.costly("fifty processes, Kafka, Temporal and five proxies start for it, once")
async def test_flow_1_authentication(world: Distributed) -> None:
    buyer = await world.people.buyer()
    session = (await buyer.get("/auth/sessions"))["items"][0]["id"]
    [row] = await world.sql(
        "users", "SELECT email FROM auth.accounts WHERE id = (SELECT account_id FROM auth.sessions WHERE id = $1)", session
    )
    assert row["email"] == f"bea.{world.mark}@example.org"
    async with world.redis("sessions") as redis:
        assert await redis.exists(f"session:{session}")
    await buyer.post("/auth/logout", None, 204)
    await buyer.get("/me", 401)


async def test_flow_2_a_profile(world: Distributed) -> None:
    buyer = await world.people.buyer()
    me = await buyer.patch("/me", {"name": "Beatrice Buyer"})
    [row] = await world.sql("users", "SELECT name FROM users.profiles WHERE account_id = $1", me["id"])
    assert row["name"] == "Beatrice Buyer"


async def test_flow_3_payments(world: Distributed) -> None:
    _, buyer, _, order = await _sold(world, "Copper Kettle")
    payment = await buyer.get(f"/orders/{order['id']}/payment")
    assert payment["status"] == "authorized"
    record = await world.record("payments", lambda event: event["data"].get("order_id") == order["id"])
    assert record.key is not None
    ledger = await world.simulator("payments", "GET", f"/ledger?reference={order['id']}")
    assert [(row["kind"], row["amount"]) for row in ledger["items"]] == [("authorize", order["total"])]
    async with world.mongo("payments") as database:
        document = await database["payments.payments"].find_one({"_id": order["id"]})
    assert (document["id"], document["payment"]["status"]) == (payment["id"], "authorized")
    assert await world.sql("ledger", "SELECT * FROM payments_ledger.ledger_sets WHERE order_id = $1", order["id"]) == []


async def test_flow_4_and_5_an_order_and_its_checkout(world: Distributed) -> None:
    _, _, _, order = await _sold(world, "Iron Kettle")
    [row] = await world.sql("orders", "SELECT status FROM orders.orders WHERE id = $1", order["id"])
    assert row["status"] == "confirmed"
    for wanted in ("orders.placed", "orders.confirmed"):
        record = await world.record("orders", lambda event, type_=wanted: (event["type"], event["key"]) == (type_, order["id"]))
        assert record.key == order["id"].encode()


async def test_flow_6_moderation(world: Distributed) -> None:
    seller = await world.people.open_seller("Kettle")
    variant = {"sku": "M-1", "price": {"amount": 2495, "currency": "EUR"}, "stock": 1}
    held = {"title": "Kettle by mail", "description": "Cheaper: kettle@example.org", "variants": [variant]}
    product = await seller.post("/products", held, 201)
    await seller.post(f"/products/{product['id']}/publish", None, 202)
    await seller.until(f"/products/{product['id']}", lambda one: one["status"] == "in_review", PATIENCE)
    await world.record("moderation", lambda event: event["data"].get("subject") == f"product/{product['id']}")
    found = await world.people.admin.get("/moderation/queue?kind=product&limit=100")
    [item] = [item for item in found["items"] if item["subject_id"] == product["id"]]
    await world.people.admin.post(f"/moderation/{item['id']}/claim", None)
    await world.people.admin.post(f"/moderation/{item['id']}/decide", {"decision": "approve"})
    await seller.until(f"/products/{product['id']}", lambda one: one["status"] == "published", PATIENCE)
    [row] = await world.sql("moderation", "SELECT state FROM moderation.items WHERE id = $1", item["id"])
    assert row["state"] == "decided"


async def test_flow_7_a_cart(world: Distributed) -> None:
    seller = await world.people.open_seller("Kettle")
    product = await world.people.list_product(seller, "Steel Kettle", 1995)
    guest = world.people.make("buyer")
    await seller.until(f"/products/{product['id']}", lambda one: one["status"] == "published", PATIENCE)
    cart = await guest.post("/cart/items", {"variant_id": product["variants"][0]["id"], "quantity": 2})
    async with world.redis("carts") as redis:
        fields = await redis.hgetall(f"cart:{cart['id']}")
    assert fields[product["variants"][0]["id"].encode()].split()[0] == b"2"


async def test_flow_8_and_9_a_parcel_and_a_review(world: Distributed) -> None:
    seller, buyer, product, order = await _sold(world, "Tin Kettle")
    [package] = order["packages"]
    shipment = await seller.post(f"/orders/{package['id']}/ship", None, 202)
    ready = await seller.until(f"/shipments/{shipment['id']}", lambda one: one["status"] == "label_created", PATIENCE)
    for code in ("in_transit", "delivered"):
        await world.simulator("carriers", "POST", f"/shipments/{ready['tracking_number']}/advance", {"code": code})
    await buyer.until(f"/orders/{order['id']}", lambda one: one["status"] == "delivered", PATIENCE)
    [row] = await world.sql("shipments", "SELECT status FROM logistics.shipments WHERE id = $1", shipment["id"])
    assert row["status"] == "delivered"
    await world.record("logistics", lambda event: event["key"] == shipment["id"])

    line = package["items"][0]["id"]
    body = {"rating": 4, "title": "Holds tea", "text": "It does.", "order_item_id": line}
    review = await _written(buyer, product, body)
    await buyer.until(f"/reviews/{review['id']}", lambda one: one["status"] == "published", PATIENCE)
    await world.record("reviews", lambda event: event["key"] == review["id"])
    async with world.mongo("reviews") as database:
        document = await database["reviews.reviews"].find_one({"_id": review["id"]})
    assert document is not None and document["rating"] == 4
    rated = {"average": 4.0, "count": 1}
    await buyer.until(f"/products/{product['id']}", lambda one: one["rating"] == rated, PATIENCE)
    stars = "SELECT stars_4 FROM reviews_ratings.tallies WHERE kind = 'product' AND id = $1"
    assert await world.sql("ratings", stars, product["id"]) == [{"stars_4": 1}]


async def _written(buyer: Client, product: Any, body: Any) -> Any:
    """It may be written once the review service has heard of the parcel."""
    answers: list[Answer] = []

    async def taken() -> bool:
        answers.append(await buyer.send("POST", f"/products/{product['id']}/reviews", body))
        return answers[-1].status == 202

    await eventually(taken, within=PATIENCE)
    return answers[-1].body


async def test_flow_10_a_search(world: Distributed) -> None:
    seller = await world.people.open_seller("Kettle")
    product = await world.people.list_product(seller, "Hammered Cezve", 3495)
    guest = world.people.make("buyer")
    wanted = product["id"]
    await guest.until("/search?q=hamered+cezve", lambda page: wanted in [hit["id"] for hit in page["items"]], PATIENCE)
    assert any(wanted in hit for hit in await world.hits("cezve"))


async def test_flow_11_and_12_recommendations_and_the_base_feed(world: Distributed) -> None:
    guest = world.people.make("buyer")
    page = await guest.until("/feed?limit=20", lambda feed: len(feed["items"]) > 5, PATIENCE)
    async with world.redis("base_feed") as redis:
        assert [key async for key in redis.scan_iter("*feed*")]
    buyer = await world.people.buyer()
    seen = [{"type": "view", "product_id": card["id"], "source": "feed"} for card in page["items"][:3]]
    await buyer.post("/events", {"items": seen}, 202)
    me = await buyer.get("/me")
    mine = "SELECT product_id FROM recommendations.signals WHERE person = $1"

    async def kept() -> bool:
        return len(await world.sql("recommendations", mine, me["id"])) == len(seen)

    await eventually(kept, within=PATIENCE)
    await buyer.until("/recommendations?limit=10", lambda found: len(found["items"]) > 0, PATIENCE)


async def test_flow_13_every_process_is_watched(world: Distributed, tmp_path: Path) -> None:
    state = state_of(world.data)
    assert state is not None
    targets = targets_of(state.processes)
    watched = {process.name for process in state.processes if process.kind in ("api", "worker")}
    assert {target["labels"]["process"] for target in targets} == watched and len(watched) > 40
    async with prometheus(tmp_path / "prometheus", lambda: targets, seconds=5) as found:
        await found.until(f"count(max_over_time(up[1m]) == 1) == {len(watched)}")


async def test_flow_14_sagas_are_workflows(world: Distributed) -> None:
    _, _, _, order = await _sold(world, "Zinc Kettle")
    client = await Temporal.connect(world.url("workflows").removeprefix("temporal://").partition("/")[0])
    sagas = (await world.people.admin.get("/sagas?name=orders.checkout&limit=100"))["items"]
    [saga] = [saga for saga in sagas if saga["key"] == order["id"]]
    handle = client.get_workflow_handle(saga["id"])
    assert (await handle.describe()).workflow_type == "orders.checkout"
    started = [event.activity_task_started_event_attributes.identity for event in (await handle.fetch_history()).events]
    by = [identity.rpartition("/")[2] for identity in started if identity]
    assert by == ["payments", "catalog", "cart", "orders"], "each by a worker of its own service"
    async with probing(client) as probe:
        assert [await probe(capability) for capability in SERVICES] == [f"marketplace.{name}" for name in SERVICES]


async def test_a_purchase_is_reported(world: Distributed) -> None:
    """From Kafka to the store of events: who sold what, as the seller's own report has it."""
    seller, _, _, order = await _sold(world, "Brass Kettle", 7777)
    report = await seller.until("/reports/sales?interval=month", lambda found: bool(found["items"]), PATIENCE)
    [row] = report["items"]
    assert (row["orders"], row["units"], row["gross"]) == (1, 1, order["total"])
