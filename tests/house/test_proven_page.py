"""docs/explanation/proven.md names tests that there are, and says of each box and arrow against what it was tried."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "explanation" / "proven.md").read_text()
_TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")
_ROW = re.compile(r"^\| (?!box or arrow|-)(.+?) \| (.+?) \| (.+) \|$", re.MULTILINE)
STATES = {"real", "compatible", "checked", "not yet"}
#: The boxes of the drawing, as it names them.
BOXES = """
Mobile Client, Web Client, Public Client, Mobile Nginx, Web Nginx, Public Nginx, API-Gateway, Auth Service, User
Service, Product Service, Cart Service, Order Service, Review Service, Logistics Service, Seller Service, Search
Service, Payment Service, Recommendation Service, Moderation Service, Orchestrator, Redis (Sessions), PostgreSQL
(Users), PostgreSQL (Products), Redis Cache (Products), Redis (Cart), PostgreSQL (Orders), MongoDB (Reviews),
PostgreSQL (Shipments), PostgreSQL (Sellers), Elasticsearch, MongoDB (Payments), PostgreSQL (Ratings), PostgreSQL
(Recommendations), Redis (Base Feed), Auth Worker, User Worker, Product Worker, Cart Worker, Order Worker, Review
Worker, Logistics Worker, Seller Worker, Search Worker, Payment Worker, Rating Worker, Recommendation Worker,
ClickHouse, Kafka, Amazon S3, Grafana, Prometheus, Nginx, ALB, Route 53, Cloudflare DNS, Users, Payment Gateway API,
Logistics API
"""


def test_the_tests_that_are_named_are_there() -> None:
    named = _TEST.findall(PAGE)
    assert len(named) > 30
    missing = [f"{path}::{name}" for path, name in named if f"def {name}(" not in (ROOT / path).read_text()]
    assert missing == []


def test_what_was_tried_has_a_test_and_what_was_not_has_none() -> None:
    rows = _ROW.findall(PAGE)
    assert {state for _, state, _ in rows} == STATES
    wrong = [what for what, state, shown in rows if bool(_TEST.search(shown)) == (state == "not yet")]
    assert wrong == []


def test_every_box_of_the_drawing_is_judged() -> None:
    told = " ".join(
        re.sub(r"Mobile, Web, Public (\w+)", r"Mobile \1, Web \1, Public \1", what) for what, _, _ in _ROW.findall(PAGE)
    )
    missing = [box for box in re.split(r",\s+", " ".join(BOXES.split())) if box not in told]
    assert missing == []
