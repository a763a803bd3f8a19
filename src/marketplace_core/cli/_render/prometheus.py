"""Prometheus: which processes it scrapes, and when a person is told, with what to do then."""

from __future__ import annotations

from marketplace_core.cli._render.facts import Facts
from marketplace_core.cli._render.processes import WATCHED, apart
from marketplace_core.cli._render.templates import fill

__all__ = ["render"]


def render(facts: Facts) -> dict[str, str]:
    names = {"name": facts.deployment.name, "processes": apart(facts.deployment)}
    return {
        "prometheus.yml": fill("prometheus/prometheus.yml.j2", **names, watched=WATCHED),
        "rules/marketplace.yml": fill("prometheus/rules.yml.j2", **names),
    }
