"""What is kept of words has a bound, whoever writes them, and changes nothing."""

from __future__ import annotations

import unicodedata

import pytest
from marketplace_moderation.checks import remembering
from marketplace_moderation.checks.folding import folded, words_of
from marketplace_moderation.checks.remembering import LONGEST, Remembered


def test_no_more_is_kept_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembering, "MOST", 3)
    made: list[str] = []

    def make(word: str) -> str:
        made.append(word)
        return word.upper()

    remembered, long = Remembered(make), "x" * (LONGEST + 1)
    asked = ["a", "b", "a", long, long, "c", "d"]
    assert [remembered[word] for word in asked] == [word.upper() for word in asked]
    assert made == ["a", "b", long, long, "c", "d"], "what is short is made once"
    assert dict(remembered) == {"d": "D"}, "and none that is long is kept"


@pytest.mark.parametrize(
    "text", ["Ça été", "\ufb01n \u00bd", "e\u0301te\u0301", "\uff26ULL", "\u00c4\u00a0\u00df", "\u1e9b\u0323"]
)
def test_a_text_is_folded_in_parts_as_it_is_whole(text: str) -> None:
    whole = unicodedata.normalize("NFKD", text.casefold())
    assert folded(text) == "".join(sign for sign in whole if not unicodedata.combining(sign))


def test_letters_that_stand_too_often_are_one_in_disguise_too() -> None:
    assert {"fuuuck", "fuck"} <= words_of("f u u u c k")
    assert "fuck" in words_of("fuuuuck") and "arsch" in words_of("4rrrsch")
