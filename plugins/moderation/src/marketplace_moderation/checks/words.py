"""Banned words, by language: whole words, also where signs stand for letters or spaces between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from marketplace_core.capabilities.moderation import Finding
from marketplace_moderation.checks.folding import Written, folded

__all__ = ["BANNED", "banned_words", "check_words"]

SCORE = 0.7

#: Insults and slurs that have no other meaning, folded. A deployment adds its own.
BANNED: Mapping[str, str] = {
    "en": "fuck fucker fucking motherfucker cunt nigger nigga faggot whore slut wanker retard kike",
    "de": "arschloch hurensohn fotze wichser hure schlampe missgeburt kanake neger schwuchtel fick ficken",
    "es": "puta hijoputa cabron gilipollas maricon zorra mierda pendejo",
    "fr": "putain salope connard connasse encule batard negre pute",
    "pt": "puta caralho foder fodase filhodaputa arrombado viado cuzao buceta",
}


def banned_words(more: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Each banned word, folded, with its language; ``more`` by language."""
    found = {word: language for language, words in BANNED.items() for word in words.split()}
    return found | {folded(word): language for language, words in more.items() for word in words}


def check_words(texts: Sequence[Written], banned: Mapping[str, str]) -> list[Finding]:
    found = []
    for written in texts:
        used = sorted(written.words & banned.keys())
        if used:
            detail = ", ".join(f"{word} ({banned[word]})" for word in used)
            found.append(Finding(written.key, "words", SCORE, detail, "words"))
    return found
