"""A provider of a capability that there is: its port's methods with their signatures, still to be written.

The rest is that of a plugin with a capability of its own, but for what only that port can do: add entries, and show them.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec

from marketplace_core import capabilities
from marketplace_core.cli._scaffold.imports import kind_of
from marketplace_core.events import EVENTS

__all__ = ["provider_of"]

#: Files that only a capability of its own has.
_OWN = ("keepsake.py", "router.py", "tests/test_router.py", "tests/test_service.py", "tests/conftest.py")
_SUITES = "marketplace_core.testing.contracts"
_LONGEST = 128
#: What the service has besides.
_SERVICE = {
    "marketplace_core.capabilities.catalog": ("ProductChanged",),
    "marketplace_core.errors": ("Unavailable",),
    "marketplace_core.metrics": ("Counter",),
    "marketplace_core.ports": ("UnitOfWork", "Units", "handler", "natural"),
    "msgspec": ("Struct",),
}


def provider_of(capability: str, port: type, own: Mapping[str, str], others: Mapping[str, str]) -> dict[str, str]:
    """Files by path of a provider of ``port``: ``own`` of a plugin with a capability of its own, but for ``others``."""
    texts = {path: text for path, text in own.items() if not path.endswith(_OWN)} | dict(others)
    module = capabilities.load_all()[capability].__name__
    service = next(path for path in texts if path.endswith("/service.py"))
    texts[service] = _with_methods(texts[service], port, module)
    suite = f"{_SUITES}.{capability}"
    if find_spec(suite) is None:
        del texts["tests/test_contract.py"]
    events = "; ".join(f"`{type_}`" for type_, event in sorted(EVENTS.items()) if event.topic == capability)
    words = {
        "CAPABILITY_MODULE": module,
        "SUITE_MODULE": suite,
        "SuiteContract": f"{port.__name__}Contract",
        "EVENTS_OUT": f"| events out | {events} |\n" if events else "",
        "CAPABILITY_NAME": capability,
        '["catalog", "wishlist"]': '["wishlist"]',
        '["auth", "wishlist"]': '["wishlist"]' if capability == "auth" else '["auth", "wishlist"]',
    }
    return {path: re.sub("|".join(map(re.escape, words)), lambda found: words[found[0]], text) for path, text in texts.items()}


def _with_methods(text: str, port: type, module: str) -> str:
    names = sorted(getattr(port, "__abstractmethods__", ()), key=lambda name: inspect.getsourcelines(getattr(port, name))[1])
    methods = [_method(name, inspect.signature(getattr(port, name))) for name in names]
    imports = {where: set(words) for where, words in _SERVICE.items()}
    for where, word in _imports({word for method in methods for word in _words(method)}, port, module):
        imports.setdefault(where, set()).add(word)
    imports.setdefault(module, set()).add(port.__name__)
    return text.replace("#: imports\n", _written(imports)).replace("    #: methods\n", "\n".join(methods))


def _written(imports: Mapping[str, set[str]]) -> str:
    """Those of the standard library first, each block by module."""
    blocks: dict[bool, list[str]] = {True: [], False: []}
    for where in sorted(imports):
        names = sorted(imports[where], key=lambda name: (kind_of(name), name.lower(), name))
        line = f"from {where} import {', '.join(names)}\n"
        if len(line) > _LONGEST:
            line = f"from {where} import (\n{''.join(f'    {name},{chr(10)}' for name in names)})\n"
        blocks[where.partition(".")[0] in sys.stdlib_module_names].append(line)
    return "\n".join("".join(lines) for lines in blocks.values() if lines)


def _method(name: str, signature: inspect.Signature) -> str:
    parameters = [str(parameter).replace("'", "") for parameter in signature.parameters.values()]
    returned = str(signature.return_annotation).replace("'", "")
    line = f"    async def {name}({', '.join(parameters)}) -> {returned}:"
    if len(line) > 100:
        listed = "".join(f"        {parameter},\n" for parameter in parameters)
        line = f"    async def {name}(\n{listed}    ) -> {returned}:"
    return f'{line}\n        raise Unavailable("{name} is still to be written.")\n'


def _words(method: str) -> Iterator[str]:
    for node in ast.walk(ast.parse("class C:\n" + method)):
        if isinstance(node, ast.Name):
            yield node.id


def _imports(used: set[str], port: type, module: str) -> Iterator[tuple[str, str]]:
    """Module and name: as the port's own module imports it; what belongs to the capability is from ``module``."""
    source = sys.modules[port.__module__]
    known = {
        alias.asname or alias.name: node.module or ""
        for node in ast.walk(ast.parse(inspect.getsource(source)))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for word in used:
        if word in vars(source) or word in known:
            where = known.get(word, module)
            yield (module if where.startswith(f"{module}.") else where), word
