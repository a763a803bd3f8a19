"""Ways around the marketplace: links, mail addresses, telephone numbers, and names of messengers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from marketplace_core.capabilities.moderation import Finding
from marketplace_moderation.checks.folding import Written

__all__ = ["check_contact"]

SCORE = 0.6

_AT = r"(?:@|\s*[(\[{]\s*(?:at|arroba|a)\s*[)\]}]\s*|\s+(?:at|arroba)\s+)"
_DOT = r"(?:\.|\s*[(\[{]\s*(?:dot|punkt|punto|ponto|point)\s*[)\]}]\s*|\s+(?:dot|punkt|punto|ponto)\s+)"
_ENDS = "com|net|org|info|biz|shop|store|online|site|xyz|io|ru|de|fr|pt|br|uk|nl|pl|ch|eu|link|top|club"
#: Words of several languages: where a sentence's end has no space behind it they make no host.
_WORDS = "co|me|es|it|at|us|to|is"
_MAIL = re.compile(rf"[a-z0-9._%+-]+{_AT}(?P<host>[a-z0-9-]+(?:{_DOT}[a-z0-9-]+)*{_DOT}(?:{_ENDS}|{_WORDS}))(?![a-z0-9-])")
#: Most texts are told by these to have neither mail nor link. A pattern that begins by a sign is sought fastest.
_MAY_BE_MAIL = re.compile(r"[\s(\[{](?:at|a)[\s)\]}]+[a-z0-9-]+(?:\.[a-z]|\s*[\s(\[{](?:dot|punkt|punto|ponto|point)\b)")
_MAY_BE_LINK = re.compile(rf"\.(?:{_ENDS})")
_DIGIT, _DIGITS = re.compile(r"\d"), 7
_LINK = re.compile(
    rf"(?:https?://|www\.)(?P<host>[^\s/:?#<>\"]+)|(?<![a-z0-9@._-])(?P<bare>(?:[a-z0-9-]{{2,}}\.)+(?:{_ENDS}))(?![a-z0-9.-]*[a-z0-9])"
)
#: With a country's or a trunk's prefix and in groups, or after a word that says so. Other long numbers are of articles.
_PHONE = re.compile(
    r"(?<![\w+])(?:\+|00)[1-9](?:[ ()./-]{0,2}\d){7,13}(?!\d)"
    r"|(?<![\w+])\(?0\d{1,4}\)?[ /-]{1,3}\d(?:[ ./-]?\d){5,9}(?!\d)"
    r"|(?<![\w+])\(\d{2,3}\) ?\d{3,5}[ .-]?\d{4}(?!\d)"
    r"|(?:\btel|phone|call|mobile|handy|ligue|llama|zap|fone|appelez|ruf)\w*\W{0,3}(?:\w+\W+){0,2}(?:\d[ ./-]?){7,12}"
)
_DATE = re.compile(r"\d{1,2}([/.-])\d{1,2}\1\d{2,4}")
_MESSENGERS = frozenset(
    ["whatsapp", "whatsap", "watsapp", "telegram", "wechat", "weixin", "viber", "skype", "snapchat", "kakaotalk"]
)
_APART = re.compile(r"\b(?:what'?s app|zap zap|line id|signal (?:me|app|messenger)|wa\.me|t\.me)\b")
#: One of them stands in each of those.
_MAY_BE_APART = ("s app", "zap zap", "line id", "signal ", "wa.me", "t.me")


def check_contact(texts: Sequence[Written], allowed: frozenset[str]) -> list[Finding]:
    """``allowed`` are hosts that may be named, with those below them."""
    found = []
    for written in texts:
        used = list(dict.fromkeys(_contacts(written.low, written.words, allowed)))
        if used:
            found.append(Finding(written.key, "contact", SCORE, ", ".join(used), "contact"))
    return found


def _contacts(text: str, words: set[str], allowed: frozenset[str]) -> Iterator[str]:
    for match in _MAIL.finditer(text) if "@" in text or "arroba" in text or _MAY_BE_MAIL.search(text) else ():
        if not _is_allowed(re.sub(rf"{_DOT}", ".", match["host"]), allowed):
            yield f"mail {match[0]}"
    for match in _LINK.finditer(text) if "://" in text or "www." in text or _MAY_BE_LINK.search(text) else ():
        host = match["host"] or match["bare"]
        if not _is_allowed(host.removeprefix("www."), allowed):
            yield f"link {host}"
    for match in _PHONE.finditer(text) if len(_DIGIT.findall(text)) >= _DIGITS else ():
        if not _DATE.fullmatch(match[0].strip()):
            yield f"telephone {match[0].strip()}"
    for name in sorted(words & _MESSENGERS):
        yield f"messenger {name}"
    for match in _APART.finditer(text) if any(part in text for part in _MAY_BE_APART) else ():
        yield f"messenger {match[0]}"


def _is_allowed(host: str, allowed: frozenset[str]) -> bool:
    parts = host.split(".")
    return any(".".join(parts[start:]) in allowed for start in range(len(parts)))
