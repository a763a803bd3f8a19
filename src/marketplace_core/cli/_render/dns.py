"""DNS as octoDNS has it: the hosts at Cloudflare, and the balancer behind each at Route 53. Its tokens come by variables."""

from __future__ import annotations

import re
from typing import Any

from marketplace_core.cli._render.facts import Facts
from marketplace_core.cli._render.templates import fill
from marketplace_core.cli._render.zones import AWS_LABEL, Host, Zones, zones

__all__ = ["render"]


def render(facts: Facts) -> dict[str, str]:
    """:raises Failed: no client has a public host, or the file does not say in which zone they are."""
    found = zones(facts)
    values = {"name": facts.deployment.name, "zone": found.zone, "aws_zone": found.aws_zone}
    records = [_record(host, found) for host in found.hosts]
    return {
        "config.yaml": fill("dns/config.yaml.j2", **values, allowed=_allowed(found)),
        f"cloudflare/{found.zone}.yaml": fill("dns/cloudflare.yaml.j2", **values, records=records),
        f"route53/{found.aws_zone}.yaml": fill("dns/route53.yaml.j2", **values, records=records),
    }


def _record(host: Host, found: Zones) -> dict[str, Any]:
    """No alias of DNS may stand at a zone's own name: Cloudflare answers what one there leads to."""
    target = f"{host.label}.{found.aws_zone}." if host.label else f"{found.aws_zone}."
    return {"label": host.label, "type": "CNAME" if host.label else "ALIAS", "target": target}


def _allowed(found: Zones) -> list[str]:
    """The names that are ours at Cloudflare: the hosts, the delegated zone, and what proves each host's certificate."""
    proofs = [rf"/^_[0-9a-f]+{re.escape('.' + host.label) if host.label else ''}$/" for host in found.hosts]
    return [*(host.label for host in found.hosts), AWS_LABEL, *proofs]
