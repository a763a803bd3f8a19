"""The demo: a catalogue of our own and an account for each audience, loaded once into a marketplace."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import msgspec

from marketplace_core import calls
from marketplace_core._runtime.assembly import Process
from marketplace_core._runtime.serve import opened
from marketplace_core._supervisor.demo import Account, accounts_file, loaded_file
from marketplace_core.capabilities.auth import Auth, Registration
from marketplace_core.capabilities.catalog import Catalog
from marketplace_core.capabilities.sellers import Sellers
from marketplace_core.cli._imports.products import import_products
from marketplace_core.deployment import Deployment

__all__ = ["load"]

#: beside the package where it is installed, in the repository where it is not
_FOLDERS = (Path(__file__).parents[1] / "demo", Path(__file__).parents[3] / "examples" / "demo")
_PEOPLE = {
    "buyer": ("Bea Buyer", ()),
    "seller": ("Sam Seller", ()),
    "courier": ("Cleo Courier", ("courier:simulator",)),
    "admin": ("Ada Admin", ("admin",)),
}


async def load(
    deployment: Deployment, data: Path, progress: Callable[[int, int], None] = lambda _done, _all: None
) -> dict[str, Account]:
    """Load what is not there yet; gives the accounts, the same at every start on one data folder."""
    accounts = _accounts(accounts_file(data))
    loaded = loaded_file(data)
    if not loaded.exists():
        async with opened(deployment, data) as process:
            await _load(process, data / "demo", accounts, progress)
        loaded.touch()
    return accounts


async def _load(process: Process, folder: Path, accounts: dict[str, Account], progress: Callable[[int, int], None]) -> None:
    ids = {}
    with calls.scope(calls.Call(origin="import")):
        for name, account in accounts.items():
            person, roles = _PEOPLE[name]
            made = await process.port(Auth).ensure_account(
                Registration(email=account.email, password=account.password, name=person), roles
            )
            ids[name] = made.id
    source = next(path for path in _FOLDERS if path.is_dir())
    products = shutil.copy(source / "products.jsonl", folder)  # the pictures are drawn beside it
    await asyncio.to_thread(_pictures(source).draw_all, folder / "pictures")
    await import_products(
        Path(products),
        process.port(Catalog),
        process.port(Sellers),
        process.blobs,
        sizes=process.deployment.pictures,
        owner_id=ids["seller"],
        progress=progress,
    )


def _accounts(path: Path) -> dict[str, Account]:
    if path.exists():
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Account])
    accounts = {name: Account(f"{name}@demo.example", secrets.token_urlsafe(9)) for name in _PEOPLE}
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(file, "wb") as writer:
        writer.write(msgspec.json.encode(accounts))
    fresh.replace(path)
    return accounts


def _pictures(folder: Path) -> ModuleType:
    """The script that draws the demo's pictures; it is no part of the package."""
    spec = importlib.util.spec_from_file_location("marketplace_demo_pictures", folder / "pictures.py")
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{folder} has no pictures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
