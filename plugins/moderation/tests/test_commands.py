"""``marketplace moderation``, service levels, and authors that are told."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from marketplace_moderation import commands
from msgspec.structs import replace

from marketplace_core.capabilities.moderation import (
    AppealDraft,
    Author,
    AuthorTold,
    Content,
    Moderation,
    QueueQuery,
    Submission,
)
from marketplace_core.extensions import Extensions
from marketplace_core.metrics import exposition
from marketplace_core.testing._forks import command
from marketplace_core.testing.contracts.moderation_acts import ADA, APPROVE, held, rejected, submission, told
from marketplace_core.testing.marketplace import Marketplace
from plugins.moderation.tests.test_checks import made_up


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mp-") as folder:  # not pytest's: PostgreSQL's user could not pass it
        Path(folder).chmod(0o711)
        yield Path(folder, "data")


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    path = tmp_path / "examples.tsv"
    path.write_text("".join(f"{'spam' if bad else 'ham'}\t{text}\n" for bad, text in made_up()))
    return path


@pytest_asyncio.fixture
async def on_this(market: Marketplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands find the test's marketplace, rather than to start one."""
    loop = asyncio.get_running_loop()

    def act_on(_: object, __: object, act: Callable[[Any], Awaitable[Any]]) -> Any:
        return asyncio.run_coroutine_threadsafe(act(market), loop).result(60)  # type: ignore[arg-type]

    monkeypatch.setattr(commands, "on_marketplace", act_on)


def test_commands_by_themselves(data: Path, examples: Path, tmp_path: Path) -> None:
    def run(*arguments: object) -> tuple[int, str, str]:
        done = command("moderation", *arguments)
        return done.returncode, done.stdout, done.stderr

    code, shown, errors = run("evaluate", examples, "--seed", 3, "--json")
    assert code == 0, errors
    assert json.loads(shown) == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "false_alarms": 0.0}
    (bad := tmp_path / "bad.tsv").write_text("no tab\n")
    for act in (("evaluate", bad), ("train", bad, "--data", data), ("evaluate", tmp_path / "none.tsv")):
        code, _, errors = run(*act)
        assert code == 2 and str(act[1]) in errors and "a tab and a text" in errors
    code, shown, errors = run("verify", "--json", "--data", data)
    assert code == 0, errors
    assert json.loads(shown.splitlines()[-1]) == {"entries": 0, "head": "", "broken_at": None}


@pytest.mark.usefixtures("on_this")
async def test_what_was_learnt_is_judged_by(market: Marketplace, examples: Path, capsys: pytest.CaptureFixture[str]) -> None:
    moderation = market.port(Moderation)

    def spam() -> Submission:
        return replace(submission(), snapshot={"text": "claim a free prize, win a free prize now"})

    assert (await moderation.judge(spam())).verdict == "approved"
    assert await asyncio.to_thread(commands.train, examples, json=True) == 0
    learnt = json.loads(capsys.readouterr().out)
    assert learnt["examples"] == 120 and learnt["features"] > 100
    assert (await moderation.judge(spam())).verdict != "approved"
    assert (await moderation.judge(submission())).verdict == "approved"
    assert await asyncio.to_thread(commands.train, examples) == 0
    assert f"{learnt['features']} features of 120 texts" in capsys.readouterr().out


@pytest.mark.behaviour("moderation-1")
@pytest.mark.usefixtures("on_this")
async def test_verify_ends_with_1_where_the_audit_was_changed(
    market: Marketplace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "BATCH", 2)  # so that it goes on where it ended
    for _ in range(3):
        await rejected(market.port(Moderation))
    assert await asyncio.to_thread(commands.verify) == 0
    assert "6 entries are as they were written" in capsys.readouterr().out
    database = market.process.resources.database("main")
    await database.execute("ALTER TABLE moderation.audit DISABLE TRIGGER USER")
    await database.execute("UPDATE moderation.audit SET entry = replace(entry, 'reject', 'approve') WHERE number = 4")
    assert await asyncio.to_thread(commands.verify) == 1
    assert "entry 4 is not as it was written" in capsys.readouterr().out
    assert await asyncio.to_thread(commands.verify, json=True) == 1
    assert json.loads(capsys.readouterr().out)["broken_at"] == 4


# ── service levels ───────────────────────────────────────────────────────────────────────────────────────────


async def levels() -> dict[str, float]:
    """Moderation's lines of /metrics. Counters of others of this process are in them."""
    text = (await exposition()).decode()
    return {name: float(value) for name, value in re.findall(r"^marketplace_moderation_(\S+) (\S+)$", text, re.MULTILINE)}


@pytest.mark.behaviour("moderation-1")
async def test_service_levels_are_metrics(market: Marketplace) -> None:
    moderation, service = market.port(Moderation), market.process.service("moderation")
    before = await levels()
    await moderation.judge(submission())
    for decision in (APPROVE, None):
        item = await rejected(moderation)
        await moderation.appeal(Author(ADA), item.id, AppealDraft("It is true."))
        if decision is not None:
            await moderation.decide("other", item.id, decision)
    await market.clock.advance(3600)
    await held(moderation)
    await service.measure()
    after = await levels()
    risen = {name: after[name] - before.get(name, 0) for name in after if "_total" in name}
    assert {name: count for name, count in risen.items() if count} == {
        'decisions_total{by="checks",decision="approve"}': 1,
        'decisions_total{by="moderator",decision="approve"}': 1,
        'decisions_total{by="moderator",decision="reject"}': 2,
        'appeals_decided_total{overturned="yes"}': 1,
    }
    assert (after['waiting{status="open"}'], after['waiting{status="appealed"}']) == (1, 1)
    assert 3600 <= after["oldest_seconds"] < 3700
    for waits in (await moderation.list_queue(QueueQuery(status="open"))).items:
        await moderation.decide("other", waits.id, APPROVE)
    for waits in (await moderation.list_queue(QueueQuery(status="appealed"))).items:
        await moderation.decide("other", waits.id, APPROVE)
    await service.measure()
    after = await levels()
    assert (after['waiting{status="open"}'], after['waiting{status="appealed"}'], after["oldest_seconds"]) == (0, 0, 0)


# ── authors ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.behaviour("moderation-1")
async def test_authors_are_told_by_whoever_brings_things_to_people(market: Marketplace) -> None:
    heard: list[AuthorTold] = []

    async def brings(notices: Sequence[AuthorTold]) -> list[Any]:
        heard.extend(notices)
        return []

    async def fails(notices: Sequence[AuthorTold]) -> list[Any]:
        raise RuntimeError("no mail today")

    service: Any = market.process.service("moderation")
    item = await rejected(market.port(Moderation))
    [notice] = await told(market, AuthorTold)
    assert (notice.content, notice.approved) == (Content("review", item.subject_id, 1), False)
    assert (notice.author_id, notice.reason_code, notice.appealable) == (ADA, "abuse", True)
    service._extensions = Extensions({"notify_authors": [("mail", fails)]}, 1.0)
    with pytest.raises(Exception, match="mail"):
        await market.deliver(Moderation, notice)
    service._extensions = Extensions({"notify_authors": [("mail", brings)]}, 1.0)
    await market.deliver(Moderation, notice)
    assert heard[0] == notice and set(map(repr, heard)) == {repr(notice)}
