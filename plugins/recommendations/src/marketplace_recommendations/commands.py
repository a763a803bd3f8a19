"""``marketplace feed rebuild``, ``marketplace recommendations train`` and ``evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from marketplace_core.commands import DATA, Data, Failed, Json, Marketplace, OnFile, on_marketplace, print_json, progress

if TYPE_CHECKING:
    from marketplace_recommendations.service import RecommendationsService
    from marketplace_recommendations.training import Trained

app = typer.Typer()
feed = typer.Typer(help="The base feed.")
recommendations = typer.Typer(help="What is shown to a person.")
app.add_typer(feed, name="feed")
app.add_typer(recommendations, name="recommendations")

STAGES = ("signals", "model", "write")


@feed.command()
def rebuild(file: OnFile = None, data: Data = DATA, json: Json = False) -> int:
    """Build the base feed anew, of all products and of each category. Readers go on in the one that they began."""

    with progress() as bars:
        task = bars.add_task("products", total=None)

        async def act(market: Marketplace) -> int:
            return await _service(market).rebuild_feed(lambda done: bars.update(task, completed=done))

        entries = on_marketplace(file, data, act)
    if json:
        print_json({"entries": entries})
    else:
        print(f"{entries} entries")
    return 0


@recommendations.command()
def train(
    file: OnFile = None,
    data: Data = DATA,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="PNG", help="Draw hit rate and coverage by cut-off.", show_default=False)
    ] = None,
    json: Json = False,
) -> int:
    """Learn from all signals which products are like each other, and show by that from now on."""
    if plot is not None and not plot.absolute().parent.is_dir():
        raise Failed(f"there is no folder {plot.absolute().parent}", "make it, or name another file", 2)
    with progress() as bars:
        tasks = {name: bars.add_task(name, total=None) for name in STAGES}

        async def act(market: Marketplace) -> Trained:
            return await _service(market).train(lambda name, done, total: bars.update(tasks[name], completed=done, total=total))

        trained = on_marketplace(file, data, act)
    if plot is not None:
        from marketplace_recommendations.plotting import draw  # noqa: PLC0415 - matplotlib comes with it

        draw(trained.curve, plot)
    document: dict[str, Any] = {
        "people": trained.people,
        "products": trained.products,
        "hr@10": trained.hit_rate,
        "ndcg@10": trained.ndcg,
        "coverage": trained.coverage,
        "settings": trained.knobs,
        "seconds": trained.seconds,
    }
    _answer(document, json)
    return 0


@recommendations.command()
def evaluate(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="One person a line: the person, then items in order.")],
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**31 - 1, help="The same seed gives the same figures.")] = 1,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="PNG", help="Draw hit rate and coverage by cut-off.", show_default=False)
    ] = None,
    json: Json = False,
) -> int:
    """How often the last item of each person is among the first ten, learnt from all items before it. No server is needed."""
    from marketplace_recommendations.evaluation import NoSequences, evaluate_file  # noqa: PLC0415 - scipy comes with it

    with progress() as bars:
        task = bars.add_task("model", total=None)
        try:
            found = evaluate_file(source, seed, lambda done, total: bars.update(task, completed=done, total=total))
        except (NoSequences, OSError, UnicodeDecodeError) as error:
            raise Failed(
                f"{source}: {error}", "give a file with one person a line: the person, then items in order", 2
            ) from error
    if plot is not None:
        from marketplace_recommendations.plotting import draw  # noqa: PLC0415 - matplotlib comes with it

        draw(found.curve, plot)
    _answer(found.document(), json)
    return 0


def _answer(document: dict[str, Any], json: bool) -> None:
    if json:
        print_json(document)
        return
    for name, value in document.items():
        print(f"{name}: {value}")


def _service(market: Marketplace) -> RecommendationsService:
    from marketplace_core.capabilities.recommendations import Recommendations  # noqa: PLC0415
    from marketplace_recommendations.service import RecommendationsService  # noqa: PLC0415

    remedy = "name a deployment that has the plugin recommendations"
    try:
        service = market.port(Recommendations)
    except LookupError as error:
        raise Failed(str(error), remedy) from error
    if not isinstance(service, RecommendationsService):
        raise Failed(f"recommendations come from a {type(service).__name__}", remedy)
    return service
