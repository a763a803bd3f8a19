"""Applications, names and rates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from marketplace_sellers import domain
from marketplace_sellers.config import SellersConfig
from marketplace_sellers.domain import Application, NotPossible, Rate, Requirement
from marketplace_sellers.names import name_key

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KINDS = {"contact_email": "computed", "terms": "attested", "identity": "verified"}


def _application(email: str = "k@example.org") -> tuple[Application, dict[str, Requirement]]:
    requirements = [Requirement(key, kind) for key, kind in KINDS.items()]
    application = Application("a", "ada", "Kettle", "Kettle Ltd", "DE", email, NOW, requirements)
    domain.begin(application)
    return application, {requirement.key: requirement for requirement in requirements}


def _statuses(application: Application) -> list[str]:
    return [application.status, *(requirement.status for requirement in application.requirements)]


@pytest.mark.behaviour("sellers-1")
def test_an_application_is_submitted_when_nothing_is_up_to_the_applicant() -> None:
    application, parts = _application()
    assert _statuses(application) == ["draft", "accepted", "open", "open"]
    domain.submit(application, parts["identity"], "passport 1")
    assert _statuses(application) == ["draft", "accepted", "open", "submitted"]
    domain.submit(application, parts["terms"], "accepted")
    assert _statuses(application) == ["submitted", "accepted", "accepted", "submitted"]
    domain.accept(application)
    assert _statuses(application) == ["active", "accepted", "accepted", "accepted"]


def test_what_is_computed_may_fail() -> None:
    application, parts = _application("nobody")
    assert (parts["contact_email"].status, parts["contact_email"].detail) == ("rejected", "This is not an e-mail address.")
    with pytest.raises(NotPossible, match="worked out by itself"):
        domain.submit(application, parts["contact_email"], "k@example.org")


def test_accepting_names_what_is_open_or_rejected() -> None:
    application, parts = _application("nobody")
    domain.submit(application, parts["identity"], "passport 1")
    with pytest.raises(NotPossible, match="not fulfilled: contact_email, terms"):
        domain.accept(application)
    domain.decide(application, parts["contact_email"], "waive", "by phone")
    domain.submit(application, parts["terms"], "accepted")
    domain.decide(application, parts["identity"], "reject", "blurred")
    with pytest.raises(NotPossible, match="not fulfilled: identity"):
        domain.accept(application)
    assert _statuses(application) == ["draft", "waived", "accepted", "rejected"]
    assert parts["identity"].detail == "blurred"
    domain.submit(application, parts["identity"], "passport 2")
    assert (application.status, parts["identity"].status, parts["identity"].detail) == ("submitted", "submitted", None)


def test_an_operator_decides_what_is_submitted_and_waives_anything() -> None:
    application, parts = _application()
    with pytest.raises(NotPossible, match="not submitted"):
        domain.decide(application, parts["identity"], "accept", "")
    domain.decide(application, parts["identity"], "waive", "")
    domain.decide(application, parts["terms"], "waive", "")
    assert _statuses(application) == ["submitted", "accepted", "waived", "waived"]
    with pytest.raises(NotPossible, match="waived already"):
        domain.submit(application, parts["identity"], "passport 1")


@pytest.mark.parametrize("end", ["accepted", "rejected"])
def test_a_decided_application_stays(end: str) -> None:
    application, parts = _application()
    domain.submit(application, parts["terms"], "accepted")
    domain.submit(application, parts["identity"], "passport 1")
    if end == "accepted":
        domain.accept(application)
    else:
        domain.reject(application, "no")
    before = _statuses(application)
    for act in (
        lambda: domain.submit(application, parts["terms"], "accepted"),
        lambda: domain.decide(application, parts["identity"], "reject", ""),
        lambda: domain.accept(application),
        lambda: domain.reject(application, ""),
    ):
        with pytest.raises(NotPossible, match="already"):
            act()
    assert _statuses(application) == before


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("Kettle", "KETTLE", True),
        ("  Kettle   & Sons ", "Kettle & Sons", True),
        ("Straße", "STRASSE", True),
        ("ﬁne", "fine", True),
        ("Kettle", "Kettles", False),
        ("Kettle", "K\u0435ttl\u0435", True),  # Cyrillic
        ("KETTLE", "\u041a\u0415\u0422\u0422LE", True),
        ("Kettle", "Ket\u200btle", True),
        ("Kettle", "\u2060Kettle\ufeff\u00ad\ufe0f", True),
        ("Alpha", "\u0391l\u03c1h\u03b1", True),  # Greek
        ("\u0412\u043e\u0441\u0442\u043e\u043a", "\u0432\u043e\u0441\u0442\u043e\u043a", True),
        ("Müller", "Muller", False),
        ("Teekanne 1", "Teekanne l", False),
        ("\u200b\u2060", "", True),
        ("\u00a0 ", "", True),
    ],
)
def test_names_as_a_person_compares_them(one: str, other: str, equal: bool) -> None:
    assert (name_key(one) == name_key(other)) is equal


def test_slugs() -> None:
    assert domain.shop_slug("Kettle & Sons", "x-abcdef") == "kettle-sons-abcdef"
    assert domain.shop_slug("茶", "x-abcdef") == "shop-abcdef"


def test_the_rate_that_is_in_force() -> None:
    ago, ahead = (lambda days: NOW - timedelta(days=days)), NOW + timedelta(seconds=1)
    rates = [
        Rate(None, None, "0.12", ago(1)),
        Rate(None, None, "0.11", ago(9)),
        Rate("s1", None, "0.08", ago(5)),
        Rate("s1", None, "0.07", ago(3)),
        Rate("s1", None, "0.01", ahead),
        Rate("s2", None, "0.02", ago(1)),
        Rate(None, "toys", "0.20", NOW),
    ]

    def found(seller_id: str) -> dict[str | None, str]:
        return {category: rate.rate for category, rate in domain.rates_in_force(rates, seller_id, NOW).items()}

    assert found("s1") == {None: "0.07", "toys": "0.20"}
    assert found("s2") == {None: "0.02", "toys": "0.20"}
    assert found("s3") == {None: "0.12", "toys": "0.20"}
    assert domain.rates_in_force(rates[4:6], "s1", NOW) == {}
    assert [domain.rate_text(text) for text in ("0.10", "1", "0")] == ["0.1000", "1.0000", "0.0000"]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (
            {"requirements": [{"key": "vat", "kind": "computed"}]},
            r"\['vat'\] cannot be computed; these can: \['cont",
        ),
        ({"requirements": [{"key": "id", "kind": "verified"}] * 2}, "a key stands there twice"),
        ({"requirements": [{"key": "id", "kind": "guessed"}]}, "guessed"),
        ({"commission_rate": "1.5"}, "commission_rate"),
        ({"commission": "0.1"}, "commission"),
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, object], problem: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=problem):
        msgspec.convert(settings, SellersConfig)
