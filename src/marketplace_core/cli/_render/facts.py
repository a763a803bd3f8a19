"""What is rendered from: the deployment, its routes, and where its processes are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from msgspec import Struct

from marketplace_core._plugins.declarations import Declared
from marketplace_core._plugins.openapi import routes_in
from marketplace_core.commands import Failed
from marketplace_core.deployment import Deployment, Edge, load_all
from marketplace_core.deployment._model import Gateway, reachable
from marketplace_core.http.routing import Route
from marketplace_core.values import AUDIENCES, Audience

__all__ = ["WRITTEN", "Facts", "Places", "gather"]


class Places(Struct, frozen=True):
    """Where the proxies listen and find each other and the gateways: ``host:port`` of each."""

    front: Callable[[Deployment], str]
    client: Callable[[Edge], str]
    client_at: Callable[[Edge], str]
    gateway_at: Callable[[Gateway], str]
    certificate: Callable[[Edge], str | None]


#: As the deployment's file has them: for proxies beside the processes that it names.
WRITTEN = Places(
    front=lambda deployment: deployment.front.listen,
    client=lambda edge: edge.listen,
    client_at=lambda edge: reachable(edge.listen),
    gateway_at=lambda gateway: reachable(gateway.listen),
    certificate=lambda edge: edge.certificate,
)


class Facts(Struct, frozen=True):
    """``routes`` are those of every audience that a gateway answers, ``declared`` what each plugin does, by its name."""

    deployment: Deployment
    routes: Mapping[Audience, tuple[Route, ...]]
    declared: Mapping[str, Declared]

    @property
    def public(self) -> list[Edge]:
        """The clients with a public host. :raises Failed: there are none."""
        found = [edge for edge in self.deployment.edge.values() if not edge.internal]
        if not found:
            cause = f"{self.deployment.file.name} says of no client by which host it comes"
            raise Failed(cause, 'add [edge.web] with host = "shop.example" and gateways', 2)
        return found

    @property
    def internal(self) -> list[Edge]:
        return [edge for edge in self.deployment.edge.values() if edge.internal]

    def gateways_of(self, edge: Edge) -> list[Gateway]:
        return [self.deployment.gateways[name] for name in edge.gateways]

    def routes_of(self, gateways: Iterable[Gateway]) -> list[Route]:
        audiences = {audience for gateway in gateways for audience in gateway.audiences}
        return [route for audience in AUDIENCES if audience in audiences for route in self.routes[audience]]


def gather(file: Path) -> Facts:
    """:raises marketplace_core.deployment.DeploymentErrors: the file has problems, what references name aside."""
    loaded = load_all(file, secrets=False)
    answered = {audience for gateway in loaded.deployment.gateways.values() for audience in gateway.audiences}
    return Facts(
        deployment=loaded.deployment,
        routes={audience: tuple(routes_in(loaded, audience)) for audience in AUDIENCES if audience in answered},
        declared=loaded.declared,
    )
