"""What operators do on a marketplace: its clock, events, jobs and sagas that failed, first accounts."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from marketplace_core.commands import DATA, Data, Failed, Json, OnFile, print_json, print_table
from marketplace_core.errors import Invalid

if TYPE_CHECKING:
    from marketplace_core._runtime.assembly import Process
    from marketplace_core.adapters.redis.clock import RedisClock

app = typer.Typer()
clock = typer.Typer(help="The deployment's time, where it can be moved.", no_args_is_help=True)
events = typer.Typer(help="What plugins tell each other, and what a handler could not apply.", no_args_is_help=True)
dead = typer.Typer(help="List, replay or drop them.", no_args_is_help=True)
jobs = typer.Typer(help="Jobs that failed for good: list, retry or drop them.", no_args_is_help=True)
sagas = typer.Typer(help="Running sagas, and those that need a person.", no_args_is_help=True)
accounts = typer.Typer(help="First accounts of closed audiences.", no_args_is_help=True)
app.add_typer(clock, name="clock")
app.add_typer(events, name="events")
events.add_typer(dead, name="dead")
app.add_typer(jobs, name="jobs")
app.add_typer(sagas, name="sagas")
app.add_typer(accounts, name="accounts")

T = TypeVar("T")


def _on(file: Path | None, data: Path, act: Callable[[Process], Awaitable[T]]) -> T:
    """Run ``act`` on the marketplace; its refusals become one line."""
    from marketplace_core.cli._marketplace import run_on  # noqa: PLC0415

    return run_on(file, data, act)


# ── clock ────────────────────────────────────────────────────────────────────────────────────────────────────


def _movable(process: Process) -> RedisClock:
    from marketplace_core.adapters.redis.clock import RedisClock  # noqa: PLC0415

    if not isinstance(process.clock, RedisClock):
        raise Failed("the clock of this deployment cannot be moved", "start it with --clock movable", 2)
    return process.clock


def _told(now: datetime, json: bool) -> int:
    from marketplace_core.values import utc_text  # noqa: PLC0415

    if json:
        print_json({"now": utc_text(now)})
    else:
        print(utc_text(now))
    return 0


@clock.command()
def show(file: OnFile = None, data: Data = DATA, json: Json = False) -> int:
    """The deployment's time."""

    async def act(process: Process) -> datetime:
        return _movable(process).now()

    return _told(_on(file, data, act), json)


@clock.command()
def advance(
    duration: Annotated[str, typer.Argument(help="Such as 15d, 2h30m, 90s or 90.")],
    file: OnFile = None,
    data: Data = DATA,
    json: Json = False,
) -> int:
    """Move the time of every process and of the simulators on."""
    from marketplace_core.values import seconds_of  # noqa: PLC0415

    try:
        seconds = seconds_of(duration)
    except ValueError as error:
        raise Failed(str(error), "write it like 15d, 2h30m or 90s", 2) from error

    async def act(process: Process) -> datetime:
        now = await _movable(process).advance(seconds)
        await _move_simulators(process)
        return now

    return _told(_on(file, data, act), json)


@clock.command(name="set")
def set_(
    time: Annotated[str, typer.Argument(help="RFC 3339, with its zone; not before the deployment's own.")],
    file: OnFile = None,
    data: Data = DATA,
    json: Json = False,
) -> int:
    """Move the time of every process and of the simulators to TIME."""
    try:
        at = datetime.fromisoformat(time)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise Failed(f"{time!r} is no time", "write it like 2026-01-31T12:00:00Z", 2)

    async def act(process: Process) -> datetime:
        now = await _movable(process).set(at)
        await _move_simulators(process)
        return now

    return _told(_on(file, data, act), json)


async def _move_simulators(process: Process) -> None:
    from marketplace_core._supervisor.simulators import move_clocks  # noqa: PLC0415

    await move_clocks(process.simulators.values(), _movable(process).offset)


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────


