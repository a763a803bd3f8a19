from __future__ import annotations

import asyncio
import re
import time
from datetime import datetime, timedelta
from typing import Any

import pytest
from simulator_harness import LATE, SLOW, TIMEOUT, Answer, Receiver, Simulator

BERLIN = {
    "country": "DE",
    "postal_code": "10115",
    "name": "Ada (1st \\ floor)",
    "city": "Berlin",
    "id": "a-1",
}
VIENNA = {"country": "AT", "postal_code": "1010"}


def question(to: dict[str, Any], *weights: int) -> dict[str, Any]:
    places = {"from": {"country": "DE", "postal_code": "20095"}, "to": to}
    return {**places, "parcels": [{"weight_g": weight} for weight in weights], "currency": "EUR"}


def shipment(**changes: Any) -> dict[str, Any]:
    body = {"reference": "package-1", "service": "standard", "from": VIENNA, "to": BERLIN, "weight_g": 1200}
    return {**body, "items": [{"sku": "A", "quantity": 2}], **changes}


async def ship(carriers: Simulator, **more: Any) -> Answer:
    return await carriers.post("/shipments", shipment(), **more)


@pytest.mark.asyncio
async def test_rates_depend_on_distance_and_weight_only(carriers: Simulator) -> None:
    async def rates(to: dict[str, Any], *weights: int) -> list[dict[str, Any]]:
        answer = await carriers.call("POST", "/rates", question(to, *weights))
        assert answer.status == 200
        items: list[dict[str, Any]] = answer.body["items"]
        return items

    home = await rates(BERLIN, 400)
    assert [item["service"] for item in home] == ["economy", "standard", "express"]
    assert all(item["price"]["currency"] == "EUR" and item["title"] and item["days"] for item in home)
    assert home == await rates(BERLIN, 500)
    for dearer in (await rates(BERLIN, 501), await rates(VIENNA, 400), await rates(BERLIN, 400, 400)):
        pairs = zip(home, dearer, strict=True)
        assert all(low["price"]["amount"] < high["price"]["amount"] for low, high in pairs)
    for bad in (question(BERLIN), question(BERLIN, 0), question({"country": "de", "postal_code": "1"}, 1)):
        assert (await carriers.call("POST", "/rates", bad)).status == 422


@pytest.mark.asyncio
async def test_a_shipment_is_made_once(carriers: Simulator) -> None:
    answers = await asyncio.gather(*(ship(carriers, key="k1") for _ in range(20)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.raw for answer in answers}) == 1
    body = answers[0].body
    assert (body["status"], body["service"], body["reference"]) == ("label_created", "standard", "package-1")
    days = datetime.fromisoformat(body["estimated_delivery"]) - datetime.fromisoformat(body["created_at"])
    assert days == timedelta(days=7)
    listed = (await carriers.get("/shipments?reference=package-1"))["items"]
    assert listed == [body] == (await carriers.get("/shipments"))["items"]
    assert await carriers.get(f"/shipments/{body['tracking_number']}") == body
    assert (await carriers.get("/shipments?reference=other"))["items"] == []
    assert (await carriers.call("GET", "/shipments/SIM0")).status == 404
    other = await carriers.post("/shipments", shipment(weight_g=1), key="k1")
    assert (other.status, other.body["code"]) == (422, "key_reused")
    assert (await carriers.call("POST", "/shipments", shipment())).body["code"] == "key_required"
    assert (await carriers.post("/shipments", shipment(service="pigeon"))).status == 422


@pytest.mark.asyncio
async def test_the_label_is_a_pdf_with_the_tracking_number(carriers: Simulator) -> None:
    body = (await ship(carriers)).body
    number = body["tracking_number"]
    assert body["label_url"] == f"{carriers.url}/labels/{number}.pdf"
    answer = await carriers.call("GET", f"/labels/{number}.pdf")
    assert answer.headers["Content-Type"] == "application/pdf"
    raw = answer.raw
    assert raw.startswith(b"%PDF-1.4")
    assert raw.endswith(b"%%EOF\n")
    assert f"({number}) Tj".encode() in raw
    assert rb"(Ada \(1st \\ floor\)) Tj" in raw
    start = int(re.findall(rb"startxref\n(\d+)\n", raw)[0])
    assert raw[start:].startswith(b"xref\n0 6\n")
    for number_of, offset in enumerate(re.findall(rb"(\d{10}) 00000 n \n", raw), 1):
        assert raw[int(offset) :].startswith(b"%d 0 obj\n" % number_of)
    length, content = re.findall(rb"/Length (\d+) >>\nstream\n(.*)\nendstream", raw, re.DOTALL)[0]
    assert int(length) == len(content)


