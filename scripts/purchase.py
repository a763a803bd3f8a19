"""Buys the first product of a marketplace that ``up --demo --json`` has started; prints the order. Standard library only."""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from typing import Any


class Buyer:
    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._headers = {"content-type": "application/json"}

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._prefix + path, data, {**self._headers, **headers}, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - of our own marketplace
            return json.load(answer)

    def log_in(self, account: dict[str, str]) -> None:
        session = self.call("POST", "/auth/login", account)["session"]
        self._headers["authorization"] = f"Bearer {session['access_token']}"


def main() -> int:
    started = json.loads(sys.argv[1])
    buyer = Buyer(started["audiences"]["buyer"])
    buyer.log_in(started["accounts"]["buyer"])
    card = next(card for card in buyer.call("GET", "/products")["items"] if card["in_stock"])
    product = buyer.call("GET", f"/products/{card['id']}")
    variant = next(variant for variant in product["variants"] if variant["available"])
    buyer.call("POST", "/cart/items", {"variant_id": variant["id"], "quantity": 1})
    quote = buyer.call("POST", "/checkout/quote", {"country": "DE", "postal_code": "10115"})
    address = {"name": "Bea Buyer", "line1": "1 Test Street", "city": "Berlin", "postal_code": "10115", "country": "DE"}
    body = {
        "address": address,
        "shipping": {package["seller_id"]: package["selected"] for package in quote["packages"]},
        "payment": {"method": "card", "token": "tok_ok"},
        "expected_total": quote["total"],
    }
    order = buyer.call("POST", "/orders", body, **{"idempotency-key": f"wheels-{time.time_ns()}"})
    for _ in range(200):
        order = buyer.call("GET", f"/orders/{order['id']}")
        if order["status"] != "pending":
            break
        time.sleep(0.1)
    print(json.dumps(order))
    return 0


if __name__ == "__main__":
    sys.exit(main())