@events.command()
def catalogue(file: OnFile = None) -> int:
    """The events of a deployment as an AsyncAPI document, without starting anything."""
    from marketplace_core._plugins.asyncapi import describe  # noqa: PLC0415
    from marketplace_core.deployment import DEFAULT_FILE  # noqa: PLC0415

    print_json(describe(file or DEFAULT_FILE))
    return 0


@dead.command(name="list")
def list_dead(file: OnFile = None, data: Data = DATA, json: Json = False) -> int:
    """The first event of each key that waits, and how many wait behind it. ``again at``: by itself, if somebody was away."""
    from marketplace_core._runtime.operators import AllOperations  # noqa: PLC0415

    found = _on(file, data, lambda process: AllOperations(process).list_parked())
    if json:
        print_json({"items": found})
    else:
        columns = ("id", "handler", "key", "type", "waiting", "attempts", "again at", "error")
        print_table(columns, ((p.id, p.handler, p.key, p.type, p.waiting, p.attempts, p.retry_at, p.error) for p in found))
    return 0


@dead.command()
def replay(id: Annotated[str, typer.Argument(metavar="ID")], file: OnFile = None, data: Data = DATA) -> int:
    """Apply it again, and then all behind it, in order. The worker does it."""
    from marketplace_core._runtime.operators import AllOperations  # noqa: PLC0415

    _on(file, data, lambda process: AllOperations(process).request_parked(id, drop=False))
    return 0


@dead.command()
def drop(id: Annotated[str, typer.Argument(metavar="ID")], file: OnFile = None, data: Data = DATA) -> int:
    """Leave it out, and go on with all behind it. The worker does it."""
    from marketplace_core._runtime.operators import AllOperations  # noqa: PLC0415

    _on(file, data, lambda process: AllOperations(process).request_parked(id, drop=True))
    return 0


# ── jobs ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@jobs.command(name="list")
def list_jobs(file: OnFile = None, data: Data = DATA, json: Json = False) -> int:
    """Jobs that are not tried any more, the oldest first. Of one that cannot be read, ``--json`` shows the bytes."""
    from marketplace_core._runtime.operators import AllOperations  # noqa: PLC0415

    found = _on(file, data, lambda process: AllOperations(process).list_failed_jobs())
    if json:
        print_json({"items": found})
    else:
        columns = ("id", "job", "args", "tries", "at", "error")
        print_table(columns, ((j.id, j.job, j.args, j.tries, j.at, j.error) for j in found))
    return 0


@jobs.command(name="retry")
def retry_job(id: Annotated[str, typer.Argument(metavar="ID")], file: OnFile = None, data: Data = DATA) -> int:
    """Queue it again, with all of its tries. The worker does it."""
    from marketplace_core._runtime.operators import AllOperations  # noqa: PLC0415

    _on(file, data, lambda process: AllOperations(process).release_job(id, drop=False))
    return 0


@jobs.command(name="drop")
def drop_job(id: Annotated[str, typer.Argument(metavar="ID")], file: OnFile = None, data: Data = DATA) -> int:
    """Forget it."""
    from marketplace_core._runtime.operators import AllOperations  # noqa: PLC0415

    _on(file, data, lambda process: AllOperations(process).release_job(id, drop=True))
    return 0


# ── sagas ────────────────────────────────────────────────────────────────────────────────────────────────────


