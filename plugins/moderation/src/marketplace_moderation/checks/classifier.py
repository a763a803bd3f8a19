"""A classifier of texts that a marketplace trains on its own examples: linear, over words, pairs and parts of them.

Learning imports scikit-learn, by itself and only then; what was learnt is numbers by feature, telling by them needs nothing.
"""

from __future__ import annotations

import functools
import itertools
import math
import random
import re
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from marketplace_core.capabilities.moderation import Finding
from marketplace_moderation.checks.folding import Written
from marketplace_moderation.checks.remembering import Remembered

__all__ = ["Figures", "Model", "NoExamples", "check_classifier", "evaluate", "learn", "read_examples"]

Example = tuple[bool, str]
"""Whether it is bad, and the text."""

_WORD = re.compile(r"[^\W\d_]+|\d+|[^\s\w]")
_PART = 4
#: Of so many good examples one may be called bad.
_FALSE_ALARMS = 1 / 2000
#: Where good and bad are far apart the threshold is not at the very edge of the good ones.
_LOWEST = -0.1
#: How fast the score rises beyond the threshold, where it is one half.
_STEEP = 3.0


class NoExamples(ValueError):
    """A file that nothing can be learnt from; says why."""


class Model(Struct, frozen=True, dict=True):
    """What was learnt: ``weights`` by feature, and from which sum on a text is called bad."""

    weights: dict[str, float]
    bias: float
    threshold: float

    @functools.cached_property
    def _pairs(self) -> dict[tuple[str, str], float]:
        """The weights of words that stand beside each other: what has a space within."""
        split = ((feature.partition(" "), weight) for feature, weight in self.weights.items())
        return {(one, other): weight for (one, space, other), weight in split if space}

    @functools.cached_property
    def _numbers(self) -> tuple[dict[str, int], list[float]]:
        """Of all other features a number, and the weights by it: numbers are told from each other faster than texts."""
        parts = {feature: weight for feature, weight in self.weights.items() if " " not in feature}
        return {feature: number for number, feature in enumerate(parts)}, list(parts.values())

    @functools.cached_property
    def _known(self) -> Remembered[tuple[int, ...]]:
        """Of what is between two spaces, the features that have a weight."""
        numbers, _ = self._numbers
        return Remembered(lambda word: tuple([numbers[part] for part in _parts(word) if part in numbers]))

    def score(self, text: str) -> float:
        """From 0 to 1; one half at the threshold."""
        split = text.casefold().split()
        words = itertools.chain.from_iterable(map(_TOKENS.__getitem__, split))
        pairs = self._pairs.keys() & itertools.pairwise(words)
        parts: set[int] = set().union(*map(self._known.__getitem__, set(split)))
        sum_ = self.bias
        if count := len(pairs) + len(parts):
            weights = sum(map(self._numbers[1].__getitem__, parts)) + sum(map(self._pairs.__getitem__, pairs))
            sum_ += weights / math.sqrt(count)
        return 1 / (1 + math.exp(-_STEEP * (sum_ - self.threshold)))

    def encoded(self) -> bytes:
        return msgspec.msgpack.encode(self)

    @staticmethod
    def decoded(body: bytes) -> Model:
        return msgspec.msgpack.decode(body, type=Model)


class Figures(Struct, frozen=True):
    """Of those that were not learnt from; ``false_alarms`` is the share of good ones that were called bad."""

    precision: float
    recall: float
    f1: float
    false_alarms: float


def check_classifier(texts: Sequence[Written], model: Model | None) -> list[Finding]:
    """Nothing without a model."""
    if model is None:
        return []
    scores = [(written.key, model.score(written.text)) for written in texts]
    return [
        Finding(key, "classifier", round(score, 3), "like what was rejected before", "spam")
        for key, score in scores
        if score >= 0.5
    ]


def read_examples(lines: Iterable[str]) -> list[Example]:
    """Of lines ``label<TAB>text``. ``ham`` and ``good`` are good, any other label is bad.

    :raises NoExamples: a line has no tab, or not both kinds are there ten times.
    """
    found = []
    for number, line in enumerate(lines, start=1):
        label, tab, text = line.rstrip("\r\n").partition("\t")
        if not tab:
            raise NoExamples(f"line {number} is no label, tab and text")
        found.append((label.strip().casefold() not in {"ham", "good"}, text))
    if min(sum(bad for bad, _ in found), sum(not bad for bad, _ in found)) < 10:
        raise NoExamples("there are not ten good and ten bad texts")
    return found


def learn(examples: Sequence[Example], seed: int = 1) -> Model:
    """The same for the same examples and seed. Takes seconds, and much memory: in a process of its own."""
    import numpy as np  # noqa: PLC0415 - see above
    from sklearn.feature_extraction.text import CountVectorizer  # noqa: PLC0415
    from sklearn.model_selection import StratifiedKFold, cross_val_predict  # noqa: PLC0415
    from sklearn.preprocessing import normalize  # noqa: PLC0415
    from sklearn.svm import LinearSVC  # noqa: PLC0415

    counting = CountVectorizer(analyzer=_features, binary=True, min_df=2)
    given = normalize(counting.fit_transform([text for _, text in examples]).astype(float))
    bad = np.array([is_bad for is_bad, _ in examples])
    machine = LinearSVC(random_state=seed)
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    good = np.sort(cross_val_predict(machine, given, bad, cv=folds, method="decision_function")[~bad])
    machine.fit(given, bad)
    weights = {name: round(float(machine.coef_[0][at]), 5) for name, at in counting.vocabulary_.items()}
    threshold = max(float(good[-1 - int(len(good) * _FALSE_ALARMS)]) + 1e-6, _LOWEST)
    return Model(weights, float(machine.intercept_[0]), threshold)


def evaluate(examples: Sequence[Example], seed: int = 1) -> Figures:
    """Learn from one half, by chance, and try the other."""
    mixed = list(examples)
    random.Random(seed).shuffle(mixed)  # noqa: S311 - no secret
    half = len(mixed) // 2
    model = learn(mixed[:half], seed)
    called = [(bad, model.score(text) >= 0.5) for bad, text in mixed[half:]]
    hits = sum(bad and called_bad for bad, called_bad in called)
    alarms = sum(called_bad for _, called_bad in called)
    bad_ones = sum(bad for bad, _ in called)
    return Figures(
        precision=round(hits / alarms, 4) if alarms else 0.0,
        recall=round(hits / bad_ones, 4) if bad_ones else 0.0,
        f1=round(2 * hits / (alarms + bad_ones), 4) if alarms + bad_ones else 0.0,
        false_alarms=round((alarms - hits) / max(len(called) - bad_ones, 1), 6),
    )


def _split(text: str) -> tuple[set[str], set[str]]:
    """What stands between spaces, and the words that stand beside each other, each once."""
    split = text.casefold().split()
    words = itertools.chain.from_iterable(map(_TOKENS.__getitem__, split))
    return set(split), {f"{one} {other}" for one, other in itertools.pairwise(words)}


def _tokens(word: str) -> tuple[str, ...]:
    """The words and signs of what is between two spaces; a number is told by its length."""
    return tuple([f"#{len(found)}" if found.isdigit() else found for found in _WORD.findall(word)])


def _parts(word: str) -> list[str]:
    """What is between two spaces by its words, and by parts of four signs."""
    padded = f"~{word}~"
    return [*_tokens(word), *(padded[at : at + _PART] for at in range(len(padded) - _PART + 1))]


def _features(text: str) -> list[str]:
    words, pairs = _split(text)
    return [*pairs, *(part for word in sorted(words) for part in _parts(word))]


_TOKENS = Remembered(_tokens)
