"""What moderation's checks take of one core, and how well its classifier tells good texts from bad ones."""

from __future__ import annotations

import random
import statistics
import time
from pathlib import Path

from figures import Bench, Line, figure
from marketplace_moderation.checks import likeness
from marketplace_moderation.checks.classifier import evaluate, learn, read_examples
from marketplace_moderation.checks.folding import read
from marketplace_moderation.config import ModerationConfig
from marketplace_moderation.examining import Texts

from marketplace_core.capabilities.moderation import Content, Submission

EXAMPLES = Path(__file__).parents[2].parent / "shared" / "data" / "sms_spam" / "sms.tsv"
LENGTH = 500


@figure("moderation")
async def moderation(bench: Bench) -> list[Line]:
    """Listings a second that one process checks, the classifier and signatures of texts included; and its errors."""
    if not EXAMPLES.is_file():
        return [Line(name="moderation", unit="", ours=[0.0], note=f"{EXAMPLES} is not there")]
    with EXAMPLES.open(encoding="utf-8", newline="\n") as lines:
        examples = read_examples(lines)
    began = time.perf_counter()
    model = learn(examples)
    training = time.perf_counter() - began
    texts = Texts(ModerationConfig())
    listings = _listings([text for bad, text in examples if not bad], 1_000 if bench.quick else 10_000)
    rates, by_processor = [], []
    for _ in range(bench.runs):
        began, used = time.perf_counter(), time.process_time()
        written = read(listings)
        texts.check(written, model)
        likeness.signatures([one.low for one in written])
        rates.append(len(listings) / (time.perf_counter() - began))
        by_processor.append(len(listings) / (time.process_time() - used))
    bench.say("classifier")
    figures = [evaluate(examples, seed) for seed in range(1, 3 if bench.quick else 11)]
    return [
        Line(
            name="listings checked", unit="/s", ours=rates, at_least=2_000.0, note=f"{len(listings):,} of {LENGTH} characters"
        ),
        Line(name="… in a second of the processor", unit="/s", ours=by_processor, note="what others do meanwhile is not in it"),
        Line(name="classifier: F1", unit="", ours=[statistics.mean(one.f1 for one in figures)], at_least=0.96),
        Line(
            name="classifier: false alarms",
            unit="%",
            ours=[100 * statistics.mean(one.false_alarms for one in figures)],
            at_most=0.1,
        ),
        Line(name="classifier: training", unit="s", ours=[training], at_most=20.0),
    ]


def _listings(texts: list[str], count: int) -> list[Submission]:
    """Of words that people use, as long as a seller's are."""
    dice = random.Random(1)
    words = [word for text in texts for word in text.split()]
    return [
        Submission(
            content=Content("product", str(number), 1),
            cause="new",
            author_id=None,
            snapshot={"description": " ".join(dice.choices(words, k=LENGTH // 4))[:LENGTH]},
        )
        for number in range(count)
    ]
