"""The names of the public hosts: at Cloudflare, and in the zone below it that Route 53 answers."""

from __future__ import annotations

from msgspec import Struct

from marketplace_core.cli._render.facts import Facts
from marketplace_core.commands import Failed

__all__ = ["AWS_LABEL", "Host", "Zones", "zones"]

#: The zone at Route 53 is this label of the deployment's own.
AWS_LABEL = "edge"


class Host(Struct, frozen=True):
    """A public host. ``label`` is what stands before the zone, the same in both; ``""`` is the zone itself."""

    name: str
    label: str


class Zones(Struct, frozen=True):
    """``zone`` is at Cloudflare, ``aws_zone`` at Route 53; neither has a dot at its end."""

    zone: str
    aws_zone: str
    hosts: tuple[Host, ...]


def zones(facts: Facts) -> Zones:
    """:raises Failed: no client has a public host, or the file does not say in which zone they are."""
    hosts = [edge.host for edge in facts.public]
    zone = facts.deployment.front.zone
    if zone is None:
        raise Failed(f"{facts.deployment.file.name} does not say in which zone its hosts are", 'write zone = "…" in [edge]', 2)
    own = f"{AWS_LABEL}.{zone}"
    if taken := next((host for host in hosts if host == own or host.endswith(f".{own}")), None):
        raise Failed(f"the host {taken} is in the zone that Route 53 answers, {own}", "give it another name", 2)
    labels = [Host(host, host.removesuffix(zone).rstrip(".")) for host in hosts]
    return Zones(zone, own, tuple(labels))
