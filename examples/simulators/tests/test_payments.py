from __future__ import annotations

import asyncio
import time

import pytest
from simulator_harness import SLOW, TIMEOUT, Receiver, Simulator, eur, payment


@pytest.mark.asyncio
async def test_an_authorization_is_answered_written_down_and_told(payments: Simulator, receiver: Receiver) -> None:
    answer = await payments.pay(key="k1")
    assert answer.status == 201
    assert answer.body["status"] == "authorized"
    assert answer.body["authorized"] == eur(1000)
    assert answer.body["captured"] == answer.body["refunded"] == eur(0)
    assert answer.body["action"] is answer.body["failure"] is None

    (item,) = (await payments.get("/ledger?reference=order-1"))["items"]
    assert item["id"] == answer.body["operation"]["id"]
    assert (item["kind"], item["reference"], item["key"], item["amount"]) == (
        "authorize",
        "order-1",
        "k1",
        eur(1000),
    )

    (delivery,) = await receiver.wait(1)
    assert delivery.body["type"] == "payment.authorized"
    assert delivery.body["data"] == {
        "payment": answer.body["id"],
        "reference": "order-1",
        "amount": eur(1000),
    }
    assert delivery.body["id"] == delivery.id
    assert abs(delivery.timestamp - time.time()) < 10
    await payments.quiet()

    assert (await payments.get(f"/payments/{answer.body['id']}"))["status"] == "authorized"
    found = await payments.get("/payments?reference=order-1")
    assert [item["id"] for item in found["items"]] == [answer.body["id"]]
    assert (await payments.get("/payments?reference=order-2"))["items"] == []


@pytest.mark.asyncio
async def test_a_key_belongs_to_one_request(payments: Simulator) -> None:
    first = await payments.pay(key="k1")
    again = await payments.pay(key="k1")
    assert (again.status, again.raw) == (first.status, first.raw)
    assert again.headers["Idempotent-Replayed"] == "true"

    other = await payments.pay(key="k1", reference="order-2")
    assert (other.status, other.body["code"]) == (422, "key_reused")
    elsewhere = await payments.post(f"/payments/{first.body['id']}/void", key="k1")
    assert (elsewhere.status, elsewhere.body["code"]) == (422, "key_reused")
    missing = await payments.call("POST", "/payments", payment())
    assert (missing.status, missing.body["code"]) == (400, "key_required")
    assert len((await payments.get("/ledger"))["items"]) == 1


@pytest.mark.asyncio
async def test_twenty_equal_requests_at_once_do_one_thing(payments: Simulator, receiver: Receiver) -> None:
    answers = await asyncio.gather(*(payments.pay(key="k1") for _ in range(20)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.raw for answer in answers}) == 1
    path = f"/payments/{answers[0].body['id']}/capture"
    answers = await asyncio.gather(*(payments.post(path, {"amount": eur(400)}, key="k2") for _ in range(20)))
    assert {answer.body["captured"]["amount"] for answer in answers} == {400}
    await payments.quiet()
    assert await payments.kinds("order-1") == ["authorize", "capture"]
    assert receiver.types == ["payment.authorized", "payment.captured"]


@pytest.mark.asyncio
async def test_captures_in_parallel_never_exceed_the_authorization(payments: Simulator) -> None:
    id_ = (await payments.pay()).body["id"]
    answers = await asyncio.gather(*(payments.post(f"/payments/{id_}/capture", {"amount": eur(300)}) for _ in range(20)))
    assert sorted(answer.status for answer in answers) == [200] * 3 + [409] * 17
    assert {answer.body["code"] for answer in answers if answer.status == 409} == {"exceeds_authorized"}
    assert (await payments.get(f"/payments/{id_}"))["captured"] == eur(900)


@pytest.mark.asyncio
async def test_capture_refund_and_void_keep_to_what_is_there(payments: Simulator, receiver: Receiver) -> None:
    id_ = (await payments.pay()).body["id"]

    async def step(verb: str, amount: int | None = None) -> tuple[int, str]:
        body = {} if amount is None else {"amount": eur(amount)}
        answer = await payments.post(f"/payments/{id_}/{verb}", body)
        return answer.status, answer.body.get("code") or answer.body["status"]

    assert await step("refund", 1) == (409, "wrong_state")
    assert await step("capture", 1001) == (409, "exceeds_authorized")
    assert await step("capture", 300) == (200, "partially_captured")
    assert await step("refund", 301) == (409, "exceeds_captured")
    assert await step("refund", 100) == (200, "partially_refunded")
    assert await step("capture", 200) == (200, "partially_refunded")
    assert await step("capture", 501) == (409, "exceeds_authorized")
    assert await step("void") == (200, "partially_refunded")
    assert await step("capture", 1) == (409, "wrong_state")
    assert await step("void") == (409, "wrong_state")
    assert await step("refund") == (200, "refunded")
    assert await step("refund", 1) == (409, "exceeds_captured")
    await payments.quiet()
    items = (await payments.get("/ledger?reference=order-1"))["items"]
    moved = [(item["kind"], item["amount"]["amount"]) for item in items]
    assert moved == [
        *(("authorize", 1000), ("capture", 300), ("refund", 100)),
        *(("capture", 200), ("void", 500), ("refund", 400)),
    ]
    told = [(d.body["type"].removeprefix("payment."), d.body["data"]["amount"]["amount"]) for d in receiver.deliveries]
    assert told == [
        *(("authorized", 1000), ("captured", 300), ("refunded", 100)),
        *(("captured", 200), ("voided", 500), ("refunded", 400)),
    ]


