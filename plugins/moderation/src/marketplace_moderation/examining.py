"""The checks on what was submitted: by itself, beside what is there, and those of other plugins."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from msgspec import Struct

from marketplace_core.capabilities.moderation import Finding, Submission
from marketplace_core.extensions import ExtensionError, Extensions
from marketplace_core.ports import Blobs, Pool, UnitOfWork
from marketplace_moderation.checks import alike, prices, sending
from marketplace_moderation.checks.alike import Seen
from marketplace_moderation.checks.alphabets import check_alphabets
from marketplace_moderation.checks.classifier import Model, check_classifier
from marketplace_moderation.checks.contact import check_contact
from marketplace_moderation.checks.folding import Written, read
from marketplace_moderation.checks.words import banned_words, check_words
from marketplace_moderation.config import ModerationConfig
from marketplace_moderation.store import LikenessStore, Picture, Text

__all__ = ["Checks", "Examined", "Texts"]

log = structlog.get_logger("marketplace.moderation")

COPIED = 0.7
BLANK = 0.6
NEAR_BITS = 3
BLOCKED_BITS = 4


class Texts:
    """The checks of texts, by the settings; nothing is asked for, and nothing kept."""

    def __init__(self, config: ModerationConfig) -> None:
        self._on = frozenset(config.checks)
        self._banned = banned_words(config.words)
        self._allowed = frozenset(config.allowed_hosts)

    def check(self, texts: Sequence[Written], model: Model | None) -> list[Finding]:
        found: list[Finding] = []
        if "words" in self._on:
            found += check_words(texts, self._banned)
        if "contact" in self._on:
            found += check_contact(texts, self._allowed)
        if "alphabets" in self._on:
            found += check_alphabets(texts)
        if "classifier" in self._on:
            found += check_classifier(texts, model)
        return found


class Examined(Struct):
    """What was found in a submission by itself, and what it is to be compared by with those that are there."""

    findings: list[Finding]
    text: Text | None = None
    pictures: list[Picture] = []


class Checks:
    def __init__(
        self, likeness: LikenessStore, blobs: Blobs, extensions: Extensions, pool: Pool, config: ModerationConfig
    ) -> None:
        """``pool``: of processes, for what imports much."""
        self._likeness = likeness
        self._blobs = blobs
        self._extensions = extensions
        self._pool = pool
        self._config = config
        self._on = frozenset(config.checks)
        self._texts = Texts(config)
        self._blocked = [int(hash_, 16) for hash_ in config.blocked_pictures]
        self._model: tuple[int, Model] | None = None

    # ── outside of any transaction ───────────────────────────────────────────────────────────────────────────

    async def examine(self, submission: Submission) -> Examined:
        """All that can be found without what others have submitted."""
        [written] = read([submission])
        examined = Examined(self._texts.check([written], await self._learnt()))
        if "texts" in self._on:
            examined.text = await self._signed(written.low, submission)
        if "pictures" in self._on and submission.images:
            await self._look(submission, examined)
        examined.findings += await self._others(submission)
        return examined

    async def _learnt(self) -> Model | None:
        """The model that was trained last; it is read again once there is another."""
        number = await self._likeness.model_number() if "classifier" in self._on else None
        if number is None:
            return None
        if self._model is None or self._model[0] != number:
            found = await self._likeness.model()
            self._model = None if found is None else (found[0], Model.decoded(found[1]))
        return None if self._model is None else self._model[1]

    async def _signed(self, text: str, submission: Submission) -> Text | None:
        if len(text.split()) < self._config.alike_words:
            return None
        [(signature, bands)] = await self._pool.run(sending.signatures, [text])
        return Text(submission.content.key, _owner(submission), signature, bands)

    async def _look(self, submission: Submission, examined: Examined) -> None:
        key = submission.content.key
        read = [(image, await self._blobs.get(image)) for image in submission.images]
        there = [(image, raw) for image, raw in read if raw is not None]
        for (image, _), seen in zip(there, await self._pool.run(sending.see, [raw for _, raw in there]), strict=True):
            examined.findings += self._wrong(key, image, seen)
            if seen.kind == "seen":
                bands = alike.picture_bands(seen.hash)
                examined.pictures.append(Picture(key, image, _owner(submission), seen.hash, bands))

    def _wrong(self, key: str, image: str, seen: Seen) -> list[Finding]:
        if seen.kind == "blank":
            return [Finding(key, "pictures", BLANK, f"{image} shows nothing", "picture_blank")]
        if seen.kind != "seen":
            return [Finding(key, "pictures", 1.0, f"{image} is a {seen.kind}", "picture_unreadable")]
        if any(alike.distance(seen.hash, blocked) <= BLOCKED_BITS for blocked in self._blocked):
            return [Finding(key, "pictures", 1.0, f"{image} is blocked", "picture_blocked")]
        return []

    async def _others(self, submission: Submission) -> list[Finding]:
        """What other plugins find. One that fails lets nothing pass, and holds up nothing else: a person looks."""
        try:
            found: list[Finding] = await self._extensions.check("moderation_checks", submissions=[submission])
        except ExtensionError as error:
            log.exception("moderation.check_failed", plugin=error.plugin)
            return [Finding(submission.content.key, error.plugin, self._config.hold, "the check failed", "unchecked")]
        return [finding for finding in found if finding.key == submission.content.key]

    # ── within the unit that judges ──────────────────────────────────────────────────────────────────────────

    async def compare(self, uow: UnitOfWork, submission: Submission, examined: Examined) -> list[Finding]:
        """What was found, and what it is like; who judges takes turns, so that of two alike one is the second."""
        found = list(examined.findings)
        key = submission.content.key
        if examined.text is not None:
            for other in await self._likeness.texts_like(uow, examined.text):
                share = alike.share(examined.text.signature, other.signature)
                if share >= self._config.alike:
                    detail = f"{share:.0%} of {other.subject}"
                    found.append(Finding(key, "texts", COPIED, detail, "copied"))
                    break
        for picture in await self._likeness.pictures_like(uow, examined.pictures):
            if any(alike.distance(one.hash, picture.hash) <= NEAR_BITS for one in examined.pictures):
                detail = f"as {picture.key} of {picture.subject}"
                found.append(Finding(key, "pictures", COPIED, detail, "picture_copied"))
                break
        if await self._is_outlier(uow, submission):
            found.append(Finding(key, "prices", prices.SCORE, "far from those of its category", "price"))
        return found

    async def _is_outlier(self, uow: UnitOfWork, submission: Submission) -> bool:
        price, category = submission.price, submission.category_id
        if "prices" not in self._on or price is None or category is None:
            return False
        return prices.is_outlier(prices.step_of(price), await self._likeness.steps(uow, category, price.currency))

    async def remember(self, uow: UnitOfWork, submission: Submission, examined: Examined) -> None:
        """What was approved is what others are compared with."""
        key, price, category = submission.content.key, submission.price, submission.category_id
        await self._likeness.put(uow, key, examined.text, examined.pictures)
        if "prices" in self._on and price is not None and category is not None:
            await self._likeness.put_price(uow, key, category, price.currency, prices.step_of(price))


def _owner(submission: Submission) -> str:
    """Whose it is: what is like it is no copy where it is the same shop's, or the same author's."""
    return submission.seller_id or submission.author_id or submission.content.key
