"""SQL scripts, statement by statement: as far as quotes, comments and bodies of functions must be told from what ends one."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["outside", "outside_schema", "schema_of", "split_statements"]

#: What may hold a semicolon, or a word, that does not count; then words, and what ends a statement.
_TOKEN = re.compile(
    r"""--[^\n]*|/\*.*?\*/|(?P<dollar>\$(?:[A-Za-z_]\w*)?\$).*?(?P=dollar)|[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"
    |(?P<word>[A-Za-z_]\w*)|(?P<end>;)""",
    re.DOTALL | re.VERBOSE,
)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|(?P<dollar>\$(?:[A-Za-z_]\w*)?\$).*?(?P=dollar)", re.DOTALL)


def schema_of(kept: str) -> str:
    """The schema of ``<plugin>`` or ``<plugin>.<role>``."""
    return kept.replace(".", "_")


def split_statements(script: str) -> list[str]:
    """The statements of a script, without what ends them; nothing of what stands in quotes or bodies ends one."""
    found: list[str] = []
    start = depth = 0
    before = ""
    for token in _TOKEN.finditer(script):
        word = (token["word"] or "").upper()
        if word == "ATOMIC" and before == "BEGIN":
            depth = 1
        elif depth and word in ("CASE", "END"):
            depth += 1 if word == "CASE" else -1
        elif token["end"] and not depth:
            found.append(script[start : token.start()])
            start = token.end()
        before = word or before
    found.append(script[start:])
    return [text for text in map(str.strip, found) if _COMMENT.sub("", text).strip()]


_NAME = r'(?P<name>(?:"[^"]+"|\w+)(?:\s*\.\s*(?:"[^"]+"|\w+))?)'
_OPTIONS = r"(?:CONCURRENTLY\s+)?(?:IF\s+(?:NOT\s+)?EXISTS\s+)?(?:ONLY\s+)?"
_KINDS = (
    r"(?:UNLOGGED\s+)?TABLE|(?:MATERIALIZED\s+|OR\s+REPLACE\s+)?VIEW|SEQUENCE|TYPE|DOMAIN"
    r"|(?:OR\s+REPLACE\s+)?(?:FUNCTION|PROCEDURE)"
)
_TOUCHES = (
    re.compile(rf"(?:CREATE|ALTER|DROP)\s+(?:{_KINDS})\s+{_OPTIONS}{_NAME}", re.IGNORECASE),
    re.compile(rf"CREATE\s+(?:UNIQUE\s+)?INDEX\s.*?\bON\s+(?:ONLY\s+)?{_NAME}", re.IGNORECASE | re.DOTALL),
    re.compile(rf"(?:ALTER|DROP)\s+INDEX\s+{_OPTIONS}{_NAME}", re.IGNORECASE),
    re.compile(rf"(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM|TRUNCATE(?:\s+TABLE)?)\s+(?:ONLY\s+)?{_NAME}", re.IGNORECASE),
)
_SCHEMA = re.compile(r"(?:CREATE|ALTER|DROP)\s+SCHEMA\s+(?:IF\s+(?:NOT\s+)?EXISTS\s+)?(?P<name>\"[^\"]+\"|\w+)", re.IGNORECASE)


def outside(script: str, schema: str) -> Iterator[str]:
    """What a script makes, changes or fills that is not in ``schema``: the names as they are written."""
    for statement in split_statements(script):
        bare = _COMMENT.sub(" ", statement).strip()
        if (match := _SCHEMA.match(bare)) is not None and match["name"].strip('"') != schema:
            yield match["name"]
        for touched in _TOUCHES:
            if (match := touched.match(bare)) is not None:
                parts = [part.strip().strip('"') for part in re.split(r"\.", match["name"])]
                if len(parts) == 1 or parts[0] != schema:
                    yield match["name"]


def outside_schema(script: str, kept: str) -> Iterator[tuple[str, str]]:
    """What a script of ``<plugin>`` or ``<plugin>.<role>`` touches outside of its schema, and how it is called inside."""
    schema = schema_of(kept)
    for touched in outside(script, schema):
        yield touched, f"{schema}.{touched.rpartition('.')[2]}"
