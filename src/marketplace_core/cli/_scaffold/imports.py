"""Names in the order that style asks for, in imports and ``__all__``: templates do not know what they will be."""

from __future__ import annotations

import re

__all__ = ["kind_of", "tidy"]

_IMPORT = re.compile(r"from (?P<module>[\w.]+) import (?P<names>[\w, ]+|\((?:\s*\w+,\n)+\))\n")

_ALL = re.compile(r"__all__ = \[(?P<names>[^\]\n]+)\]")


def tidy(text: str, package: str) -> str:
    """``text`` with the imports from ``package`` by module, and what each imports, or it exports, by kind and name."""
    own = re.compile(rf"(?:from {package}\b[\w.]* import (?:[\w, ]+|\((?:\s*\w+,\n)+\))\n)+")
    text = own.sub(lambda block: _sorted(block[0]), text)
    return _ALL.sub(lambda found: f"__all__ = [{_names(found['names'])}]", text)


def _sorted(block: str) -> str:
    found = sorted(_IMPORT.finditer(block), key=lambda each: each["module"])
    return "".join(f"from {each['module']} import {_names(each['names'])}\n" for each in found)


def _names(text: str) -> str:
    names = sorted(re.findall(r"\"?\w+\"?", text), key=lambda name: (kind_of(name), name.lower(), name))
    return f"(\n{''.join(f'    {name},{chr(10)}' for name in names)})" if "(" in text else ", ".join(names)


def kind_of(quoted: str) -> int:
    """Constants, then classes, then the rest."""
    name = quoted.strip('"')
    return 0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2
