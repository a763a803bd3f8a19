"""What a person sees when the marketplace is up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from marketplace_core._supervisor.up import Started

__all__ = ["welcome"]


def welcome(started: Started, *, demo: bool) -> None:
    """Addresses, accounts and a line to try; in colour on a terminal."""
    console = Console(highlight=False, soft_wrap=True)
    console.print("\n[bold]The marketplace is up.[/bold]\n")
    clients = {f"{name} client": url for name, url in started.edge.items()}
    simulators = {f"{name} simulator": url for name, url in started.simulators.items()}
    addresses = {**started.audiences, **clients, **simulators}
    for name, url in addresses.items():  # not a table: that would cut them to the width of the terminal
        console.print(f"{name:<20} [cyan]{url}[/cyan]")
    if started.accounts:
        console.print()
        for name, account in started.accounts.items():
            console.print(f"{name:<20} {account.email}  [bold]{escape(account.password)}[/bold]")
    elif not demo:
        console.print("\nStart it with --demo to find products and accounts in it.")
    if "buyer" in started.audiences:
        console.print(f"\nTry: [bold]curl '{started.audiences['buyer']}/products?limit=3'[/bold]")
    console.print(f"Its data and logs are in {started.data}. Ctrl-C stops it.")
