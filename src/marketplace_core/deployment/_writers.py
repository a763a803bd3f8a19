"""One writer for each topic: a count of events per key is a database's own, so who emits on one topic shares one,
unless the topic is a queue, whose events say by themselves which is later."""

from __future__ import annotations

from collections.abc import Mapping

from marketplace_core.deployment._model import Deployment
from marketplace_core.deployment._problems import Problems
from marketplace_core.events import QUEUES
from marketplace_core.hookspecs import PluginInfo

__all__ = ["check_writers"]


def check_writers(deployment: Deployment, infos: Mapping[str, PluginInfo], problems: Problems) -> None:
    """``infos`` of the plugins that run."""
    first: dict[str, tuple[str, str]] = {}
    for plugin, info in infos.items():
        resource = deployment.plugins[plugin].on.get(plugin)
        if resource is None:  # it keeps nothing, so it has no outbox
            continue
        for topic in sorted(info.topics - QUEUES):
            other, place = first.setdefault(topic, (plugin, resource))
            if place != resource:
                problems.add(
                    f"plugins.{plugin}.on.{plugin}",
                    f"{plugin!r} is on {resource!r} and {other!r} on {place!r}, and both emit on the topic {topic!r}: what one"
                    " of them counts is not what the other counts",
                    f"put both on {place!r}, or let one of them emit",
                )