@pytest.mark.asyncio
async def test_each_step_is_told_and_the_status_never_goes_back(carriers: Simulator, receiver: Receiver) -> None:
    number = (await ship(carriers)).body["tracking_number"]
    path = f"/shipments/{number}"
    steps = [
        ("in_transit", "in_transit"),
        ("exception", "exception"),
        ("out_for_delivery", "out_for_delivery"),
        ("in_transit", "out_for_delivery"),
        ("delivered", "delivered"),
        ("exception", "delivered"),
        ("returned", "returned"),
    ]
    for code, status in steps:
        answer = await carriers.call("POST", f"{path}/advance", {"code": code, "location": "Linz"})
        assert answer.status == 204
        assert (await carriers.get(path))["status"] == status
    await carriers.quiet()
    assert receiver.types == ["shipment.event"] * len(steps)
    assert [d.body["data"]["code"] for d in receiver.deliveries] == [code for code, _ in steps]
    assert [d.body["data"] for d in receiver.deliveries] == [
        {"tracking_number": number, **event} for event in (await carriers.get(path))["events"]
    ]
    assert receiver.deliveries[0].body["data"]["location"] == "Linz"
    assert (await carriers.call("POST", f"{path}/advance", {"code": "label_created"})).status == 422
    assert (await carriers.call("POST", "/shipments/SIM0/advance", {"code": "delivered"})).status == 404


@pytest.mark.asyncio
async def test_the_clock_moves_everything_that_is_dated(carriers: Simulator, receiver: Receiver) -> None:
    offset = 30 * 86400
    answer = await carriers.call("POST", "/clock", {"offset": offset})
    assert (answer.status, answer.body["offset"]) == (200, offset)
    body = (await ship(carriers)).body
    await carriers.call("POST", f"/shipments/{body['tracking_number']}/advance", {"code": "in_transit"})
    (delivery,) = await receiver.wait(1)
    told = [delivery.body["timestamp"], delivery.body["data"]["occurred_at"], body["created_at"]]
    moments = [datetime.fromisoformat(text).timestamp() for text in told]
    for moment in (*moments, delivery.timestamp):
        assert abs(moment - offset - time.time()) < 10
    assert (await carriers.call("POST", "/clock", {"offset": "soon"})).status == 422
    assert (await carriers.call("POST", "/clock", {"offset": 1e300})).status == 422
    await carriers.quiet()


@pytest.mark.asyncio
async def test_faults_of_requests(carriers: Simulator) -> None:
    async def rates(wait: float = 10) -> Answer:
        return await carriers.call("POST", "/rates", question(BERLIN, 1), wait=wait)

    for operation, call in (("rates", rates), ("create", lambda **more: ship(carriers, **more))):
        await carriers.fault(operation, "decline")
        refused = await call()
        assert (refused.status, refused.body["code"]) == (409, "declined")
        await carriers.fault(operation, "down")
        assert (await call()).status == 503
        await carriers.fault(operation, "slow")
        begun = time.monotonic()
        assert (await call()).status < 300
        assert time.monotonic() - begun >= SLOW
        await carriers.fault(operation, "timeout_after_success")
        with pytest.raises(TimeoutError):
            await call(wait=TIMEOUT / 4)
        assert (await call()).status < 300
    assert len((await carriers.get("/shipments"))["items"]) == 3


@pytest.mark.asyncio
async def test_faults_of_webhooks(carriers: Simulator, receiver: Receiver) -> None:
    async def advance(number: str, *codes: str) -> list[str]:
        receiver.deliveries.clear()
        for code in codes:
            await carriers.call("POST", f"/shipments/{number}/advance", {"code": code})
        await carriers.quiet()
        return [delivery.body["data"]["code"] for delivery in receiver.deliveries]

    async def fresh(kind: str) -> str:
        await carriers.fault("webhook", kind)
        number: str = (await ship(carriers)).body["tracking_number"]
        return number

    assert await advance(await fresh("twice"), "in_transit") == ["in_transit"] * 2
    assert await advance(await fresh("lost"), "in_transit", "delivered") == ["delivered"]
    assert await advance(await fresh("out_of_order"), "in_transit", "delivered") == [
        "delivered",
        "in_transit",
    ]
    begun = time.monotonic()
    assert await advance(await fresh("late"), "in_transit") == ["in_transit"]
    assert time.monotonic() - begun >= LATE


@pytest.mark.asyncio
async def test_shipments_and_their_webhooks_survive_a_sigkill(carriers: Simulator, receiver: Receiver) -> None:
    receiver.otherwise = 500
    body = (await ship(carriers, key="k1")).body
    await carriers.call("POST", f"/shipments/{body['tracking_number']}/advance", {"code": "delivered"})
    await receiver.wait(1)
    await carriers.kill()
    receiver.otherwise = 200
    await carriers.start()
    await carriers.quiet()
    assert (await ship(carriers, key="k1")).body == body
    assert (await carriers.get(f"/shipments/{body['tracking_number']}"))["status"] == "delivered"
    assert receiver.deliveries[-1].status == 200
    assert len({delivery.id for delivery in receiver.deliveries}) == 1