@sagas.command(name="list")
def list_sagas(
    status: Annotated[str | None, typer.Option(help="running, waiting, done, failed or cancelled.")] = None,
    name: Annotated[str | None, typer.Option(help="Such as orders.checkout.")] = None,
    limit: int = 20,
    file: OnFile = None,
    data: Data = DATA,
    json: Json = False,
) -> int:
    """The latest sagas."""
    from marketplace_core.capabilities.orchestrator import Orchestrator, SagaQuery  # noqa: PLC0415
    from marketplace_core.validation import convert  # noqa: PLC0415

    wanted = {"status": status, "name": name, "limit": limit}
    try:
        query = convert({key: value for key, value in wanted.items() if value is not None}, SagaQuery)
    except Invalid as error:
        raise Failed(f"{error.errors[0].pointer.lstrip('/')}: {error.errors[0].detail}".rstrip("."), "see --help", 2) from error
    found = _on(file, data, lambda process: process.port(Orchestrator).list_sagas(query))
    if json:
        print_json({"items": found.items})
    else:
        print_table(("id", "name", "status"), ((saga.id, saga.name, saga.status) for saga in found.items))
    return 0


@sagas.command(name="show")
def show_saga(
    id: Annotated[str, typer.Argument(metavar="ID")], file: OnFile = None, data: Data = DATA, json: Json = False
) -> int:
    """A saga with its steps and the tries of each."""
    from marketplace_core.capabilities.orchestrator import Orchestrator  # noqa: PLC0415

    saga = _on(file, data, lambda process: process.port(Orchestrator).get_saga(id))
    if json:
        print_json(saga)
    else:
        print(f"{saga.name} {saga.id}: {saga.status}")
        print_table(("step", "status", "attempts", "error"), ((s.name, s.status, s.attempts, s.error) for s in saga.steps))
    return 0


@sagas.command()
def retry(id: Annotated[str, typer.Argument(metavar="ID")], file: OnFile = None, data: Data = DATA) -> int:
    """Try the step again at which a saga waits for a person, or failed. The worker does it."""
    from marketplace_core.capabilities.orchestrator import Orchestrator  # noqa: PLC0415

    _on(file, data, lambda process: process.port(Orchestrator).retry(id))
    return 0


@sagas.command()
def compensate(id: Annotated[str, typer.Argument(metavar="ID")], file: OnFile = None, data: Data = DATA) -> int:
    """Give up a saga that waits or failed, and undo it; one that is being undone leaves out the undo that was refused."""
    from marketplace_core.capabilities.orchestrator import Orchestrator  # noqa: PLC0415

    _on(file, data, lambda process: process.port(Orchestrator).compensate(id))
    return 0


# ── accounts ─────────────────────────────────────────────────────────────────────────────────────────────────


@accounts.callback()
def _accounts() -> None:
    """Typer makes a group of it by this: there will be more commands than one."""


@accounts.command()
def create(
    role: Annotated[str, typer.Option(help="admin, moderator or courier.")],
    email: Annotated[str, typer.Option()],
    carrier: Annotated[str | None, typer.Option(help="Of a courier: whose shipments.")] = None,
    name: Annotated[str | None, typer.Option()] = None,
    file: OnFile = None,
    data: Data = DATA,
    json: Json = False,
) -> int:
    """An account with a role. The password is asked for, or read from standard input."""
    from marketplace_core.capabilities.auth import Auth, Registration  # noqa: PLC0415
    from marketplace_core.validation import convert  # noqa: PLC0415

    if role not in {"admin", "moderator", "courier"}:
        raise Failed(f"there is no role {role!r}", "use admin, moderator or courier", 2)
    if (role == "courier") != (carrier is not None):
        raise Failed("a courier belongs to a carrier, and nobody else does", "say --carrier with --role courier", 2)
    password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    given = {"email": email, "password": password, "name": name or email.split("@")[0]}
    try:
        registration = convert(given, Registration)
    except Invalid as error:
        first = error.errors[0]
        raise Failed(f"{first.pointer.lstrip('/')}: {first.detail}".rstrip("."), "correct it", 2) from error
    roles = (f"courier:{carrier}" if carrier else role,)
    account = _on(file, data, lambda process: process.port(Auth).ensure_account(registration, roles))
    if json:
        print_json(account)
    else:
        print(f"{account.email} ({', '.join(account.roles)}): {account.id}")
    return 0
