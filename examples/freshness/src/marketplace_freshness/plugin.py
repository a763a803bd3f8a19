"""What the search asks, and the plugin's hooks."""

from __future__ import annotations

from collections.abc import Mapping

from marketplace_core.capabilities.search import Ranking
from marketplace_core.context import PluginContext
from marketplace_core.hookspecs import PluginInfo, hookimpl
from marketplace_freshness.config import FreshnessConfig

DAY = 86_400.0


class Freshness:
    """What the search asks."""

    def __init__(self, config: FreshnessConfig) -> None:
        self._config = config

    async def search_ranking(self, ranking: Ranking) -> Mapping[str, Mapping[str, float]]:
        ages = {hit.id: (ranking.at - hit.created_at).total_seconds() / DAY for hit in ranking.hits if hit.created_at}
        half, most = self._config.half_life_days, self._config.raise_by
        return {"freshness": {id_: 1 + most * 0.5 ** (max(0.0, age) / half) for id_, age in ages.items()}}


@hookimpl
def info() -> PluginInfo:
    return PluginInfo(name="freshness", version="0.1.0", requires=("search",))


@hookimpl
def settings() -> type[FreshnessConfig]:
    return FreshnessConfig


@hookimpl
def extensions(context: PluginContext) -> Freshness:
    return Freshness(context.config(FreshnessConfig))