@pytest.mark.asyncio
async def test_a_void_releases_everything_and_without_an_amount_all_is_captured(payments: Simulator) -> None:
    first = (await payments.pay()).body["id"]
    assert (await payments.post(f"/payments/{first}/void")).body["status"] == "voided"
    assert (await payments.post(f"/payments/{first}/capture")).body["code"] == "wrong_state"
    second = (await payments.pay()).body["id"]
    assert (await payments.post(f"/payments/{second}/capture")).body["status"] == "captured"
    assert (await payments.post(f"/payments/{second}/void")).body["code"] == "wrong_state"
    assert (await payments.post(f"/payments/{second}/capture", {"amount": eur(1)})).body["code"] == "exceeds_authorized"


@pytest.mark.asyncio
async def test_a_refusal_is_an_answer_too(payments: Simulator) -> None:
    id_ = (await payments.pay()).body["id"]
    first = await payments.post(f"/payments/{id_}/refund", key="k2")
    await payments.post(f"/payments/{id_}/capture")
    again = await payments.post(f"/payments/{id_}/refund", key="k2")
    assert (first.status, first.raw) == (again.status, again.raw)
    assert (await payments.post(f"/payments/{id_}/refund", key="k3")).status == 200


@pytest.mark.asyncio
async def test_tokens(payments: Simulator, receiver: Receiver) -> None:
    for token in ("tok_declined", "tok_of_nobody"):
        answer = await payments.pay(token, token)
        assert (answer.status, answer.body["status"], answer.body["failure"]["code"]) == (
            201,
            "failed",
            "declined",
        )
        assert await payments.kinds(token) == []
        refused = await payments.post(f"/payments/{answer.body['id']}/capture")
        assert (refused.status, refused.body["code"]) == (409, "wrong_state")
    await payments.quiet()
    assert receiver.types == ["payment.failed"] * 2

    begun = time.monotonic()
    assert (await payments.pay("tok_slow")).body["status"] == "authorized"
    assert time.monotonic() - begun >= SLOW


@pytest.mark.asyncio
async def test_a_caller_who_gave_up_finds_what_was_done_by_its_key(payments: Simulator, receiver: Receiver) -> None:
    with pytest.raises(TimeoutError):
        await payments.pay("tok_timeout", key="k1", wait=TIMEOUT / 4)
    begun = time.monotonic()
    again = await payments.pay("tok_timeout", key="k1")
    assert time.monotonic() - begun < TIMEOUT / 2
    assert again.body["status"] == "authorized"
    assert await payments.kinds("order-1") == ["authorize"]
    await payments.quiet()
    assert receiver.types == ["payment.authorized"]


@pytest.mark.asyncio
async def test_the_webhook_of_tok_twice_comes_again_behind_the_following_one(payments: Simulator, receiver: Receiver) -> None:
    id_ = (await payments.pay("tok_twice")).body["id"]
    await payments.post(f"/payments/{id_}/capture")
    await payments.quiet()
    assert receiver.types == ["payment.authorized", "payment.captured", "payment.authorized"]
    assert receiver.deliveries[0].id == receiver.deliveries[2].id
    assert receiver.deliveries[0].body == receiver.deliveries[2].body


@pytest.mark.asyncio
async def test_a_transfer_happens_once(payments: Simulator, receiver: Receiver) -> None:
    body = {"reference": "payout-1", "amount": eur(5000), "destination": "DE02120300000000202051"}
    answers = await asyncio.gather(*(payments.post("/transfers", body, key="k1") for _ in range(20)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.raw for answer in answers}) == 1
    assert answers[0].body["status"] == "paid"
    assert await payments.kinds("payout-1") == ["transfer"]
    assert receiver.deliveries == []


@pytest.mark.asyncio
async def test_the_ledger_is_read_in_pages(payments: Simulator) -> None:
    for number in range(5):
        await payments.pay(reference=f"order-{number}")
    seen, after = [], 0
    while after is not None:
        page = await payments.get(f"/ledger?limit=2&after={after}")
        seen += [item["reference"] for item in page["items"]]
        after = page["next"]
    assert seen == [f"order-{number}" for number in range(5)]
    assert (await payments.call("GET", "/ledger?after=x")).status == 422


@pytest.mark.asyncio
async def test_bad_requests_are_answered_with_their_cause(payments: Simulator) -> None:
    good = payment()
    bad = [
        ({**good, "amount": eur(0)}, "$.amount"),
        ({**good, "amount": {"amount": 1, "currency": "euro"}}, "currency"),
        ({**good, "amount": 10}, "$.amount"),
        ({**good, "more": 1}, "more"),
        ({**good, "reference": ""}, "$.reference"),
        ({**good, "return_url": "javascript:alert(1)"}, "$.return_url"),
        ({**good, "method": {"method": "cash", "token": "tok_ok"}}, "$.method"),
        ([], "object"),
    ]
    for body, cause in bad:
        answer = await payments.post("/payments", body)
        assert (answer.status, answer.body["code"]) == (422, "validation")
        assert cause in answer.body["detail"]
    for raw in (b"{", b'{"reference": "\xff"}', b"\x00"):
        answer = await payments.post("/payments", raw)
        assert (answer.status, answer.body["code"]) == (400, "malformed")
    assert (await payments.call("GET", "/payments/pay_none")).body["code"] == "not_found"
    assert (await payments.post("/payments/pay_none/capture")).status == 404
    assert (await payments.call("GET", "/nothing")).status == 404
    assert (await payments.call("PUT", "/payments")).status == 405
    assert (await payments.post("/payments", b" " * 1_048_577)).status == 413
    id_ = (await payments.pay()).body["id"]
    foreign = await payments.post(f"/payments/{id_}/capture", {"amount": {"amount": 1, "currency": "USD"}})
    assert (foreign.status, foreign.body["code"]) == (422, "currency_mismatch")
