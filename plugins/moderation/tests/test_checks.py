"""What each check finds, and what it leaves alone."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from marketplace_moderation.checks import alike, likeness, prices
from marketplace_moderation.checks.classifier import NoExamples, evaluate, learn, read_examples
from marketplace_moderation.checks.folding import read
from marketplace_moderation.config import ModerationConfig
from marketplace_moderation.domain import Found, Item, judge
from marketplace_moderation.examining import Texts
from PIL import Image, ImageDraw

from marketplace_core.capabilities.moderation import Content, Submission
from marketplace_core.values import Money, SystemClock

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"


def submitted(text: str, id_: str = "1") -> Submission:
    return Submission(content=Content("review", id_, 1), cause="new", author_id="ada", snapshot={"text": text})


def found_in(text: str, **settings: object) -> list[str]:
    """The checks that find something in a text."""
    config = ModerationConfig(**settings)  # type: ignore[arg-type]
    return sorted({finding.check for finding in Texts(config).check(read([submitted(text)]), None)})


@pytest.mark.parametrize(
    "text",
    [
        "What a Fucking kettle",
        "what a f u c k i n g kettle",
        "so ein 4r5chl0ch",
        "vai tomar, filho da PUTA!",
        "fuuuuuck",
        "f.u.c.k this",
        "Ar$chloch",
        "quel connard",
        "gilip0llas",
    ],
)
def test_banned_words_are_found_in_disguise(text: str) -> None:
    assert found_in(text) == ["words"]


@pytest.mark.parametrize(
    "text", ["Scunthorpe disputa computar", "A 4 B 5 C, I am O K", "cockpit, Peacock, Essex", "10 x 20 x 30 cm"]
)
def test_words_that_hold_others_are_none(text: str) -> None:
    assert found_in(text) == []


def test_a_deployment_has_words_of_its_own_and_switches_checks_off() -> None:
    assert found_in("Ein Blödmann", words={"de": ["Blödmann"]}) == ["words"]
    assert found_in("What a fucking kettle", checks=("contact",)) == []
    with pytest.raises(ValueError, match="there is no check typos"):
        ModerationConfig(checks=("typos",))


@pytest.mark.parametrize(
    "text",
    [
        "write to ada@example.com",
        "ada (at) example [dot] com",
        "ada arroba example ponto com",
        "see https://kettle.example/shop",
        "on www.kettle.example",
        "buy at my-kettles.shop instead",
        "call +49 170 1234567",
        "0170 / 123 45 67",
        "ligue (11) 98765-4321",
        "my number: tel 555 12 34 567",
        "ask me on WhatsApp",
        "ask me on wh4tsapp",
        "w h a t s a p p me",
        "find me at t.me",
    ],
)
def test_contact_data_is_found_in_words_too(text: str) -> None:
    assert found_in(text) == ["contact"]


@pytest.mark.parametrize(
    "text",
    [
        "EAN 4006381333931, 230 V, 1.5 l",
        "Bought 2024-03-05, came on 06/04/2017.",
        "It is good.it works",
        "Version 2.0.1 of the manual",
        "12 cups at 8 oz, 0.5 l each",
        "mail@kettle.example.com and https://help.kettle.example.com/x",
    ],
)
def test_numbers_dates_and_allowed_hosts_are_no_contact_data(text: str) -> None:
    assert found_in(text, allowed_hosts=("kettle.example.com",)) == []


def test_a_word_has_letters_of_one_alphabet() -> None:
    assert found_in("an iPh\u043ene") == ["alphabets"]
    assert found_in("Чайник kettle, 3D-принтер, 10 kΩ, 5 μm, Ελλάδα") == []


def test_a_price_is_far_from_those_of_its_category() -> None:
    usual = {prices.step_of(Money(amount, "EUR")): 10 for amount in (1500, 2000, 2500, 3000)}
    for amount, far in ((2200, False), (9000, False), (20, True), (250_000, True)):
        assert prices.is_outlier(prices.step_of(Money(amount, "EUR")), usual) is far, amount
    few = {prices.step_of(Money(2000, "EUR")): prices.LEAST - 1}
    assert not prices.is_outlier(prices.step_of(Money(1, "EUR")), few), "nobody knows yet what is usual"


def test_copied_texts_are_alike_and_others_are_not() -> None:
    text = "a copper kettle for the whole family that holds two litres of tea and whistles when the water boils at last " * 2
    other = "this lamp lights the desk of whoever works at night and folds into a bag that every traveller carries with him"
    [one, same, edited, far] = likeness.signatures([text, text, text.replace("copper", "steel", 1), other])
    assert one == same and alike.share(one[0], edited[0]) > 0.7 and set(one[1]) & set(edited[1])
    assert alike.share(one[0], far[0]) < 0.2 and not set(one[1]) & set(far[1])


def drawn(kind: str = "png", size: tuple[int, int] = (300, 200), *, mirrored: bool = False) -> bytes:
    picture = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(picture)
    for step in range(8):
        left = size[0] * step // 16
        pen.rectangle((left, left // 2, left + size[0] // 7, size[1] - left), fill=(30 * step, 255 - 30 * step, 90))
    if mirrored:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    out = io.BytesIO()
    picture.save(out, kind)
    return out.getvalue()


def test_pictures_are_told_by_what_they_show() -> None:
    blank = io.BytesIO()
    Image.new("RGB", (50, 50), "#fefefe").save(blank, "png")
    bomb = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(bomb, "png")
    raw = [drawn(), drawn("jpeg", (600, 400)), drawn(mirrored=True), blank.getvalue(), bomb.getvalue(), b"GIF89a nothing"]
    one, again, other, *bad = likeness.see(raw)
    assert [seen.kind for seen in bad] == ["blank", "bomb", "unreadable"]
    assert alike.distance(one.hash, again.hash) <= 3 and alike.distance(one.hash, other.hash) > 8
    assert set(alike.picture_bands(one.hash)) & set(alike.picture_bands(again.hash))
    assert -(1 << 63) <= one.hash < 1 << 63


def test_any_three_bits_leave_a_band_as_it_was() -> None:
    for flipped in (0, 1 << 5 | 1 << 20 | 1 << 40, 1 << 63 | 1 << 17 | 1):
        assert set(alike.picture_bands(0x0123456789ABCDEF)) & set(alike.picture_bands(0x0123456789ABCDEF ^ flipped))


@pytest.mark.parametrize(
    ("score", "cause", "expected"),
    [
        (None, "new", ("decided", "approve", None)),
        (0.49, "edited", ("decided", "approve", None)),
        (0.5, "new", ("open", None, None)),
        (0.94, "new", ("open", None, None)),
        (0.95, "reported", ("decided", "reject", "spam")),
        (None, "reported", ("open", None, None)),
    ],
)
def test_the_worst_decides(score: float | None, cause: str, expected: tuple[str, str | None, str | None]) -> None:
    now = SystemClock().now()
    item = Item("i", "review", "r", 1, cause, None, None, {}, [], now, now)
    found = [] if score is None else [Found("mild", 0.1, "", "mild"), Found("classifier", score, "", "spam")]
    judge(item, found, 0.5, 0.95)
    assert (item.state, item.decision, item.reason_code) == expected


# ── the classifier ───────────────────────────────────────────────────────────────────────────────────────────


def made_up(count: int = 60) -> list[tuple[bool, str]]:
    good = [(False, f"the kettle number {n} holds tea and is well made") for n in range(count)]
    return good + [(True, f"win a free prize now, claim code {n} today") for n in range(count)]


def test_the_classifier_learns_the_same_from_the_same() -> None:
    model = learn(made_up())
    assert model == learn(made_up()) and type(model).decoded(model.encoded()) == model
    bad, good = (
        Texts(ModerationConfig()).check(read([submitted(text)]), model)
        for text in ("claim a free prize", "it holds tea and is well made")
    )
    assert [finding.check for finding in bad] == ["classifier"] and 0.5 <= bad[0].score <= 1 and good == []


@pytest.mark.parametrize(("lines", "why"), [(["ham no tab"], "line 1"), (["ham\tfine"] * 50, "ten good and ten bad")])
def test_what_nothing_can_be_learnt_from_is_refused(lines: list[str], why: str) -> None:
    with pytest.raises(NoExamples, match=why):
        read_examples(lines)


# ── real data ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is not there")
def test_of_real_messages_few_good_ones_are_called_bad() -> None:
    """One half of them; ``tox -e bench -- moderation`` has the mean of ten."""
    with (DATA / "sms_spam" / "sms.tsv").open(encoding="utf-8", newline="\n") as lines:
        figures = evaluate(read_examples(lines), 1)
    assert figures.f1 >= 0.95 and figures.false_alarms <= 0.0015, figures


@pytest.mark.behaviour("moderation-1")
@pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is not there")
def test_of_real_reviews_hardly_any_waits_and_none_is_rejected() -> None:
    """Those with words: which wait, and why, is what moderation's README tells."""
    with (DATA / "olist" / "olist_order_reviews_dataset.csv").open(encoding="utf-8", newline="") as rows:
        texts = [f"{row['review_comment_title']}\n{row['review_comment_message']}".strip() for row in csv.DictReader(rows)]
    config = ModerationConfig()
    given = read([submitted(text, str(n)) for n, text in enumerate(filter(None, texts))])
    found = Texts(config).check(given, None)
    assert len(given) > 2500 and len({one.key for one in found}) <= len(given) * 0.005, found
    assert [(one.check, one.detail.split()[0]) for one in found] == [("contact", "link")] * 3, found
    assert all(config.hold <= one.score < config.reject for one in found), found
