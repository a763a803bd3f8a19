"""``marketplace moderation train``, ``evaluate`` and ``verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import asdict

from marketplace_core.capabilities.moderation import AuditState, Moderation
from marketplace_core.commands import DATA, Data, Failed, Json, Marketplace, OnFile, on_marketplace, print_json
from marketplace_moderation.checks.classifier import Example, NoExamples, evaluate, read_examples

if TYPE_CHECKING:
    from marketplace_moderation.service import ModerationService

app = typer.Typer()
moderation = typer.Typer(help="What judges the content of a marketplace, and what was decided.")
app.add_typer(moderation, name="moderation")

REMEDY = "name a deployment that has the plugin moderation"
EXAMPLES = "One text a line: its label (ham: good, anything else: bad), a tab, the text."
BATCH = 10_000

Examples = Annotated[Path, typer.Argument(metavar="EXAMPLES", help=EXAMPLES)]


@moderation.command()
def train(source: Examples, file: OnFile = None, data: Data = DATA, json: Json = False) -> int:
    """Have the classifier learn anew from these texts, and judge by what it has learnt from now on."""
    examples = _read(source)

    async def act(market: Marketplace) -> int:
        return await _service(market).train(examples)

    found = on_marketplace(file, data, act)
    if json:
        print_json({"examples": len(examples), "features": found})
    else:
        print(f"{found} features of {len(examples)} texts")
    return 0


@moderation.command(name="evaluate")
def evaluate_(
    source: Examples,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**31 - 1, help="The same seed gives the same figures.")] = 1,
    json: Json = False,
) -> int:
    """What the classifier makes of one half of these texts once it has learnt the other. No server is needed."""
    figures = evaluate(_read(source), seed)
    if json:
        print_json(figures)
    else:
        for name, value in asdict(figures).items():
            print(f"{name}: {value}")
    return 0


@moderation.command()
def verify(file: OnFile = None, data: Data = DATA, json: Json = False) -> int:
    """Follow the audit from its first entry to its last. Exit 1 if one is not as it was written.

    Who rewrites all of it has another last hash: note it elsewhere from time to time.
    """

    async def act(market: Marketplace) -> AuditState:
        service, state = _service(market), AuditState(0, "", None)
        while True:
            before, state = state, await service.verify_audit(state.entries, state.head, BATCH)
            if state.broken_at is not None or state.entries - before.entries < BATCH:
                return state

    found = on_marketplace(file, data, act)
    if json:
        print_json(found)
    elif found.broken_at is None:
        print(f"{found.entries} entries are as they were written; the last hash is {found.head or 'none'}")
    else:
        print(f"entry {found.broken_at} is not as it was written")
    return 0 if found.broken_at is None else 1


def _read(source: Path) -> list[Example]:
    try:
        with source.open(encoding="utf-8", newline="\n") as lines:
            return read_examples(lines)
    except (NoExamples, OSError, UnicodeDecodeError) as error:
        raise Failed(f"{source}: {error}", "give a file with a label, a tab and a text in each line", 2) from error


def _service(market: Marketplace) -> ModerationService:
    from marketplace_moderation.service import ModerationService  # noqa: PLC0415

    try:
        service = market.port(Moderation)
    except LookupError as error:
        raise Failed(str(error), REMEDY) from error
    if not isinstance(service, ModerationService):
        raise Failed(f"moderation comes from a {type(service).__name__}", REMEDY)
    return service
