"""What the worst of the bodies costs that are made to cost much."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from figures import Bench, Line, figure
from msgspec.structs import fields as fields_of

from marketplace_core._plugins.openapi import routes_of
from marketplace_core._runtime.serve import _settle_memory
from marketplace_core.capabilities.catalog import ProductDraft
from marketplace_core.deployment import DEFAULT_FILE
from marketplace_core.errors import Invalid
from marketplace_core.testing.hostile import BODIES, good
from marketplace_core.validation import decode_json
from marketplace_core.values import AUDIENCES

MOST_MS, TIMES = 30.0, 5


@figure("hostile")
async def hostile(bench: Bench) -> Sequence[Line]:
    """CPU of the slowest of 40 hostile bodies of the largest size, by types that read something of it, beside a good one."""
    kinds = [route.body for audience in AUDIENCES for route in routes_of(DEFAULT_FILE, audience) if route.body is not None]
    bench.say(f"reading {len(BODIES)} bodies by {len(kinds)} types")
    _settle_memory()
    floor = min(_milliseconds(good(), ProductDraft) for _ in range(5))
    took = {
        (name, kind): min(_milliseconds(raw, kind) for _ in range(3))
        for name, raw in BODIES.items()
        for kind in _readers(raw, kinds)
    }
    (name, kind), worst = max(took.items(), key=lambda each: each[1])
    note = f"{name}, by {getattr(kind, '__name__', kind)}; a good one of its size takes {floor:.1f} ms"
    return [Line(name="worst body", unit="ms", ours=[worst], at_most=max(MOST_MS, TIMES * floor), note=note)]


def _readers(raw: bytes, kinds: Sequence[Any]) -> set[Any]:
    """One type for each field that the body begins with; to any other all of it is one unknown field."""
    fields = {field.encode_name: kind for kind in kinds if hasattr(kind, "__struct_fields__") for field in fields_of(kind)}
    return {kind for name, kind in fields.items() if f'"{name}"'.encode() in raw[:40]} | {ProductDraft}


def _milliseconds(raw: bytes, kind: type) -> float:
    began = time.process_time()
    with contextlib.suppress(Invalid, msgspec.DecodeError):
        decode_json(raw, kind)
    return (time.process_time() - began) * 1000
